-- migrate:up
SET lock_timeout = '5s';

-- When each layer of a pop was on the screen, in ms after the assignment, as the browser of the agent says. `painted` of migration 7 held
-- the first layer only; nothing writes it any more, its rows go with their age.
CREATE TABLE pop_layers (
    offer_id bigint NOT NULL,
    layer    text NOT NULL CHECK (layer IN ('identity', 'reason', 'context', 'depth')),
    agent_id bigint NOT NULL,
    ms       real NOT NULL CHECK (ms >= 0),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (offer_id, layer)
);
CREATE INDEX pop_layers_at ON pop_layers (at);

-- What the caller's number told when the call entered a queue: read beforehand, so that the pop has a name also when nobody can be looked
-- up at its moment; and of the number what `calls` does not hold.
CREATE TABLE call_callers (
    call_id    bigint PRIMARY KEY,
    extension  text,
    is_suspect boolean NOT NULL,
    match      text NOT NULL CHECK (match IN ('one', 'many', 'none', 'withheld')),
    candidates jsonb NOT NULL,
    at         timestamptz NOT NULL
);

-- Whom agents chose for a number that tells nobody for certain: shown with the next call as a suggestion, never acted on.
CREATE TABLE identity_choices (
    number      text NOT NULL,
    customer_id bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    chosen_by   bigint,
    chosen_at   timestamptz NOT NULL,
    times       integer NOT NULL DEFAULT 1,
    PRIMARY KEY (number, customer_id)
);
CREATE INDEX identity_choices_customer ON identity_choices (customer_id);
CREATE INDEX identity_choices_at ON identity_choices (chosen_at);

-- The keys of each person that are not the usual ones. {"accept": ["Ctrl+Shift+Q"]}; an empty list switches a key off.
CREATE TABLE key_settings (
    user_id    bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    is_off     boolean NOT NULL DEFAULT false,
    bindings   jsonb NOT NULL DEFAULT '{}',
    version    integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL
);

-- Calls that were finished without a result, of each agent.
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX offers_without_result ON offers (agent_id, ended_at)
    WHERE state = 'completed' AND disposition IS NULL AND call_id IS NOT NULL;

-- migrate:down
DROP INDEX offers_without_result;
DROP TABLE key_settings, identity_choices, call_callers, pop_layers;
