-- migrate:up
SET lock_timeout = '5s';

-- One row per agent: the last number given out and the highest acknowledged one.
CREATE TABLE desk_heads (
    agent_id  bigint PRIMARY KEY,
    last_seq  bigint NOT NULL DEFAULT 0,
    acked_seq bigint NOT NULL DEFAULT 0,
    CHECK (acked_seq <= last_seq)
) WITH (fillfactor = 50);

-- What an agent's desk must be told, in order. Ids only: the payload is built when it is sent.
CREATE TABLE desk_log (
    agent_id   bigint NOT NULL,
    seq        bigint NOT NULL,
    type       text NOT NULL CHECK (type IN ('screen_pop', 'offer_ended', 'call_changed', 'presence_changed')),
    offer_id   bigint,
    call_id    bigint,
    data       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, seq)
);
CREATE INDEX desk_log_created ON desk_log (created_at);

-- Notes being typed: saved every 2 s, keyed by call and agent; they survive crash, transfer and log-out.
CREATE TABLE call_notes (
    call_id  bigint NOT NULL,
    agent_id bigint NOT NULL,
    body     text NOT NULL,
    version  integer NOT NULL DEFAULT 1,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (call_id, agent_id)
);

CREATE TABLE painted (
    offer_id bigint PRIMARY KEY,
    agent_id bigint NOT NULL,
    ms       real NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE painted, call_notes, desk_log, desk_heads;
