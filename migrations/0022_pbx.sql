-- migrate:up
SET lock_timeout = '5s';

-- Telephone systems that post what happens to their calls, as the organisation file describes them. Their secrets stay in the environment:
-- `settings` holds the names of the variables.
CREATE TABLE cti_connections (
    key      text PRIMARY KEY,
    dialect  text NOT NULL CHECK (dialect IN ('zammad', 'generic')),
    settings jsonb NOT NULL
);

-- By what names telephone systems know our agents, folded to one case: extensions, logins, addresses.
CREATE TABLE agent_extensions (name text PRIMARY KEY, agent_id bigint NOT NULL);

-- Signed requests, for as long as their time is believed.
CREATE TABLE cti_nonces (
    connection text NOT NULL,
    nonce      text NOT NULL,
    signature  text NOT NULL,
    used_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection, nonce)
);
CREATE INDEX cti_nonces_used ON cti_nonces (used_at);

-- What a telephone system tells too early waits here until it can be applied.
ALTER TABLE provider_events ADD COLUMN applied_at timestamptz;

-- Items that a telephone system places: in its own line, or talking with somebody unknown, they are `external`. No pass sees that state.
ALTER TABLE work_items ADD COLUMN is_external boolean NOT NULL DEFAULT false;
-- squawk-ignore ban-drop-constraint -- made anew with one more state
ALTER TABLE work_items DROP CONSTRAINT work_items_state_check;
ALTER TABLE work_items ADD CONSTRAINT work_items_state_check
    CHECK (state IN ('queued', 'external', 'offering', 'assigned', 'wrapping', 'done', 'abandoned', 'diverted')) NOT VALID;
-- squawk-ignore require-concurrent-index-deletion -- made anew below
DROP INDEX work_items_live;
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_live ON work_items (queue) WHERE state IN ('queued', 'external', 'offering', 'assigned', 'wrapping');

-- migrate:down
UPDATE work_items SET state = 'abandoned', ended_at = now(), end_reason = 'unknown' WHERE state = 'external';
DROP INDEX work_items_live;
CREATE INDEX work_items_live ON work_items (queue) WHERE state IN ('queued', 'offering', 'assigned', 'wrapping');
-- squawk-ignore ban-drop-constraint -- made anew with one more state
ALTER TABLE work_items DROP CONSTRAINT work_items_state_check;
ALTER TABLE work_items ADD CONSTRAINT work_items_state_check
    CHECK (state IN ('queued', 'offering', 'assigned', 'wrapping', 'done', 'abandoned', 'diverted'));
ALTER TABLE work_items DROP COLUMN is_external;
ALTER TABLE provider_events DROP COLUMN applied_at;
DROP TABLE cti_nonces, agent_extensions, cti_connections;
