-- migrate:up
SET lock_timeout = '5s';

-- At most so many calls an agent takes in any stretch of so many seconds.
ALTER TABLE agents ADD COLUMN max_calls integer CHECK (max_calls >= 1);
ALTER TABLE agents ADD COLUMN max_calls_s integer CHECK (max_calls_s >= 1);
ALTER TABLE agents ADD CONSTRAINT agents_limit_is_whole CHECK ((max_calls IS NULL) = (max_calls_s IS NULL)) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_accepted ON offers (agent_id, accepted_at) WHERE accepted_at IS NOT NULL;

-- migrate:down
DROP INDEX offers_accepted;
ALTER TABLE agents DROP CONSTRAINT agents_limit_is_whole, DROP COLUMN max_calls, DROP COLUMN max_calls_s;
