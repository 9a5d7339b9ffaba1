-- migrate:up
SET lock_timeout = '5s';

-- A caller who speaks to the recorder: since when, why, and (once it is known) when they hung up. What becomes of the call is known only when the
-- provider has said whether there is a recording.
ALTER TABLE calls ADD COLUMN recorder_at timestamptz;
ALTER TABLE calls ADD COLUMN recorder_reason text;
ALTER TABLE calls ADD COLUMN left_at timestamptz;
-- squawk-ignore ban-drop-constraint -- made anew with one more state
ALTER TABLE calls DROP CONSTRAINT calls_state_check;
ALTER TABLE calls ADD CONSTRAINT calls_state_check
    CHECK (state IN ('received', 'ivr', 'queued', 'connecting', 'in_call', 'on_hold', 'voicemail', 'wrap_up', 'closed')) NOT VALID;

-- One row per recording of the provider, which keeps the sound: we keep only its id. `call_id` is NULL for as long as we know of no such call. No
-- foreign key: calls are purged by their own rule.
CREATE TABLE voicemails (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_sid text NOT NULL CONSTRAINT voicemails_recording UNIQUE,
    account_sid   text NOT NULL,
    call_sid      text NOT NULL,
    call_id       bigint,
    duration_s    integer NOT NULL CHECK (duration_s > 0),
    is_ready      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL,
    deleted_at    timestamptz
);
CREATE INDEX voicemails_call ON voicemails (call_id) WHERE call_id IS NOT NULL;
CREATE INDEX voicemails_without_call ON voicemails (id) WHERE call_id IS NULL;
CREATE INDEX voicemails_kept ON voicemails (created_at) WHERE deleted_at IS NULL;
CREATE INDEX voicemails_deleted ON voicemails (deleted_at) WHERE deleted_at IS NOT NULL;

-- How a number takes messages (NULL: it offers none by itself), and whether a queue lets go of its callers to the recorder.
ALTER TABLE numbers ADD COLUMN voicemail jsonb;
ALTER TABLE queues ADD COLUMN overflow_voicemail boolean NOT NULL DEFAULT false;

-- When numbers are open; and who is not to get through at all, by the form in which callers are known (calls.from_kind, from_value).
CREATE TABLE calendars (
    key      text PRIMARY KEY,
    settings jsonb NOT NULL
);
ALTER TABLE numbers ADD COLUMN calendar text;
CREATE TABLE blocked_numbers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number     text NOT NULL CONSTRAINT blocked_numbers_number UNIQUE,
    reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 300),
    added_by   text NOT NULL,
    added_at   timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX blocked_numbers_expired ON blocked_numbers (expires_at) WHERE expires_at IS NOT NULL;

-- What callers of a number choose from, and what they chose.
CREATE TABLE menus (
    key      text PRIMARY KEY,
    settings jsonb NOT NULL
);
ALTER TABLE numbers ADD COLUMN menu text;
ALTER TABLE calls ADD COLUMN menu_choice text;

-- migrate:down
ALTER TABLE calls DROP COLUMN menu_choice;
ALTER TABLE numbers DROP COLUMN menu;
DROP TABLE menus, blocked_numbers, calendars;
ALTER TABLE numbers DROP COLUMN calendar;
ALTER TABLE queues DROP COLUMN overflow_voicemail;
ALTER TABLE numbers DROP COLUMN voicemail;
DROP TABLE voicemails;
UPDATE calls SET state = 'closed', outcome = 'unknown', ended_at = now(), closed_at = now(), ended_by = 'system' WHERE state = 'voicemail';
-- squawk-ignore ban-drop-constraint -- made anew with one state less
ALTER TABLE calls DROP CONSTRAINT calls_state_check;
ALTER TABLE calls ADD CONSTRAINT calls_state_check
    CHECK (state IN ('received', 'ivr', 'queued', 'connecting', 'in_call', 'on_hold', 'wrap_up', 'closed'));
ALTER TABLE calls DROP COLUMN recorder_at, DROP COLUMN recorder_reason, DROP COLUMN left_at;
