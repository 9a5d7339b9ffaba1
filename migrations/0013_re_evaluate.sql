-- migrate:up
SET lock_timeout = '5s';

-- Somebody had those in line decided again while this item was being offered: it goes by these rules once it is in line again.
ALTER TABLE work_items ADD COLUMN reroute_version integer;

-- migrate:down
ALTER TABLE work_items DROP COLUMN reroute_version;
