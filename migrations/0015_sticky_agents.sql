-- migrate:up
SET lock_timeout = '5s';

-- An item may be kept for one agent for a while: `sticky_*` says for whom, until when, and whether also while that agent is away;
-- `only_agent_id` is set while this is in force. It is part of the need, since nobody else can serve the item meanwhile.
ALTER TABLE work_items ADD COLUMN sticky_agent_id bigint;
ALTER TABLE work_items ADD COLUMN sticky_until timestamptz;
ALTER TABLE work_items ADD COLUMN sticky_if_away boolean NOT NULL DEFAULT false;
ALTER TABLE work_items ADD COLUMN sticky_is_over boolean NOT NULL DEFAULT false;
ALTER TABLE work_items ADD COLUMN only_agent_id bigint;
CREATE OR REPLACE FUNCTION work_items_need() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.need := hashtextextended(NEW.queue || coalesce(((NEW.steps -> NEW.step) - 'after_s')::text, '') || coalesce(NEW.only_agent_id::text, ''), 0);
    NEW.next_step_at := NEW.entered_at + make_interval(secs => (NEW.steps -> (NEW.step + 1) ->> 'after_s')::float8);
    RETURN NEW;
END $$;
DROP TRIGGER work_items_need ON work_items;
CREATE TRIGGER work_items_need BEFORE INSERT OR UPDATE OF queue, steps, step, entered_at, only_agent_id ON work_items
    FOR EACH ROW EXECUTE FUNCTION work_items_need();
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_sticky ON work_items (pool_id) WHERE state = 'queued' AND sticky_agent_id IS NOT NULL AND NOT sticky_is_over;

-- migrate:down
CREATE OR REPLACE FUNCTION work_items_need() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.need := hashtextextended(NEW.queue || coalesce(((NEW.steps -> NEW.step) - 'after_s')::text, ''), 0);
    NEW.next_step_at := NEW.entered_at + make_interval(secs => (NEW.steps -> (NEW.step + 1) ->> 'after_s')::float8);
    RETURN NEW;
END $$;
DROP TRIGGER work_items_need ON work_items;
CREATE TRIGGER work_items_need BEFORE INSERT OR UPDATE OF queue, steps, step, entered_at ON work_items
    FOR EACH ROW EXECUTE FUNCTION work_items_need();
ALTER TABLE work_items DROP COLUMN sticky_agent_id, DROP COLUMN sticky_until, DROP COLUMN sticky_if_away, DROP COLUMN sticky_is_over,
    DROP COLUMN only_agent_id;
