-- migrate:up
SET lock_timeout = '5s';

-- After a call with this result nothing is left to do: its ticket is resolved.
ALTER TABLE dispositions ADD COLUMN resolves_ticket boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE dispositions DROP COLUMN resolves_ticket;
