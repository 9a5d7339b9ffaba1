-- migrate:up
SET lock_timeout = '5s';

-- Consultations: an agent speaks with somebody about the call in hand while its customer is on hold. The facts of each, and the one that is under way.
CREATE TABLE consults (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id       bigint NOT NULL,
    offer_id      bigint NOT NULL,
    from_agent_id bigint NOT NULL,
    to_kind       text NOT NULL CHECK (to_kind IN ('queue', 'agent', 'number')),
    to_queue      text,
    to_agent_id   bigint,
    to_number     text,
    note          text,
    work_item_id  bigint,
    with_agent_id bigint,
    with_offer_id bigint,
    leg_sid       text,
    state         text NOT NULL DEFAULT 'asking' CHECK (state IN ('asking', 'connecting', 'talking', 'over')),
    outcome       text CHECK (outcome IN ('completed', 'returned', 'declined', 'not_reached', 'left', 'ended', 'failed')),
    at            timestamptz NOT NULL,
    talked_at     timestamptz,
    ended_at      timestamptz,
    CHECK ((state = 'over') = (outcome IS NOT NULL AND ended_at IS NOT NULL)),
    CHECK (num_nonnulls(to_queue, to_agent_id, to_number) = 1),
    CHECK (outcome IS DISTINCT FROM 'completed' OR talked_at IS NOT NULL)
);
CREATE UNIQUE INDEX consults_one_open ON consults (call_id) WHERE state <> 'over';
CREATE INDEX consults_call ON consults (call_id, id);
CREATE INDEX consults_offer ON consults (offer_id, id);
CREATE INDEX consults_item ON consults (work_item_id) WHERE work_item_id IS NOT NULL;

-- The work of being consulted: an item of its own, about a call that somebody has in hand.
ALTER TABLE work_items ADD COLUMN consulted_call_id bigint;

-- `outside`: somebody at a number that is not ours, rung by us.
-- squawk-ignore ban-drop-constraint -- made anew with one more kind
ALTER TABLE legs DROP CONSTRAINT legs_kind_check;
ALTER TABLE legs ADD CONSTRAINT legs_kind_check CHECK (kind IN ('customer', 'agent', 'outside')) NOT VALID;

-- Which numbers record, and how; NULL: none does.
ALTER TABLE numbers ADD COLUMN recording jsonb;

-- One row per call that may be recorded: what the caller was told or has declined, what the agent wants, and what the provider says. The sound stays with
-- the provider, whose id is kept, no address.
CREATE TABLE recordings (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id       bigint NOT NULL CONSTRAINT recordings_call_key UNIQUE,
    account_sid   text NOT NULL,
    sid           text CONSTRAINT recordings_sid_key UNIQUE,
    state         text NOT NULL DEFAULT 'told' CHECK (state IN ('told', 'declined', 'recording', 'paused', 'ended', 'failed')),
    is_paused     boolean NOT NULL DEFAULT false,
    pause_on_hold boolean NOT NULL,
    heard_at      timestamptz,
    problem       text CHECK (problem IN ('start', 'pause', 'resume')),
    wish          integer NOT NULL DEFAULT 0,
    duration_s    integer,
    is_ready      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL,
    keep_until    timestamptz NOT NULL,
    deleted_at    timestamptz,
    CHECK (sid IS NOT NULL OR state IN ('told', 'declined', 'failed', 'ended')),
    CHECK (sid IS NULL OR state <> 'declined')
);
CREATE INDEX recordings_due ON recordings (keep_until) WHERE deleted_at IS NULL;
CREATE INDEX recordings_deleted ON recordings (deleted_at) WHERE deleted_at IS NOT NULL;

-- migrate:down
DROP TABLE recordings;
ALTER TABLE numbers DROP COLUMN recording;
DELETE FROM legs WHERE kind = 'outside';
-- squawk-ignore ban-drop-constraint -- made anew with one kind less
ALTER TABLE legs DROP CONSTRAINT legs_kind_check;
ALTER TABLE legs ADD CONSTRAINT legs_kind_check CHECK (kind IN ('customer', 'agent'));
DELETE FROM offers WHERE work_item_id IN (SELECT id FROM work_items WHERE consulted_call_id IS NOT NULL);
DELETE FROM work_items WHERE consulted_call_id IS NOT NULL;
ALTER TABLE work_items DROP COLUMN consulted_call_id;
DROP TABLE consults;
