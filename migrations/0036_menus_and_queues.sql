-- migrate:up
SET lock_timeout = '5s';

-- The menus that a caller was led through, from the first to the last one heard: main/billing. Who gave up did so in the last.
ALTER TABLE calls ADD COLUMN menu_path text;

-- What a queue says for itself, where its callers come to it by number or menu: when it is open (NULL: always), and how its conversations are recorded
-- (NULL: as the number says, false: not at all).
ALTER TABLE queues ADD COLUMN calendar text;
ALTER TABLE queues ADD COLUMN recording jsonb;
-- The call is with somebody of a queue that is never recorded, however it came there.
ALTER TABLE recordings ADD COLUMN is_forbidden boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE recordings DROP COLUMN is_forbidden;
ALTER TABLE queues DROP COLUMN recording, DROP COLUMN calendar;
ALTER TABLE calls DROP COLUMN menu_path;
