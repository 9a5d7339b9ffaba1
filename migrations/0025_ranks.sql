-- migrate:up
SET lock_timeout = '5s';

-- In which order the agents of a group serve their queues, and how long work of a queue is left to others first (ADR 0014).
ALTER TABLE agent_queues ADD COLUMN rank smallint NOT NULL DEFAULT 1 CONSTRAINT agent_queues_rank CHECK (rank BETWEEN 1 AND 99);
ALTER TABLE agent_queues ADD COLUMN delay_s integer NOT NULL DEFAULT 0 CONSTRAINT agent_queues_delay CHECK (delay_s BETWEEN 0 AND 9999);
-- squawk-ignore require-concurrent-index-creation -- nobody has a rank or a delay yet: it is empty
CREATE INDEX agent_queues_ranked ON agent_queues (queue_key, delay_s) WHERE rank > 1 OR delay_s > 0;
ALTER TABLE queues ADD COLUMN is_ranked boolean NOT NULL DEFAULT false;
ALTER TABLE queues ADD COLUMN delays_s integer[] NOT NULL DEFAULT '{}';

-- `agents.queues` is an object now: by queue its rank and delay, as far as they are not 1 and 0. `queues` says whether any of it
-- matters there, so that a pass need not look for it.
CREATE OR REPLACE FUNCTION agents_take_queues() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agents a SET queues = n.queues
    FROM (
        SELECT c.agent_id, coalesce(jsonb_object_agg(m.queue_key, jsonb_strip_nulls(jsonb_build_object('rank', nullif(m.rank, 1), 'delay_s', nullif(m.delay_s, 0))))
                                    FILTER (WHERE m.queue_key IS NOT NULL), '{}') AS queues
        FROM (SELECT DISTINCT agent_id FROM changed) c LEFT JOIN agent_queues m ON m.agent_id = c.agent_id
        GROUP BY c.agent_id
    ) n
    WHERE a.id = n.agent_id AND a.queues <> n.queues;
    UPDATE queues q SET is_ranked = n.is_ranked, delays_s = n.delays_s
    FROM (
        SELECT c.queue_key, EXISTS (SELECT 1 FROM agent_queues m WHERE m.queue_key = c.queue_key AND m.rank > 1) AS is_ranked,
               ARRAY(SELECT DISTINCT m.delay_s FROM agent_queues m WHERE m.queue_key = c.queue_key AND m.delay_s > 0 ORDER BY 1) AS delays_s
        FROM (SELECT DISTINCT queue_key FROM changed) c
    ) n
    WHERE q.key = n.queue_key AND (q.is_ranked, q.delays_s) IS DISTINCT FROM (n.is_ranked, n.delays_s);
    RETURN NULL;
END $$;
CREATE TRIGGER agent_queues_changed AFTER UPDATE ON agent_queues REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION agents_take_queues();
ALTER TABLE agents ALTER COLUMN queues SET DEFAULT '{}';
DELETE FROM profiles;
UPDATE agents a SET queues = (SELECT coalesce(jsonb_object_agg(m.queue_key, '{}'::jsonb), '{}') FROM agent_queues m WHERE m.agent_id = a.id);

-- migrate:down
DROP TRIGGER agent_queues_changed ON agent_queues;
CREATE OR REPLACE FUNCTION agents_take_queues() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agents a SET queues = n.queues
    FROM (
        SELECT c.agent_id, coalesce(jsonb_agg(m.queue_key ORDER BY m.queue_key) FILTER (WHERE m.queue_key IS NOT NULL), '[]') AS queues
        FROM (SELECT DISTINCT agent_id FROM changed) c LEFT JOIN agent_queues m ON m.agent_id = c.agent_id
        GROUP BY c.agent_id
    ) n
    WHERE a.id = n.agent_id AND a.queues <> n.queues;
    RETURN NULL;
END $$;
ALTER TABLE agents ALTER COLUMN queues SET DEFAULT '[]';
DELETE FROM profiles;
UPDATE agents a SET queues = (SELECT coalesce(jsonb_agg(m.queue_key ORDER BY m.queue_key), '[]') FROM agent_queues m WHERE m.agent_id = a.id);
ALTER TABLE queues DROP COLUMN is_ranked, DROP COLUMN delays_s;
DROP INDEX agent_queues_ranked;
ALTER TABLE agent_queues DROP COLUMN rank, DROP COLUMN delay_s;
