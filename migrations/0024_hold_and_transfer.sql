-- migrate:up
SET lock_timeout = '5s';

-- Hold: what the agent wants, and since when the provider says that it is so. `state` is what is; a command is open while the two differ.
ALTER TABLE calls ADD COLUMN hold_wanted boolean NOT NULL DEFAULT false;
ALTER TABLE calls ADD COLUMN held_at timestamptz;

-- Transfers: who gave a call to whom, with what words, and what became of it. `calls.transfer_id` is the one under way.
CREATE TABLE transfers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id       bigint NOT NULL,
    offer_id      bigint NOT NULL,
    from_agent_id bigint NOT NULL,
    to_kind       text NOT NULL CHECK (to_kind IN ('queue', 'agent', 'number')),
    to_queue      text,
    to_agent_id   bigint,
    to_number     text,
    note          text,
    at            timestamptz NOT NULL,
    outcome       text CHECK (outcome IN ('taken', 'returned', 'ended')),
    ended_at      timestamptz,
    CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    CHECK (num_nonnulls(to_queue, to_agent_id, to_number) = 1)
);
CREATE INDEX transfers_call ON transfers (call_id, id);
ALTER TABLE calls ADD COLUMN transfer_id bigint;

-- `outside`: the caller is with somebody at a number that is not ours.
-- squawk-ignore ban-drop-constraint -- made anew with one more state
ALTER TABLE calls DROP CONSTRAINT calls_state_check;
ALTER TABLE calls ADD CONSTRAINT calls_state_check CHECK (state IN
    ('received', 'ivr', 'queued', 'connecting', 'in_call', 'on_hold', 'voicemail', 'outside', 'wrap_up', 'closed')) NOT VALID;

-- To which numbers outside agents may transfer, by what they begin with. No row: to none.
CREATE TABLE outside_prefixes (prefix text PRIMARY KEY);

-- Of the talk: what the customer spent on hold.
ALTER TABLE queue_figures ADD COLUMN hold_us bigint;
ALTER TABLE agent_figures ADD COLUMN hold_us bigint;

-- migrate:down
ALTER TABLE queue_figures DROP COLUMN hold_us;
ALTER TABLE agent_figures DROP COLUMN hold_us;
DROP TABLE outside_prefixes;
UPDATE calls SET state = 'closed', outcome = 'answered', ended_at = now(), closed_at = now(), ended_by = 'system' WHERE state = 'outside';
-- squawk-ignore ban-drop-constraint -- made anew with one state less
ALTER TABLE calls DROP CONSTRAINT calls_state_check;
ALTER TABLE calls ADD CONSTRAINT calls_state_check CHECK (state IN
    ('received', 'ivr', 'queued', 'connecting', 'in_call', 'on_hold', 'voicemail', 'wrap_up', 'closed'));
ALTER TABLE calls DROP COLUMN transfer_id;
DROP TABLE transfers;
ALTER TABLE calls DROP COLUMN hold_wanted, DROP COLUMN held_at;
