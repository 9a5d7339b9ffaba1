-- migrate:up
SET lock_timeout = '5s';

-- Two channels of work: calls, which ring, and tickets, which are assigned. A queue holds work of one of them (ADR 0009).
ALTER TABLE queues ADD COLUMN channel text NOT NULL DEFAULT 'voice' CHECK (channel IN ('voice', 'ticket'));
-- A call that waited so long for somebody who is full of tickets gets one of those kept free of more; NULL: never.
ALTER TABLE queues ADD COLUMN drain_after_s integer CHECK (drain_after_s >= 1);

-- Who has a ticket; calls have offers.
ALTER TABLE work_items ADD COLUMN agent_id bigint;
-- squawk-ignore require-concurrent-index-creation -- no ticket is work yet: empty
CREATE UNIQUE INDEX work_items_one_of_ticket ON work_items (ticket_id) WHERE channel = 'ticket' AND state IN ('queued', 'assigned');
-- squawk-ignore require-concurrent-index-creation -- no ticket is work yet: empty
CREATE INDEX work_items_of_agent ON work_items (agent_id) WHERE channel = 'ticket' AND state = 'assigned';

-- `used_units` of `total_units` are calls. `tickets` of `ticket_cap` are tickets, `tickets_over` those above it, which a person gave.
-- `shared_units`: what both together may cost; NULL: no limit. `draining_for`: the call for which this agent gets no more tickets.
ALTER TABLE agents ADD COLUMN tickets integer NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN ticket_cap integer NOT NULL DEFAULT 0 CHECK (ticket_cap >= 0);
ALTER TABLE agents ADD COLUMN tickets_over integer NOT NULL DEFAULT 0 CHECK (tickets_over >= 0);
ALTER TABLE agents ADD COLUMN shared_units integer CHECK (shared_units >= 1);
ALTER TABLE agents ADD COLUMN voice_cost integer NOT NULL DEFAULT 1 CHECK (voice_cost >= 0);
ALTER TABLE agents ADD COLUMN ticket_cost integer NOT NULL DEFAULT 1 CHECK (ticket_cost >= 0);
ALTER TABLE agents ADD COLUMN voice_interrupts boolean NOT NULL DEFAULT true;
ALTER TABLE agents ADD COLUMN ticket_interrupts boolean NOT NULL DEFAULT false;
ALTER TABLE agents ADD COLUMN draining_for bigint;
ALTER TABLE agents ADD CONSTRAINT agents_ticket_capacity CHECK (tickets >= 0 AND tickets <= ticket_cap + tickets_over) NOT VALID;
-- The next work of a channel fits: under the channel's own limit, and under the shared one with what it may not interrupt.
-- squawk-ignore adding-field-with-default -- agents are as many as people: the rewrite is short
ALTER TABLE agents ADD COLUMN room_for_voice boolean NOT NULL GENERATED ALWAYS AS (
    used_units < total_units + over_by
    AND (shared_units IS NULL
         OR (used_units + 1) * voice_cost + CASE WHEN voice_interrupts THEN 0 ELSE tickets * ticket_cost END <= shared_units)) STORED;
-- squawk-ignore adding-field-with-default -- as above
ALTER TABLE agents ADD COLUMN room_for_ticket boolean NOT NULL GENERATED ALWAYS AS (
    tickets < ticket_cap AND draining_for IS NULL
    AND (shared_units IS NULL
         OR (tickets + 1) * ticket_cost + CASE WHEN ticket_interrupts THEN 0 ELSE used_units * voice_cost END <= shared_units)) STORED;

-- Who has room is asked by channel now. All of these: agents are as many as people.
-- Each index of an order has a condition on its clock that always holds: only the statement of that order says it, so only it can use the
-- index. Without it the planner, who takes a profile to be a few agents, may read all of one by another order's index and sort them.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX agents_free;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX agents_not_free;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX agents_free_idle;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX agents_free_turn;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX agents_free_weighted;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_free ON agents (pool_id, idle_since, id) WHERE is_active AND presence = 'available' AND room_for_voice;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_not_free ON agents (pool_id) WHERE is_active AND NOT (presence = 'available' AND room_for_voice);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_free_idle ON agents (pool_id, profile, idle_since, id)
    WHERE is_active AND presence = 'available' AND room_for_voice AND idle_since > '-infinity';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_free_turn ON agents (pool_id, profile, last_offered_at, id)
    WHERE is_active AND presence = 'available' AND room_for_voice AND last_offered_at > '-infinity';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_free_weighted ON agents (pool_id, profile, turn, id)
    WHERE is_active AND presence = 'available' AND room_for_voice AND turn >= 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_free_load ON agents (pool_id, profile, tickets, idle_since, id)
    WHERE is_active AND presence = 'available' AND room_for_voice AND tickets >= 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_for_tickets_load ON agents (pool_id, profile, tickets, idle_since, id)
    WHERE is_active AND presence = 'available' AND room_for_ticket AND tickets >= 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_for_tickets_turn ON agents (pool_id, profile, last_offered_at, id)
    WHERE is_active AND presence = 'available' AND room_for_ticket AND last_offered_at > '-infinity';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_crowded ON agents (pool_id, tickets, idle_since, id) WHERE is_active AND presence = 'available'
    AND NOT room_for_voice AND tickets > 0 AND used_units < total_units + over_by;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX agents_draining ON agents (draining_for) WHERE draining_for IS NOT NULL;

-- migrate:down
DROP INDEX agents_draining, agents_crowded, agents_for_tickets_turn, agents_for_tickets_load, agents_free_load, agents_free_weighted, agents_free_turn,
    agents_free_idle, agents_not_free, agents_free;
ALTER TABLE agents DROP COLUMN room_for_ticket, DROP COLUMN room_for_voice;
ALTER TABLE agents DROP CONSTRAINT agents_ticket_capacity, DROP COLUMN tickets, DROP COLUMN ticket_cap, DROP COLUMN tickets_over,
    DROP COLUMN shared_units, DROP COLUMN voice_cost, DROP COLUMN ticket_cost, DROP COLUMN voice_interrupts, DROP COLUMN ticket_interrupts,
    DROP COLUMN draining_for;
CREATE INDEX agents_free ON agents (pool_id, idle_since, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
CREATE INDEX agents_not_free ON agents (pool_id)
    WHERE is_active AND NOT (presence = 'available' AND used_units < total_units + over_by);
CREATE INDEX agents_free_idle ON agents (pool_id, profile, idle_since, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
CREATE INDEX agents_free_turn ON agents (pool_id, profile, last_offered_at, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
CREATE INDEX agents_free_weighted ON agents (pool_id, profile, turn, id)
    WHERE is_active AND presence = 'available' AND used_units < total_units + over_by;
DROP INDEX work_items_of_agent, work_items_one_of_ticket;
ALTER TABLE work_items DROP COLUMN agent_id;
ALTER TABLE queues DROP COLUMN channel, DROP COLUMN drain_after_s;
