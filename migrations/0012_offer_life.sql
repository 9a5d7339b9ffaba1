-- migrate:up
SET lock_timeout = '5s';

-- A presence chosen during a call or wrap-up waits here for its end.
ALTER TABLE agents ADD COLUMN next_presence text;
ALTER TABLE agents ADD COLUMN next_reason text;

-- How often in a row somebody may miss a call, how long who declined, could not be joined or missed one is not asked again, by how
-- much an agent may extend wrap-up, and the result of a call when nobody chose one.
ALTER TABLE queues ADD COLUMN misses_before_not_responding integer NOT NULL DEFAULT 1;
ALTER TABLE queues ADD COLUMN reject_s integer NOT NULL DEFAULT 30;
ALTER TABLE queues ADD COLUMN busy_s integer NOT NULL DEFAULT 10;
ALTER TABLE queues ADD COLUMN no_answer_s integer;
ALTER TABLE queues ADD COLUMN wrap_extension_s integer NOT NULL DEFAULT 30;
ALTER TABLE queues ADD COLUMN default_disposition text;

ALTER TABLE offers ADD COLUMN wrap_requested boolean NOT NULL DEFAULT false;
ALTER TABLE offers ADD COLUMN wrap_extended_s integer NOT NULL DEFAULT 0;
ALTER TABLE offers ADD COLUMN disposition_is_default boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE offers DROP COLUMN wrap_requested, DROP COLUMN wrap_extended_s, DROP COLUMN disposition_is_default;
ALTER TABLE queues DROP COLUMN misses_before_not_responding, DROP COLUMN reject_s, DROP COLUMN busy_s, DROP COLUMN no_answer_s,
    DROP COLUMN wrap_extension_s, DROP COLUMN default_disposition;
ALTER TABLE agents DROP COLUMN next_presence, DROP COLUMN next_reason;
