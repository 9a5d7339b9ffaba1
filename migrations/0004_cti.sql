-- migrate:up
SET lock_timeout = '5s';

CREATE TABLE numbers (
    number  text PRIMARY KEY,
    region  text NOT NULL,
    queue   text NOT NULL,
    voice   jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE calls (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider       text NOT NULL DEFAULT 'twilio',
    account_sid    text NOT NULL,
    sid            text NOT NULL CONSTRAINT calls_sid_key UNIQUE,
    direction      text NOT NULL CHECK (direction IN ('inbound', 'outbound', 'internal')),
    from_raw       text NOT NULL,
    from_kind      text NOT NULL,
    from_value     text,
    to_number      text NOT NULL,
    language       text NOT NULL DEFAULT 'en',
    queue          text,
    state          text NOT NULL CHECK (state IN
        ('received', 'ivr', 'queued', 'connecting', 'in_call', 'on_hold', 'wrap_up', 'closed')),
    outcome        text,
    agent_id       bigint,
    offer_id       bigint,
    agent_joined   boolean NOT NULL DEFAULT false,
    caller_joined  boolean NOT NULL DEFAULT false,
    ended_by       text,
    source         text NOT NULL DEFAULT 'webhook',
    disposition    text,
    talk_s         real NOT NULL DEFAULT 0,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    queued_at      timestamptz,
    answered_at    timestamptz,
    ended_at       timestamptz,
    closed_at      timestamptz,
    CHECK ((state IN ('wrap_up', 'closed')) = (outcome IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX calls_open ON calls (created_at) WHERE state NOT IN ('wrap_up', 'closed');
CREATE INDEX calls_unclosed ON calls (id) WHERE state <> 'closed'; -- for lists of what is going on
CREATE INDEX calls_created ON calls (created_at DESC, id DESC);
CREATE INDEX calls_from ON calls (from_value, created_at DESC) WHERE from_value IS NOT NULL;
CREATE INDEX calls_agent ON calls (agent_id, created_at DESC) WHERE agent_id IS NOT NULL;

-- Where a leg sits: callbacks of one conference are numbered, so `sequence` counts within `conference_sid` only.
CREATE TABLE legs (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id        bigint NOT NULL REFERENCES calls ON DELETE CASCADE,
    sid            text NOT NULL CONSTRAINT legs_sid_key UNIQUE,
    kind           text NOT NULL CHECK (kind IN ('customer', 'agent')),
    agent_id       bigint,
    state          text NOT NULL,
    conference_sid text,
    sequence       integer,
    in_conference  boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL,
    ended_at       timestamptz
);
CREATE INDEX legs_call ON legs (call_id);

-- Every webhook as it came, once. The key is the provider's idempotency token, else a hash of path and sorted fields.
CREATE TABLE provider_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text NOT NULL CONSTRAINT provider_events_key UNIQUE,
    account_sid text NOT NULL,
    endpoint    text NOT NULL,
    call_sid    text,
    call_id     bigint,
    body        jsonb NOT NULL,
    answer      text,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX provider_events_call ON provider_events (call_sid);
CREATE INDEX provider_events_received ON provider_events (received_at);

-- Facts: who talked, was on hold or wrapped up, and when.
CREATE TABLE segments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id    bigint NOT NULL,
    offer_id   bigint,
    agent_id   bigint NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('talk', 'hold', 'wrap')),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CHECK (ended_at IS NULL OR ended_at >= started_at)
);
CREATE INDEX segments_call ON segments (call_id);
CREATE UNIQUE INDEX segments_one_open ON segments (call_id, agent_id, kind) WHERE ended_at IS NULL;

CREATE TABLE provider_commands (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id     bigint NOT NULL,
    object      text NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL DEFAULT 'intended' CHECK (state IN ('intended', 'sent', 'done', 'failed', 'unknown')),
    payload     jsonb NOT NULL DEFAULT '{}',
    attempts    smallint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    last_error  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    CONSTRAINT provider_commands_once UNIQUE (object, kind)
);
CREATE INDEX provider_commands_open ON provider_commands (created_at) WHERE state IN ('intended', 'sent', 'unknown');

-- migrate:down
DROP TABLE provider_commands, segments, provider_events, legs, calls, numbers;
