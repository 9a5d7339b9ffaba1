-- migrate:up
SET lock_timeout = '5s';

-- A held queue takes callers and offers them to nobody until it is released.
ALTER TABLE queues ADD COLUMN held_since timestamptz;
ALTER TABLE queues ADD COLUMN held_by text;

-- migrate:down
ALTER TABLE queues DROP COLUMN held_since, DROP COLUMN held_by;
