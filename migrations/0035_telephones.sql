-- migrate:up
SET lock_timeout = '5s';

-- On which telephone an agent may be rung, as the organisation file says, and whether the agent wants that now. No row: in the browser only.
CREATE TABLE agent_telephones (
    agent_id bigint PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
    address  text NOT NULL CONSTRAINT agent_telephones_address UNIQUE,
    is_used  boolean NOT NULL DEFAULT false
);

-- One row per accepted offer whose agent is rung on a telephone. `dial_at`: when, since the provider takes one call a second; `dialed_at`: when it was asked
-- to. What is known to be asked is looked up and never asked again. The address is that of this call, and goes with the row.
CREATE TABLE agent_rings (
    offer_id    bigint PRIMARY KEY,
    call_id     bigint NOT NULL,
    agent_id    bigint NOT NULL,
    address     text NOT NULL,
    language    text NOT NULL,
    queue_name  jsonb NOT NULL,
    dial_at     timestamptz NOT NULL,
    dialed_at   timestamptz,
    sid         text CONSTRAINT agent_rings_sid UNIQUE,
    answered_at timestamptz,
    taken_at    timestamptz,
    mute_wanted boolean NOT NULL DEFAULT false,
    is_muted    boolean NOT NULL DEFAULT false,
    outcome     text CHECK (outcome IN ('talked', 'no_key', 'no_answer', 'busy', 'failed', 'withdrawn')),
    at          timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    CHECK (outcome IS DISTINCT FROM 'talked' OR taken_at IS NOT NULL)
);
CREATE INDEX agent_rings_call ON agent_rings (call_id);
CREATE INDEX agent_rings_open ON agent_rings (offer_id) WHERE ended_at IS NULL;

-- migrate:down
DROP TABLE agent_rings, agent_telephones;
