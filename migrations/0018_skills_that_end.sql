-- migrate:up
SET lock_timeout = '5s';

-- When a skill of an agent ends, by its key; then it is taken out of `skills`.
ALTER TABLE agents ADD COLUMN skills_until jsonb NOT NULL DEFAULT '{}';
-- squawk-ignore require-concurrent-index-creation -- agents are as many as people
CREATE INDEX agents_skills_end ON agents (id) WHERE skills_until <> '{}';

-- migrate:down
DROP INDEX agents_skills_end;
ALTER TABLE agents DROP COLUMN skills_until;
