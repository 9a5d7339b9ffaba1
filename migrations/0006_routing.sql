-- migrate:up
SET lock_timeout = '5s';

CREATE TABLE queues (
    key             text PRIMARY KEY,
    name            jsonb NOT NULL,
    position        integer NOT NULL DEFAULT 0,
    within_s        integer NOT NULL DEFAULT 20,
    target          real NOT NULL DEFAULT 0.8,
    short_abandon_s integer NOT NULL DEFAULT 5,
    offer_timeout_s integer NOT NULL DEFAULT 20,
    wrap_mode       text NOT NULL DEFAULT 'timed',
    wrap_s          integer NOT NULL DEFAULT 30,
    pick            text NOT NULL DEFAULT 'longest_idle',
    zone            text NOT NULL DEFAULT 'UTC',
    pool_id         text NOT NULL,
    is_active       boolean NOT NULL DEFAULT true
);

CREATE TABLE skills (key text PRIMARY KEY, name jsonb NOT NULL);
CREATE TABLE dispositions (key text PRIMARY KEY, name jsonb NOT NULL, digit smallint, queue text, position integer NOT NULL DEFAULT 0);

CREATE TABLE agents (
    id              bigint PRIMARY KEY,
    name            text NOT NULL,
    skills          jsonb NOT NULL DEFAULT '{}',
    pool_id         text,
    total_units     integer NOT NULL DEFAULT 1 CHECK (total_units >= 0),
    used_units      integer NOT NULL DEFAULT 0,
    over_by         integer NOT NULL DEFAULT 0 CHECK (over_by >= 0),
    presence        text NOT NULL DEFAULT 'offline' CHECK (presence IN
        ('available', 'break', 'offline', 'not_responding', 'reconnecting', 'unreachable')),
    presence_reason text,
    presence_since  timestamptz NOT NULL DEFAULT now(),
    idle_since      timestamptz NOT NULL DEFAULT now(),
    cooldown_until  timestamptz,
    misses          integer NOT NULL DEFAULT 0,
    is_active       boolean NOT NULL DEFAULT true,
    version         integer NOT NULL DEFAULT 1,
    CONSTRAINT agents_capacity CHECK (used_units >= 0 AND used_units <= total_units + over_by)
) WITH (fillfactor = 50);
CREATE INDEX agents_free ON agents (pool_id, idle_since, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
CREATE INDEX agents_not_free ON agents (pool_id)
    WHERE is_active AND NOT (presence = 'available' AND used_units < total_units + over_by);

CREATE TABLE agent_queues (
    agent_id  bigint NOT NULL REFERENCES agents ON DELETE CASCADE,
    queue_key text NOT NULL REFERENCES queues ON DELETE CASCADE,
    PRIMARY KEY (agent_id, queue_key)
);
CREATE INDEX agent_queues_queue ON agent_queues (queue_key);

-- A socket of an agent's desk on one replica. Renewed every 5 s, dead 20 s later; only agents with a live one get work.
CREATE TABLE desk_connections (
    replica      text NOT NULL,
    sid          text NOT NULL,
    agent_id     bigint NOT NULL,
    connected_at timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (replica, sid)
);
CREATE INDEX desk_connections_agent ON desk_connections (agent_id, lease_until);

CREATE TABLE rule_sets (
    version      integer PRIMARY KEY,
    rules        jsonb NOT NULL,
    origin       text NOT NULL,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    is_published boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX rule_sets_one_published ON rule_sets (is_published) WHERE is_published;

CREATE TABLE work_items (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id         bigint CONSTRAINT work_items_call_key UNIQUE,
    ticket_id       bigint NOT NULL,
    channel         text NOT NULL DEFAULT 'voice',
    queue           text NOT NULL REFERENCES queues,
    pool_id         text NOT NULL,
    state           text NOT NULL CHECK (state IN ('queued', 'offering', 'assigned', 'wrapping', 'done', 'abandoned', 'diverted')),
    tier            smallint NOT NULL DEFAULT 0,
    boost_s         integer NOT NULL DEFAULT 0,
    entered_at      timestamptz NOT NULL,
    virtual_start   timestamptz NOT NULL,
    steps           jsonb NOT NULL,
    rule            text NOT NULL,
    ruleset_version integer NOT NULL,
    facts           jsonb NOT NULL DEFAULT '{}',
    version         integer NOT NULL DEFAULT 1,
    ended_at        timestamptz,
    end_reason      text,
    CHECK ((state IN ('done', 'abandoned', 'diverted')) = (ended_at IS NOT NULL AND end_reason IS NOT NULL))
) WITH (fillfactor = 60);
CREATE INDEX work_items_waiting ON work_items (queue, tier DESC, virtual_start, entered_at, id) WHERE state = 'queued';
CREATE INDEX work_items_live ON work_items (queue) WHERE state IN ('queued', 'offering', 'assigned', 'wrapping');
CREATE INDEX work_items_ticket ON work_items (ticket_id);

-- Facts: one stay in one queue, with exactly one outcome and the settings it is judged by.
CREATE TABLE stints (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_item_id    bigint NOT NULL,
    call_id         bigint,
    queue           text NOT NULL,
    entered_at      timestamptz NOT NULL,
    left_at         timestamptz,
    connected_at    timestamptz,
    outcome         text CHECK (outcome IN ('answered', 'abandoned', 'callback_requested', 'transferred_out', 'overflowed', 'closed', 'failed')),
    within_s        integer NOT NULL,
    target          real NOT NULL,
    short_abandon_s integer NOT NULL,
    zone            text NOT NULL,
    CHECK ((outcome IS NULL) = (left_at IS NULL)),
    CHECK (left_at IS NULL OR left_at >= entered_at)
);
CREATE UNIQUE INDEX stints_one_open ON stints (work_item_id) WHERE left_at IS NULL;
CREATE INDEX stints_queue ON stints (queue, entered_at);

CREATE TABLE offers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_item_id  bigint NOT NULL,
    call_id       bigint,
    agent_id      bigint NOT NULL,
    queue         text NOT NULL,
    pool_id       text NOT NULL,
    step          smallint NOT NULL,
    units         smallint NOT NULL,
    state         text NOT NULL CHECK (state IN
        ('pending', 'accepted', 'wrapping', 'completed', 'rejected', 'timeout', 'rescinded', 'canceled')),
    reason        text,
    by_agent_id   bigint,
    created_at    timestamptz NOT NULL,
    deadline      timestamptz NOT NULL,
    accepted_at   timestamptz,
    connected_at  timestamptz,
    wrap_started_at timestamptz,
    wrap_ends_at  timestamptz,
    ended_at      timestamptz,
    disposition   text,
    version       integer NOT NULL DEFAULT 1
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX offers_one_accepted ON offers (work_item_id) WHERE state = 'accepted';
CREATE UNIQUE INDEX offers_one_pending ON offers (work_item_id, agent_id) WHERE state = 'pending';
CREATE INDEX offers_open ON offers (agent_id) WHERE state IN ('pending', 'accepted', 'wrapping');
CREATE INDEX offers_item ON offers (work_item_id);
CREATE INDEX offers_call ON offers (call_id);

CREATE TABLE exclusions (
    work_item_id bigint NOT NULL,
    agent_id     bigint NOT NULL,
    until        timestamptz NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (work_item_id, agent_id)
);

-- Facts: what each agent did, without gaps or overlaps.
CREATE TABLE agent_intervals (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id   bigint NOT NULL,
    state      text NOT NULL,
    reason     text,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CHECK (ended_at IS NULL OR ended_at >= started_at),
    CONSTRAINT agent_intervals_no_overlap EXCLUDE USING gist (agent_id WITH =, tstzrange(started_at, ended_at) WITH &&)
);
CREATE UNIQUE INDEX agent_intervals_one_open ON agent_intervals (agent_id) WHERE ended_at IS NULL;
CREATE INDEX agent_intervals_agent ON agent_intervals (agent_id, started_at);

CREATE TABLE decisions (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_item_id    bigint NOT NULL,
    offer_id        bigint,
    at              timestamptz NOT NULL,
    ruleset_version integer NOT NULL,
    rule            text NOT NULL,
    step            smallint NOT NULL,
    chosen_agent_id bigint,
    verdicts        jsonb NOT NULL,
    counts          jsonb NOT NULL
);
CREATE INDEX decisions_item ON decisions (work_item_id, at);
CREATE INDEX decisions_at ON decisions (at);

CREATE TABLE config_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     text NOT NULL,
    diff       jsonb NOT NULL,
    applied_by text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE config_changes, decisions, agent_intervals, exclusions, offers, stints, work_items, rule_sets, desk_connections,
    agent_queues, agents, dispositions, skills, queues;
