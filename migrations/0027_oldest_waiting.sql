-- migrate:up
SET lock_timeout = '5s';

-- Whether anything of a need is old enough for those who see it only after a while. The second condition always holds: without it the
-- planner could take this index for the order of the line, too. In a migration of its own: it walks through all work items while writers
-- wait, some seconds for millions, and nothing else should be locked for so long.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX work_items_oldest ON work_items (pool_id, need, entered_at) WHERE state = 'queued' AND entered_at > '-infinity';

-- migrate:down
DROP INDEX work_items_oldest;
