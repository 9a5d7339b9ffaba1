-- migrate:up
SET lock_timeout = '5s';

-- Holding and releasing a queue is refused to who has not seen the last time.
ALTER TABLE queues ADD COLUMN hold_version integer NOT NULL DEFAULT 1;
-- How long the last conversations of a queue took, in seconds, the shortest first; renewed by a sweep. From this follows when an agent who talks is
-- expected to be free. Who has talked longer than all of them is expected at no time.
ALTER TABLE queues ADD COLUMN talks_s real[] NOT NULL DEFAULT '{}';
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_talked ON offers (queue, wrap_started_at DESC) WHERE wrap_started_at IS NOT NULL AND connected_at IS NOT NULL;

-- migrate:down
DROP INDEX offers_talked;
ALTER TABLE queues DROP COLUMN hold_version, DROP COLUMN talks_s;
