-- migrate:up
SET lock_timeout = '5s';

-- Holding and releasing a queue, and setting somebody's state, are refused to who has not seen the last time. `agents.version` rises with every
-- offer, which says nothing about presence.
ALTER TABLE queues ADD COLUMN hold_version integer NOT NULL DEFAULT 1;
ALTER TABLE agents ADD COLUMN presence_version integer NOT NULL DEFAULT 1;
-- How long half of the last conversations of a queue took at most, in seconds, renewed by a sweep; null while there were too few. And until when an
-- agent who is asked, talks or wraps up for a fixed time is expected to be busy; null: nobody can say.
ALTER TABLE queues ADD COLUMN talk_s real;
ALTER TABLE agents ADD COLUMN busy_until timestamptz;
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_talked ON offers (queue, wrap_started_at DESC) WHERE wrap_started_at IS NOT NULL AND connected_at IS NOT NULL;

-- migrate:down
DROP INDEX offers_talked;
ALTER TABLE queues DROP COLUMN hold_version, DROP COLUMN talk_s;
ALTER TABLE agents DROP COLUMN presence_version, DROP COLUMN busy_until;
