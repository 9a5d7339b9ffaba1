-- migrate:up
SET lock_timeout = '5s';

-- A step may say another tier and head start (ADR 0015): then they come into force with it, but for what somebody has said by hand.
ALTER TABLE work_items ADD COLUMN is_tier_by_hand boolean NOT NULL DEFAULT false;
ALTER TABLE work_items ADD COLUMN is_boost_by_hand boolean NOT NULL DEFAULT false;
UPDATE work_items i SET is_tier_by_hand = true, is_boost_by_hand = true
WHERE i.state IN ('queued', 'external', 'offering', 'assigned', 'wrapping')
  AND (SELECT a.purpose IS NULL OR a.purpose NOT LIKE 'undo of %' FROM audit_log a
       WHERE a.object_kind = 'work_item' AND a.object_id = i.id::text AND a.action = 'work_item.prioritise' ORDER BY a.id DESC LIMIT 1);

CREATE FUNCTION work_items_rank() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.steps -> NEW.step ? 'tier' THEN
        IF NOT NEW.is_tier_by_hand THEN
            NEW.tier := (NEW.steps -> NEW.step ->> 'tier')::smallint;
        END IF;
        IF NOT NEW.is_boost_by_hand THEN
            NEW.boost_s := (NEW.steps -> NEW.step ->> 'boost_s')::integer;
            NEW.virtual_start := NEW.entered_at - make_interval(secs => NEW.boost_s);
        END IF;
        -- Who has seen the rank before must not overwrite it unseen.
        IF TG_OP = 'UPDATE' AND (NEW.tier, NEW.boost_s) IS DISTINCT FROM (OLD.tier, OLD.boost_s) THEN
            NEW.version := greatest(NEW.version, OLD.version + 1);
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER work_items_rank BEFORE INSERT OR UPDATE OF steps, step, is_tier_by_hand, is_boost_by_hand ON work_items
    FOR EACH ROW EXECUTE FUNCTION work_items_rank();

-- After a way down and up again: who is in line has the rank of the step in force.
UPDATE work_items SET step = step WHERE state IN ('queued', 'offering') AND steps -> step ? 'tier';

-- Two items that differ only in rank ask for the same.
CREATE OR REPLACE FUNCTION work_items_need() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.need := hashtextextended(NEW.queue || coalesce(((NEW.steps -> NEW.step) - '{after_s,tier,boost_s}'::text[])::text, '')
        || coalesce(NEW.only_agent_id::text, ''), 0);
    NEW.next_step_at := NEW.entered_at + make_interval(secs => (NEW.steps -> (NEW.step + 1) ->> 'after_s')::float8);
    RETURN NEW;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION work_items_need() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.need := hashtextextended(NEW.queue || coalesce(((NEW.steps -> NEW.step) - 'after_s')::text, '') || coalesce(NEW.only_agent_id::text, ''), 0);
    NEW.next_step_at := NEW.entered_at + make_interval(secs => (NEW.steps -> (NEW.step + 1) ->> 'after_s')::float8);
    RETURN NEW;
END $$;
DROP TRIGGER work_items_rank ON work_items;
DROP FUNCTION work_items_rank();
ALTER TABLE work_items DROP COLUMN is_tier_by_hand, DROP COLUMN is_boost_by_hand;
