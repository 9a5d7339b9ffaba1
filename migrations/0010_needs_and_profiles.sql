-- migrate:up
SET lock_timeout = '5s';

-- Who waits for the same is one need, who can do the same is one profile: a pass of the dispatcher costs as much as there are
-- needs and profiles, however long the lines and however many the agents (ADR 0008).

ALTER TABLE agents ADD COLUMN queues jsonb NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN last_offered_at timestamptz NOT NULL DEFAULT now();
-- squawk-ignore adding-field-with-default -- agents are as many as people: the rewrite is short
ALTER TABLE agents ADD COLUMN profile bigint GENERATED ALWAYS AS (hashtextextended(queues::text || skills::text, 0)) STORED;

-- `agents.queues` repeats agent_queues, so that it can be part of the profile; the database itself keeps the two the same.
CREATE FUNCTION agents_take_queues() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER agent_queues_added AFTER INSERT ON agent_queues REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION agents_take_queues();
CREATE TRIGGER agent_queues_removed AFTER DELETE ON agent_queues REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION agents_take_queues();

-- Every profile that some agent of the pool has, or had: few, and what a profile is never changes, so nothing is taken away.
CREATE TABLE profiles (
    pool_id text NOT NULL,
    profile bigint NOT NULL,
    queues  jsonb NOT NULL,
    skills  jsonb NOT NULL,
    PRIMARY KEY (pool_id, profile)
);
CREATE FUNCTION agents_keep_profile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.pool_id IS NOT NULL THEN
        INSERT INTO profiles (pool_id, profile, queues, skills) VALUES (NEW.pool_id, NEW.profile, NEW.queues, NEW.skills) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER agents_keep_profile AFTER INSERT OR UPDATE OF pool_id, queues, skills ON agents
    FOR EACH ROW EXECUTE FUNCTION agents_keep_profile();
UPDATE agents a SET queues = (SELECT coalesce(jsonb_agg(m.queue_key ORDER BY m.queue_key), '[]') FROM agent_queues m WHERE m.agent_id = a.id);

-- squawk-ignore require-concurrent-index-creation -- short, as above
CREATE INDEX agents_free_idle ON agents (pool_id, profile, idle_since, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
-- squawk-ignore require-concurrent-index-creation -- short, as above
CREATE INDEX agents_free_turn ON agents (pool_id, profile, last_offered_at, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;

-- `step` is the one in force, `need` what it asks for in which queue, `next_step_at` when the next one comes into force.
ALTER TABLE work_items ADD COLUMN step smallint NOT NULL DEFAULT 0;
ALTER TABLE work_items ADD COLUMN need bigint;
ALTER TABLE work_items ADD COLUMN next_step_at timestamptz;
CREATE FUNCTION work_items_need() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.need := hashtextextended(NEW.queue || coalesce(((NEW.steps -> NEW.step) - 'after_s')::text, ''), 0);
    NEW.next_step_at := NEW.entered_at + make_interval(secs => (NEW.steps -> (NEW.step + 1) ->> 'after_s')::float8);
    RETURN NEW;
END $$;
CREATE TRIGGER work_items_need BEFORE INSERT OR UPDATE OF queue, steps, step, entered_at ON work_items
    FOR EACH ROW EXECUTE FUNCTION work_items_need();
UPDATE work_items SET step = 0 WHERE state IN ('queued', 'offering', 'assigned', 'wrapping');

-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_needs ON work_items (pool_id, need, tier DESC, virtual_start, entered_at, id) WHERE state = 'queued';
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_next_step ON work_items (pool_id, next_step_at) WHERE state = 'queued' AND next_step_at IS NOT NULL;

-- Lines are read by need now.
-- squawk-ignore require-concurrent-index-deletion -- with the one above
DROP INDEX work_items_waiting;

-- By which criterion the choice fell, for the sentence that explains it.
ALTER TABLE decisions ADD COLUMN chosen_by text NOT NULL DEFAULT 'longest_idle';

-- migrate:down
ALTER TABLE decisions DROP COLUMN chosen_by;
DROP TRIGGER work_items_need ON work_items;
DROP FUNCTION work_items_need();
CREATE INDEX work_items_waiting ON work_items (queue, tier DESC, virtual_start, entered_at, id) WHERE state = 'queued';
ALTER TABLE work_items DROP COLUMN step, DROP COLUMN need, DROP COLUMN next_step_at;
DROP TRIGGER agent_queues_added ON agent_queues;
DROP TRIGGER agent_queues_removed ON agent_queues;
DROP FUNCTION agents_take_queues();
DROP TRIGGER agents_keep_profile ON agents;
DROP FUNCTION agents_keep_profile();
DROP TABLE profiles;
ALTER TABLE agents DROP COLUMN profile, DROP COLUMN queues, DROP COLUMN last_offered_at;
