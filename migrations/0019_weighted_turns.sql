-- migrate:up
SET lock_timeout = '5s';

-- Turns by weight: each offer moves an agent's `turn` on by 1 / weight, from the pool's turn at the least, so that nobody who was away or
-- busy has turns saved up.
ALTER TABLE agents ADD COLUMN weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);
ALTER TABLE agents ADD COLUMN turn double precision NOT NULL DEFAULT 0;
-- squawk-ignore require-concurrent-index-creation -- agents are as many as people
CREATE INDEX agents_free_weighted ON agents (pool_id, profile, turn, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
CREATE TABLE pool_turns (pool_id text PRIMARY KEY, turn double precision NOT NULL);

-- migrate:down
DROP TABLE pool_turns;
DROP INDEX agents_free_weighted;
ALTER TABLE agents DROP COLUMN weight, DROP COLUMN turn;
