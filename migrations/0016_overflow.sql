-- migrate:up
SET lock_timeout = '5s';

-- When a queue lets go of its callers, and where to: another queue, or (NULL) a ticket and a word of thanks.
ALTER TABLE queues ADD COLUMN max_waiting integer;
ALTER TABLE queues ADD COLUMN max_wait_s integer;
ALTER TABLE queues ADD COLUMN if_nobody text NOT NULL DEFAULT 'wait' CHECK (if_nobody IN ('wait', 'overflow', 'alert'));
-- squawk-ignore adding-foreign-key-constraint -- a table of a few dozen rows
ALTER TABLE queues ADD COLUMN overflow_to text REFERENCES queues;

-- Why a stay ended in overflow: full, too_long, nobody.
ALTER TABLE stints ADD COLUMN overflow_reason text;

-- migrate:down
ALTER TABLE stints DROP COLUMN overflow_reason;
ALTER TABLE queues DROP COLUMN max_waiting, DROP COLUMN max_wait_s, DROP COLUMN if_nobody, DROP COLUMN overflow_to;
