-- migrate:up
SET lock_timeout = '5s';

-- What the provider says of the caller's number (STIR/SHAKEN), in its own words: the fact. What it means is in core/phone.py. NULL: it said nothing.
ALTER TABLE calls ADD COLUMN attestation text;

-- migrate:down
ALTER TABLE calls DROP COLUMN attestation;
