-- migrate:up
SET lock_timeout = '5s';

-- Figures: sums over the facts of closed quarters of an hour (UTC). They add up, so every total is the sum of its parts, and they can be
-- computed again from the facts at any time. NULL stands for nothing. `_us` are microseconds, so that parts add up exactly.
CREATE TABLE queue_figures (
    bucket            timestamptz NOT NULL,
    queue             text NOT NULL,
    offered           bigint,
    answered          bigint,
    abandoned         bigint,
    short             bigint,
    callback          bigint,
    transferred       bigint,
    overflowed        bigint,
    closed            bigint,
    failed            bigint,
    waiting           bigint,
    within            bigint,
    within_60         bigint,
    left_within       bigint,
    wait_answered_us  bigint,
    wait_abandoned_us bigint,
    wait_max_us       bigint,
    offers_accepted   bigint,
    offers_declined   bigint,
    offers_unanswered bigint,
    segments          bigint,
    contacts          bigint,
    talk_us           bigint,
    wrap_us           bigint,
    PRIMARY KEY (bucket, queue)
);
-- How many were answered after how many whole seconds, rounded up: percentiles add up only as counts.
CREATE TABLE answered_waits (
    bucket   timestamptz NOT NULL,
    queue    text NOT NULL,
    wait_s   bigint NOT NULL,
    answered bigint NOT NULL,
    PRIMARY KEY (bucket, queue, wait_s)
);
CREATE TABLE agent_figures (
    bucket            timestamptz NOT NULL,
    agent_id          bigint NOT NULL,
    offers_accepted   bigint,
    offers_declined   bigint,
    offers_unanswered bigint,
    segments          bigint,
    contacts          bigint,
    talk_us           bigint,
    wrap_us           bigint,
    available_us      bigint,
    reserved_us       bigint,
    talking_us        bigint,
    wrapping_us       bigint,
    break_us          bigint,
    not_responding_us bigint,
    reconnecting_us   bigint,
    unreachable_us    bigint,
    PRIMARY KEY (bucket, agent_id)
);

-- How far they are: buckets before `closed_until` take no more facts silently, those in [filled_from, filled_until) are stored. One row.
CREATE TABLE figures_progress (
    is_only      boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    closed_until timestamptz NOT NULL,
    filled_from  timestamptz NOT NULL,
    filled_until timestamptz NOT NULL,
    kept_from    timestamptz,
    facts_from   timestamptz,
    CHECK (filled_from <= filled_until AND filled_until <= closed_until)
);
-- Closed buckets whose facts have changed since. Appended to, never updated: writers of facts do not wait for each other.
CREATE TABLE figures_reopened (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket timestamptz NOT NULL
);
CREATE INDEX figures_reopened_bucket ON figures_reopened (bucket);

CREATE FUNCTION figures_reopen(moments timestamptz[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO figures_reopened (bucket)
    SELECT DISTINCT date_bin('15 minutes', m.at, 'epoch'::timestamptz)
    FROM unnest(moments) AS m (at) JOIN figures_progress p ON m.at < p.closed_until;
END $$;

-- The triggers' conditions let through only what belongs to a quarter that is over or nearly so (a clock may be set back a little, or be
-- another one's after a fail-over); everything else costs a comparison. The functions are volatile on purpose: they read `closed_until` after
-- their transaction has its number, which is what filling a bucket waits for.
CREATE FUNCTION stints_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM figures_reopen(ARRAY[NEW.entered_at] || CASE TG_OP WHEN 'UPDATE' THEN ARRAY[OLD.entered_at] END);
    RETURN NULL;
END $$;
CREATE TRIGGER stints_late AFTER INSERT ON stints FOR EACH ROW
    WHEN (NEW.entered_at < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz)) EXECUTE FUNCTION stints_reopen();
CREATE TRIGGER stints_changed_late AFTER UPDATE ON stints FOR EACH ROW
    WHEN (least(OLD.entered_at, NEW.entered_at) < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz))
    EXECUTE FUNCTION stints_reopen();

-- An offer counts where it was made, once it is answered, declined or missed; its conversation where the wrap-up ended.
CREATE FUNCTION offers_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE moments timestamptz[] := '{}';
BEGIN
    IF TG_OP = 'INSERT' OR (OLD.accepted_at IS NULL) <> (NEW.accepted_at IS NULL) OR OLD.created_at <> NEW.created_at
       OR (OLD.state <> NEW.state AND NEW.accepted_at IS NULL) OR OLD.agent_id <> NEW.agent_id OR OLD.queue <> NEW.queue THEN
        moments := ARRAY[NEW.created_at];
    END IF;
    IF NEW.connected_at IS NOT NULL AND NEW.state = 'completed' THEN
        moments := moments || NEW.ended_at;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF OLD.created_at <> NEW.created_at THEN
            moments := moments || OLD.created_at;
        END IF;
        IF OLD.connected_at IS NOT NULL AND OLD.state = 'completed' THEN
            moments := moments || OLD.ended_at;
        END IF;
    END IF;
    PERFORM figures_reopen(moments);
    RETURN NULL;
END $$;
CREATE TRIGGER offers_late AFTER INSERT ON offers FOR EACH ROW
    WHEN (least(NEW.created_at, NEW.ended_at) < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz))
    EXECUTE FUNCTION offers_reopen();
CREATE TRIGGER offers_changed_late AFTER UPDATE ON offers FOR EACH ROW
    WHEN (least(OLD.created_at, NEW.created_at, OLD.ended_at, NEW.ended_at) < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz))
    EXECUTE FUNCTION offers_reopen();

-- A state counts in every quarter it touches: what changes is the time from its start, or between its ends before and after.
CREATE FUNCTION agent_intervals_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE since timestamptz; until timestamptz;
BEGIN
    IF TG_OP = 'INSERT' THEN
        since := NEW.started_at;
        until := NEW.ended_at;
    ELSIF (OLD.agent_id, OLD.state, OLD.started_at) IS DISTINCT FROM (NEW.agent_id, NEW.state, NEW.started_at) THEN
        since := least(OLD.started_at, NEW.started_at);
    ELSE
        since := least(OLD.ended_at, NEW.ended_at);
        until := CASE WHEN OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT NULL THEN greatest(OLD.ended_at, NEW.ended_at) END;
    END IF;
    INSERT INTO figures_reopened (bucket)
    SELECT b FROM figures_progress p
    CROSS JOIN generate_series(date_bin('15 minutes', since, 'epoch'::timestamptz), least(until, p.closed_until), '15 minutes') AS b
    WHERE b < p.closed_until;
    RETURN NULL;
END $$;
CREATE TRIGGER agent_intervals_late AFTER INSERT ON agent_intervals FOR EACH ROW
    WHEN (NEW.started_at < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz)) EXECUTE FUNCTION agent_intervals_reopen();
CREATE TRIGGER agent_intervals_changed_late AFTER UPDATE ON agent_intervals FOR EACH ROW
    WHEN (OLD IS DISTINCT FROM NEW AND least(OLD.ended_at, NEW.ended_at, CASE WHEN OLD.started_at <> NEW.started_at
          THEN least(OLD.started_at, NEW.started_at) END) < date_bin('15 minutes', clock_timestamp() + interval '2 minutes', 'epoch'::timestamptz))
    EXECUTE FUNCTION agent_intervals_reopen();

-- Stints and intervals have their indexes by time; offers had none.
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_created ON offers (created_at, id);
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_completed ON offers (ended_at, id) WHERE state = 'completed' AND connected_at IS NOT NULL;

-- migrate:down
DROP INDEX offers_created;
DROP INDEX offers_completed;
DROP TRIGGER stints_late ON stints;
DROP TRIGGER stints_changed_late ON stints;
DROP TRIGGER offers_late ON offers;
DROP TRIGGER offers_changed_late ON offers;
DROP TRIGGER agent_intervals_late ON agent_intervals;
DROP TRIGGER agent_intervals_changed_late ON agent_intervals;
DROP FUNCTION stints_reopen();
DROP FUNCTION offers_reopen();
DROP FUNCTION agent_intervals_reopen();
DROP FUNCTION figures_reopen(timestamptz[]);
DROP TABLE figures_reopened, figures_progress, agent_figures, answered_waits, queue_figures;
