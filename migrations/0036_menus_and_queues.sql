-- migrate:up
SET lock_timeout = '5s';

-- The menus that a caller was led through, from the first to the last one heard: main/billing. Who gave up did so in the last.
ALTER TABLE calls ADD COLUMN menu_path text;

-- migrate:down
ALTER TABLE calls DROP COLUMN menu_path;
