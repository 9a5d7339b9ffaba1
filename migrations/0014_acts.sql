-- migrate:up
SET lock_timeout = '5s';

-- What rings is read beside what waits when somebody looks at the line of a queue; those are few, however long the line is.
-- squawk-ignore require-concurrent-index-creation -- one walk through the table, bounded by lock_timeout; a start waits for it
CREATE INDEX work_items_ringing ON work_items (queue) WHERE state = 'offering';

-- migrate:down
DROP INDEX work_items_ringing;
