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
-- Items that are kept for an agent are all looked at again some times a second; what has just come, at once.
ALTER TABLE work_items ADD COLUMN sticky_is_new boolean NOT NULL DEFAULT true;
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_newly_sticky ON work_items (pool_id)
    WHERE state = 'queued' AND sticky_agent_id IS NOT NULL AND NOT sticky_is_over AND sticky_is_new;

-- migrate:down
DROP INDEX offers_talked;
ALTER TABLE work_items DROP COLUMN sticky_is_new;
ALTER TABLE queues DROP COLUMN hold_version, DROP COLUMN talk_s;
ALTER TABLE agents DROP COLUMN presence_version, DROP COLUMN busy_until;
