-- migrate:up
SET lock_timeout = '5s';

-- Missed contacts: who called and reached nobody, until somebody has dealt with it. One open entry per number, whatever number of calls; a hidden
-- caller has an entry per call. No foreign keys: calls and people are purged by their own rules.
CREATE TABLE missed_contacts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number       text,
    number_kind  text NOT NULL,
    to_number    text NOT NULL,
    queue        text,
    outcome      text NOT NULL,
    calls        integer NOT NULL DEFAULT 1 CHECK (calls > 0),
    first_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    last_call_id bigint NOT NULL,
    owner_id     bigint,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
    result       text CHECK (result IN ('called_again', 'called_back', 'reached_otherwise', 'unreachable', 'no_need')),
    note         text CHECK (length(note) BETWEEN 1 AND 300),
    done_at      timestamptz,
    done_by      bigint,
    done_call_id bigint,
    version      integer NOT NULL DEFAULT 1,
    CHECK ((state = 'done') = (done_at IS NOT NULL)),
    CHECK ((state = 'done') = (result IS NOT NULL)),
    CHECK (state = 'done' OR num_nonnulls(note, done_by, done_call_id) = 0),
    CHECK (first_at <= last_at)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX missed_contacts_one_open ON missed_contacts (number) WHERE state = 'open';
CREATE INDEX missed_contacts_open ON missed_contacts (last_at DESC, id DESC) WHERE state = 'open';
CREATE INDEX missed_contacts_done ON missed_contacts (done_at DESC, id DESC) WHERE state = 'done';
CREATE INDEX missed_contacts_owner ON missed_contacts (owner_id, last_at DESC, id DESC) WHERE state = 'open' AND owner_id IS NOT NULL;
CREATE TABLE missed_calls (
    call_id           bigint PRIMARY KEY,
    missed_contact_id bigint NOT NULL REFERENCES missed_contacts ON DELETE CASCADE
);
CREATE INDEX missed_calls_contact ON missed_calls (missed_contact_id, call_id);

-- The call log is read newest first along the index of what is asked for.
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX calls_queue ON calls (queue, created_at DESC, id DESC);
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE INDEX calls_outcome ON calls (outcome, created_at DESC, id DESC) WHERE outcome IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE INDEX calls_not_inbound ON calls (direction, created_at DESC, id DESC) WHERE direction <> 'inbound';
-- squawk-ignore require-concurrent-index-creation -- as above; of a call that we make, the customer's number is where it goes to
CREATE INDEX calls_to ON calls (to_number, created_at DESC) WHERE direction = 'outbound';

-- Calls that an agent makes. `sid` begins with `out:` until the provider has said how it calls the customer's leg; `dial_at`: when the customer is rung, since the
-- provider takes one call a second; `dialed_at`: when it was asked to. What is known to be asked is looked up and never asked again.
ALTER TABLE calls ADD COLUMN dial_at timestamptz;
ALTER TABLE calls ADD COLUMN dialed_at timestamptz;
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE UNIQUE INDEX calls_dialing ON calls (to_number) WHERE direction = 'outbound' AND provider = 'twilio' AND outcome IS NULL;
CREATE TABLE dial_slots (account_sid text PRIMARY KEY, next_at timestamptz NOT NULL);
-- Their work never waited in a line: no stay in a queue, and no offer that somebody chose.
ALTER TABLE work_items ADD COLUMN is_outbound boolean NOT NULL DEFAULT false;
ALTER TABLE offers ADD COLUMN is_outbound boolean NOT NULL DEFAULT false;

-- At most one row: whom agents may call, under which number, and when not.
CREATE TABLE outbound_settings (is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), settings jsonb NOT NULL);
CREATE TABLE do_not_call (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number     text NOT NULL CONSTRAINT do_not_call_number UNIQUE,
    reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 300),
    added_by   text NOT NULL,
    added_at   timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX do_not_call_expired ON do_not_call (expires_at) WHERE expires_at IS NOT NULL;

-- migrate:down
DROP TABLE do_not_call, outbound_settings, dial_slots;
ALTER TABLE offers DROP COLUMN is_outbound;
ALTER TABLE work_items DROP COLUMN is_outbound;
DROP INDEX calls_dialing;
ALTER TABLE calls DROP COLUMN dialed_at, DROP COLUMN dial_at;
DROP INDEX calls_to, calls_not_inbound, calls_outcome, calls_queue;
DROP TABLE missed_calls, missed_contacts;
