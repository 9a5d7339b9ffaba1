"""SQL of routing. Lock order everywhere: call, then agents by id, then work item, then offers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from core.ids import AgentId, CallId, OfferId, TicketId, WorkItemId
from infra.postgres import Connection
from routing.model import (
    RECONNECT_GRACE_S,
    AgentView,
    By,
    Channel,
    OfferRow,
    OfferState,
    PresenceState,
    Proposal,
    WaitingItem,
    ranks_of,
    steps_of,
)

# Counted call by call, so that the limit holds in every stretch of so many seconds, wherever it begins.
HAS_HAD_ENOUGH: Final = """(a.max_calls IS NOT NULL AND (
    SELECT count(*) FROM offers o WHERE o.agent_id = a.id AND o.accepted_at > now() - make_interval(secs => a.max_calls_s)
      AND o.state <> 'canceled') >= a.max_calls)"""


def _has_what(required: str) -> str:
    """SQL: has agent `a` the skills of this JSON list? Null requires nothing."""
    return f"""coalesce((SELECT bool_and(coalesce((a.skills ->> (n.need ->> 'skill'))::integer, 0) >= coalesce((n.need ->> 'level')::integer, 1))
                    FROM jsonb_array_elements({required}) AS n (need)), true)"""


# Half of the last talks of a queue took at most so long; few talks say nothing.
TALKS_KEPT: Final = 100
TALKS_THAT_TELL: Final = 20
RENEW_TALKS: Final = f"""
WITH last_of AS MATERIALIZED (
    SELECT q.key, (
        SELECT CASE WHEN count(*) >= {TALKS_THAT_TELL} THEN percentile_disc(0.5) WITHIN GROUP (ORDER BY t.s)::real END
        FROM (SELECT extract(epoch FROM o.wrap_started_at - o.connected_at) AS s FROM offers o
              WHERE o.queue = q.key AND o.wrap_started_at IS NOT NULL AND o.connected_at IS NOT NULL
              ORDER BY o.wrap_started_at DESC LIMIT {TALKS_KEPT}) AS t) AS talk_s
    FROM queues q WHERE q.is_active
), due AS MATERIALIZED (
    SELECT q.key, l.talk_s FROM queues q JOIN last_of l ON l.key = q.key WHERE q.talk_s IS DISTINCT FROM l.talk_s
    ORDER BY q.key FOR NO KEY UPDATE OF q SKIP LOCKED
)
UPDATE queues q SET talk_s = due.talk_s FROM due WHERE q.key = due.key
"""
# Expected to be busy for longer than an item is kept; who is at it for longer than expected is expected at no time.
IS_BUSY_FOR_LONG: Final = (
    "(a.used_units > 0 AND a.busy_until IS NOT NULL AND a.busy_until NOT BETWEEN $2 AND i.sticky_until)"
)
# For whom alone an item is, at $2: while that agent could take it or is at work, stays, and is expected to be done in time; or also while away if the
# rule says so. Nobody may lack what the step requires, be out of the queue, or have just declined.
KEPT_FOR: Final = f"""(
    SELECT a.id FROM agents a
    WHERE a.id = i.sticky_agent_id AND i.sticky_until > $2 AND a.is_active AND a.queues ? i.queue
      AND (i.sticky_if_away OR a.presence = 'available' AND a.next_presence IS NULL AND NOT {HAS_HAD_ENOUGH} AND coalesce(
           (SELECT true FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now() LIMIT 1), false)
           AND NOT {IS_BUSY_FOR_LONG})
      AND {_has_what("i.steps -> i.step -> 'require'")}
      AND coalesce((SELECT false FROM exclusions x WHERE x.work_item_id = i.id AND x.agent_id = a.id AND x.until > $2), true))"""
STEP_IN_FORCE: Final = """(
    SELECT greatest(max(s.n) - 1, 0) FROM jsonb_array_elements(i.steps) WITH ORDINALITY AS s (step, n)
    WHERE s.n = 1 OR i.entered_at + make_interval(secs => (s.step ->> 'after_s')::float8) <= $2)"""
IS_STICKY: Final = "pool_id = $1 AND state = 'queued' AND sticky_agent_id IS NOT NULL AND NOT sticky_is_over"
# As in the partial indexes of agents: the planner uses those only where it reads the same condition.
HAS_ROOM: Final = "a.is_active AND a.presence = 'available' AND a.room_for_voice"
HAS_TICKET_ROOM: Final = "a.is_active AND a.presence = 'available' AND a.room_for_ticket"
# The pool's lock, whether anybody waits there at all and anybody has room (most passes end here), and whether a step has come into force meanwhile or
# items are to be kept for somebody, or no longer. The
# statements of a pass are planned once per connection, not for each set of values: planning took a third of its time. They read by
# index only, whatever the values are; elsewhere a plan made while a table was small could be kept too long.
TRY_POOL_LOCK: Final = f"""
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_try_advisory_xact_lock(hashtextextended('pool:' || $1, 0)) AS is_mine,
       EXISTS (SELECT 1 FROM work_items WHERE pool_id = $1 AND state = 'queued') AS has_work,
       coalesce((SELECT true FROM agents a WHERE a.pool_id = $1 AND {HAS_ROOM} ORDER BY a.idle_since, a.id LIMIT 1),
                (SELECT true FROM agents a WHERE a.pool_id = $1 AND {HAS_TICKET_ROOM} AND a.tickets >= 0
                 ORDER BY a.profile, a.tickets, a.idle_since, a.id LIMIT 1), false) AS has_room,
       EXISTS (SELECT 1 FROM work_items WHERE pool_id = $1 AND state = 'queued' AND next_step_at <= $2) AS has_due_steps,
       EXISTS (SELECT 1 FROM work_items WHERE {IS_STICKY} AND sticky_is_new) AS is_newly_sticky,
       EXISTS (SELECT 1 FROM work_items WHERE {IS_STICKY}) AS is_sticky
"""
# Who holds an item just now moves it on, or has it moved on by the next pass. In a transaction of its own: items come last in the order of locks.
OPEN_STEPS: Final = f"""
UPDATE work_items i SET step = {STEP_IN_FORCE}
FROM (SELECT id FROM work_items WHERE pool_id = $1 AND state = 'queued' AND next_step_at <= $2
      ORDER BY next_step_at LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED) due
WHERE i.id = due.id RETURNING i.id
"""


def _kept_anew(which: str) -> str:
    """SQL: for whom items are kept is decided again, of those items `i` that are sticky and so."""
    return f"""
UPDATE work_items i SET only_agent_id = {KEPT_FOR}, sticky_is_over = sticky_until <= $2, sticky_is_new = false
FROM (SELECT id FROM work_items i WHERE {IS_STICKY} AND ({which}) ORDER BY id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED) due
WHERE i.id = due.id RETURNING i.id
"""


NEWLY_KEPT: Final = _kept_anew("sticky_is_new")
KEEP_OR_RELEASE: Final = _kept_anew(f"sticky_is_new OR sticky_until <= $2 OR only_agent_id IS DISTINCT FROM {KEPT_FOR}")
POOLS: Final = "SELECT DISTINCT pool_id FROM queues WHERE is_active ORDER BY pool_id"

PUBLISHED_RULES: Final = "SELECT version, rules FROM rule_sets WHERE is_published"
# Which rules are in force, and what time it is in the zone of the dialled queue: what rules may ask about.
RULES_IN_FORCE: Final = """
SELECT r.version, r.created_at, extract(isodow FROM l.at)::integer AS weekday,
       (extract(hour FROM l.at) * 60 + extract(minute FROM l.at))::integer AS clock
FROM (SELECT $2::timestamptz AT TIME ZONE coalesce((SELECT q.zone FROM queues q WHERE q.key = $1), 'UTC') AS at) l
LEFT JOIN rule_sets r ON r.is_published
"""
RULE_SET: Final = "SELECT version, rules, origin, created_by, created_at, published_at, is_published FROM rule_sets WHERE version = $1"
RULE_SETS: Final = """
SELECT version, origin, created_by, created_at, published_at, is_published FROM rule_sets ORDER BY version DESC LIMIT $1
"""
RULE_SETS_BY_VERSION: Final = "SELECT version, rules FROM rule_sets WHERE version = ANY($1)"
RECENT_ITEMS: Final = """
SELECT id, call_id, ticket_id, entered_at, ruleset_version, facts FROM work_items ORDER BY id DESC LIMIT $1
"""
# Items are decided again from the facts that their rules saw, and compared with what those rules said; 0 is what counts where none are published.
# What an agent has transferred to a queue is there by a person's word, not by a rule.
CAN_BE_DECIDED: Final = """(i.facts ? 'call.queue' AND (i.ruleset_version = 0 OR EXISTS (SELECT 1 FROM rule_sets r WHERE r.version = i.ruleset_version))
    AND coalesce((SELECT false FROM transfers t WHERE t.call_id = i.call_id AND t.to_kind = 'queue' LIMIT 1), true))"""
# Who is in line by other rules. What waits is found first, by its own index: by id, all that ever waited would be read.
IN_LINE_BY_OTHER_RULES: Final = f"""
WITH live AS MATERIALIZED (
    SELECT i.id FROM work_items i
    WHERE i.state IN ('queued', 'offering') AND NOT i.is_external AND i.ruleset_version <> $1 AND i.reroute_version IS DISTINCT FROM $1 AND {CAN_BE_DECIDED}
)
SELECT i.id, i.call_id, i.ticket_id, i.state, i.queue, i.pool_id, i.tier, i.boost_s, i.is_tier_by_hand, i.is_boost_by_hand, i.entered_at, i.ruleset_version, i.facts
FROM (SELECT id FROM live ORDER BY id LIMIT $2) l JOIN work_items i ON i.id = l.id ORDER BY i.id
"""
IN_LINE_COUNTED: Final = f"""
SELECT count(*) AS waiting, count(*) FILTER (WHERE i.ruleset_version = $1 OR i.reroute_version = $1) AS by_these,
       count(*) FILTER (WHERE i.ruleset_version <> $1 AND i.reroute_version IS DISTINCT FROM $1 AND NOT {CAN_BE_DECIDED}) AS without_facts
FROM work_items i WHERE i.state IN ('queued', 'offering') AND NOT i.is_external
"""
TO_REROUTE: Final = """
SELECT id, call_id, ticket_id, state, queue, pool_id, tier, boost_s, is_tier_by_hand, is_boost_by_hand, entered_at, ruleset_version, facts, reroute_version
FROM work_items WHERE id = $1 AND reroute_version IS NOT NULL
"""
IS_PUBLISHED: Final = "SELECT is_published FROM rule_sets WHERE version = $1 FOR SHARE"
LOCK_POOL: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pool:' || $1, 0))"
LOCK_IN_LINE: Final = """
SELECT id, state, ruleset_version, queue, pool_id, tier, boost_s, is_tier_by_hand, is_boost_by_hand FROM work_items
WHERE id = ANY($1) AND state IN ('queued', 'offering') ORDER BY id FOR UPDATE
"""
# The step begins anew at the first: SET_NEXT_LOOK puts in force the one whose time it is.
REROUTE_ITEM: Final = """
UPDATE work_items i SET queue = q.key, pool_id = q.pool_id, tier = $3, boost_s = $4::integer,
       virtual_start = i.entered_at - make_interval(secs => $4::integer), steps = $5, step = 0, rule = $6, ruleset_version = $7,
       reroute_version = NULL, version = i.version + 1
FROM queues q WHERE i.id = $1 AND q.key = $2 RETURNING i.id, i.call_id, i.queue, i.pool_id, i.version
"""
KEEP_ITEM_FOR: Final = """
UPDATE work_items SET sticky_is_new = true, sticky_agent_id = $2::bigint, sticky_until = entered_at + make_interval(secs => $3::integer),
       sticky_if_away = coalesce($4, false), sticky_is_over = false, only_agent_id = NULL
WHERE id = $1
"""
PIN_ITEMS: Final = """
UPDATE work_items i SET rule = p.rule, ruleset_version = $3, reroute_version = NULL, version = i.version + 1
FROM unnest($1::bigint[], $2::text[]) AS p (id, rule) WHERE i.id = p.id
"""
REROUTE_LATER: Final = "UPDATE work_items SET reroute_version = $2, version = version + 1 WHERE id = ANY($1)"
COPY_RULE_SET: Final = """
INSERT INTO rule_sets (version, rules, origin, created_by)
SELECT (SELECT max(version) FROM rule_sets) + 1, rules, $2, $3 FROM rule_sets WHERE version = $1 RETURNING version
"""
ROSTER: Final = """
SELECT a.skills, ARRAY(SELECT q.queue_key FROM agent_queues q WHERE q.agent_id = a.id) AS queues FROM agents a WHERE a.is_active
"""
# Versions are numbered without gaps and one is published: whoever adds or publishes goes alone.
LOCK_RULE_SETS: Final = "SELECT pg_advisory_xact_lock(hashtextextended('rule_sets', 0))"
ADD_RULE_SET: Final = """
INSERT INTO rule_sets (version, rules, origin, created_by) SELECT coalesce(max(version), 0) + 1, $1, $2, $3 FROM rule_sets
RETURNING version
"""
UNPUBLISH: Final = "UPDATE rule_sets SET is_published = false WHERE is_published"
PUBLISH: Final = """
UPDATE rule_sets SET is_published = true, published_at = coalesce(published_at, $2) WHERE version = $1 RETURNING version
"""

# With whom a customer talked last, as far back as $2 says; of a customer with many tickets those that changed last are looked at.
LAST_AGENT: Final = """
SELECT o.agent_id FROM (
    SELECT id FROM tickets WHERE customer_id = $1 ORDER BY updated_at DESC, id DESC LIMIT 50
) t JOIN ticket_calls c ON c.ticket_id = t.id JOIN offers o ON o.call_id = c.call_id
WHERE o.connected_at > $2 ORDER BY o.connected_at DESC LIMIT 1
"""
TICKET_OWNER: Final = "SELECT assignee_id FROM tickets WHERE id = $1"
AGENT_BY_ADDRESS: Final = (
    "SELECT a.id FROM users u JOIN agents a ON a.id = u.id WHERE lower(u.email) = $1 AND a.is_active"
)
AGENT_ADDRESSES: Final = "SELECT lower(u.email) AS email FROM users u JOIN agents a ON a.id = u.id WHERE a.is_active"

QUEUE_SETTINGS: Final = """
SELECT key, pool_id, within_s, target, short_abandon_s, offer_timeout_s, wrap_mode, wrap_s, wrap_extension_s, reject_s, busy_s,
       no_answer_s, misses_before_not_responding, zone
FROM queues WHERE key = $1
"""
# Held until the item is in: a queue that `apply` takes away meanwhile is not found, or waits for this transaction.
LOCKED_QUEUE: Final = "key, channel, max_waiting, max_wait_s, if_nobody, overflow_to, overflow_voicemail"
LOCK_QUEUE: Final = (
    f"SELECT {LOCKED_QUEUE} FROM queues WHERE key = $1 AND is_active AND channel = 'voice' FOR KEY SHARE"
)
LOCK_TICKET_QUEUE: Final = "SELECT key FROM queues WHERE key = $1 AND is_active AND channel = 'ticket' FOR KEY SHARE"
FIRST_QUEUE: Final = f"SELECT {LOCKED_QUEUE} FROM queues WHERE is_active AND channel = 'voice' ORDER BY position, key LIMIT 1 FOR KEY SHARE"
QUEUES: Final = """
SELECT key, name, channel, within_s, target, offer_timeout_s, wrap_mode, wrap_s, wrap_extension_s, default_disposition, reject_s, busy_s,
       no_answer_s, misses_before_not_responding, pool_id
FROM queues WHERE is_active ORDER BY position, key
"""
SKILLS: Final = "SELECT key, name FROM skills ORDER BY key"

# Item and its first stint in one round trip; a second delivery of the same call changes nothing.
ADD_ITEM: Final = """
WITH item AS (
    INSERT INTO work_items (call_id, ticket_id, channel, queue, pool_id, state, tier, boost_s, entered_at, virtual_start, steps, rule,
                            ruleset_version, facts, sticky_agent_id, sticky_until, sticky_if_away, is_external)
    SELECT $1, $2, q.channel, q.key, q.pool_id, CASE WHEN $14 THEN 'external' ELSE 'queued' END, $4, $5::integer, $6::timestamptz,
           $6::timestamptz - make_interval(secs => $5::integer), $7, $8, $9, $10,
           $11::bigint, $6::timestamptz + make_interval(secs => $12::integer), coalesce($13, false), $14
    FROM queues q WHERE q.key = $3
    ON CONFLICT (call_id) DO NOTHING RETURNING id, call_id, queue, pool_id, version, entered_at,
        CASE WHEN NOT $14 THEN least(next_step_at, sticky_until,
            (SELECT entered_at + make_interval(secs => q.delays_s[1]) FROM queues q WHERE q.key = work_items.queue)) END AS next_look_at
), stint AS (
    INSERT INTO stints (work_item_id, call_id, queue, entered_at, within_s, target, short_abandon_s, zone)
    SELECT i.id, i.call_id, i.queue, i.entered_at, q.within_s, q.target, q.short_abandon_s, q.zone
    FROM item i JOIN queues q ON q.key = i.queue
), timer AS (
    INSERT INTO timers (kind, object_id, object_version, due_at)
    SELECT 'routing.step', i.id, 0, i.next_look_at FROM item i WHERE i.next_look_at IS NOT NULL
    ON CONFLICT (kind, object_id) DO UPDATE SET due_at = excluded.due_at
)
SELECT id, pool_id, queue, version FROM item
"""
# A call that an agent makes: in nobody's line, so it has no stay in the queue.
ADD_OUTBOUND_ITEM: Final = """
INSERT INTO work_items (call_id, ticket_id, channel, queue, pool_id, state, entered_at, virtual_start, steps, rule, ruleset_version, is_outbound)
SELECT $1, $2, q.channel, q.key, q.pool_id, 'queued', $4, $4, '[{"after_s": 0, "require": []}]', $5, 0, true FROM queues q WHERE q.key = $3
RETURNING id
"""
MARK_OUTBOUND: Final = "UPDATE offers SET is_outbound = true WHERE id = $1"
HAS_A_CALL: Final = """
SELECT EXISTS (SELECT 1 FROM offers WHERE agent_id = $1 AND call_id IS NOT NULL AND state IN ('pending', 'accepted', 'wrapping'))
"""
# This queue, or the first; of an agent those served.
OUTBOUND_QUEUE: Final = """
SELECT q.key FROM queues q WHERE q.is_active AND q.channel = 'voice' AND ($1::text IS NULL OR q.key = $1)
  AND ($2::bigint IS NULL OR EXISTS (SELECT 1 FROM agent_queues m WHERE m.queue_key = q.key AND m.agent_id = $2))
ORDER BY q.position, q.key LIMIT 1
"""
ADD_STINT: Final = """
INSERT INTO stints (work_item_id, call_id, queue, entered_at, within_s, target, short_abandon_s, zone)
SELECT i.id, i.call_id, i.queue, $2::timestamptz, q.within_s, q.target, q.short_abandon_s, q.zone
FROM work_items i JOIN queues q ON q.key = i.queue WHERE i.id = $1
ON CONFLICT (work_item_id) WHERE left_at IS NULL DO NOTHING
"""
END_STINT: Final = """
UPDATE stints SET outcome = $2, left_at = greatest($3, entered_at), connected_at = CASE WHEN $2 = 'answered' THEN greatest($3, entered_at) END
WHERE work_item_id = $1 AND left_at IS NULL
"""

END_STINT_BY_OVERFLOW: Final = """
UPDATE stints SET outcome = 'overflowed', left_at = greatest($2, entered_at), overflow_reason = $3 WHERE work_item_id = $1 AND left_at IS NULL
"""
MOVE_ITEM: Final = """
UPDATE work_items i SET queue = q.key, pool_id = q.pool_id, version = version + 1 FROM queues q WHERE q.key = $2 AND i.id = $1
"""
# Who enters a queue with a cap goes in alone, so that the count is true.
LOCK_ENTRANCE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('entrance:' || $1, 0))"
IS_FULL: Final = """
SELECT count(*) >= $3 FROM (
    SELECT 1 FROM work_items WHERE queue = $1 AND state IN ('queued', 'offering') AND id <> $2 LIMIT $3
) waiting
"""
ITEM_FOR_OVERFLOW: Final = """
SELECT i.queue, i.call_id, i.ticket_id, s.entered_at FROM work_items i JOIN stints s ON s.work_item_id = i.id AND s.left_at IS NULL WHERE i.id = $1
"""

# A ticket as work, if it is or was just now: in a ticket queue, or with an item that lives.
TICKET_WORK: Final = """
SELECT t.id, t.state IN ('new', 'open') AND q.key IS NOT NULL AS is_work, t.queue, t.assignee_id,
       i.id AS item_id, i.queue AS item_queue, i.agent_id
FROM tickets t LEFT JOIN queues q ON q.key = t.queue AND q.channel = 'ticket' AND q.is_active
LEFT JOIN work_items i ON i.ticket_id = t.id AND i.channel = 'ticket' AND i.state IN ('queued', 'assigned')
WHERE t.id = $1 AND (q.key IS NOT NULL OR i.id IS NOT NULL)
"""
# What a person gave may be more than the agent's capacity.
ASSIGN_BY_HAND: Final = """
WITH given AS (
    UPDATE work_items SET state = 'assigned', agent_id = $2, version = version + 1 WHERE id = $1 RETURNING agent_id
)
UPDATE agents a SET tickets = a.tickets + 1, tickets_over = greatest(a.tickets_over, a.tickets + 1 - a.ticket_cap), version = a.version + 1
FROM given g WHERE a.id = g.agent_id
"""
ASSIGN_ITEMS: Final = """
WITH given AS (
    UPDATE work_items w SET state = 'assigned', agent_id = c.agent, version = w.version + 1
    FROM unnest($1::bigint[], $2::bigint[]) AS c (item, agent) WHERE w.id = c.item AND w.state = 'queued' RETURNING w.agent_id
)
UPDATE agents a SET tickets = a.tickets + 1, last_offered_at = $3, version = a.version + 1 FROM given g WHERE a.id = g.agent_id
"""
UNASSIGN_ITEM: Final = "UPDATE work_items SET state = 'queued', agent_id = NULL, version = version + 1 WHERE id = $1"
GIVE_BACK_TICKET: Final = """
UPDATE agents SET tickets = tickets - 1, tickets_over = least(tickets_over, greatest(0, tickets - 1 - ticket_cap)), version = version + 1
WHERE id = $1
"""
# Open tickets of these queues, which have become ticket queues.
TICKETS_TO_SETTLE: Final = """
SELECT t.id, t.version FROM queues q CROSS JOIN LATERAL (
    SELECT t.id, t.version FROM tickets t WHERE t.queue = q.key AND t.state IN ('new', 'open') ORDER BY t.id
) t WHERE q.key = ANY($1)
"""

SERVES_QUEUE_OF: Final = """
SELECT EXISTS (SELECT 1 FROM work_items i JOIN agent_queues m ON m.queue_key = i.queue AND m.agent_id = $1 WHERE i.id = $2)
"""
LINE_KEY: Final = "tier DESC, virtual_start, entered_at, id"
# What those in line ask for: the first of each need, found by hopping from need to need in the index.
NEEDS: Final = f"""
WITH RECURSIVE first_of AS (
    (SELECT need, queue, steps -> step AS step, only_agent_id, tier, virtual_start, entered_at, id FROM work_items
     WHERE pool_id = $1 AND state = 'queued' ORDER BY need, {LINE_KEY} LIMIT 1)
    UNION ALL
    SELECT n.* FROM first_of f CROSS JOIN LATERAL (
        SELECT need, queue, steps -> step AS step, only_agent_id, tier, virtual_start, entered_at, id FROM work_items
        WHERE pool_id = $1 AND state = 'queued' AND need > f.need ORDER BY need, {LINE_KEY} LIMIT 1
    ) n
)
SELECT f.*, q.pick, q.channel, q.is_ranked, q.delays_s FROM first_of f JOIN queues q ON q.key = f.queue WHERE q.held_since IS NULL
"""
# The oldest of each of these needs.
OLDEST: Final = """
SELECT n.need, (SELECT min(i.entered_at) FROM work_items i WHERE i.pool_id = $1 AND i.need = n.need AND i.state = 'queued' AND i.entered_at > '-infinity') AS entered_at
FROM unnest($2::bigint[]) AS n (need)
"""
# A ticket may have been resolved, moved or assigned a moment ago, and its item not follow yet: it keeps nobody from what is behind it.
CAN_BE_GIVEN: Final = """(h.channel = 'voice' OR coalesce((
    SELECT t.assignee_id IS NULL AND t.state IN ('new', 'open') AND t.queue = h.queue FROM tickets t WHERE t.id = h.ticket_id), false))"""
# The heads of the lines of these needs. Others cannot hold them back, however long their lines are.
WAITING_ITEMS: Final = f"""
SELECT i.id, coalesce(i.call_id, i.consulted_call_id) AS call_id, i.ticket_id, i.queue, i.tier, i.virtual_start, i.entered_at, i.steps, i.rule, i.ruleset_version, i.need,
       i.only_agent_id, i.channel, q.offer_timeout_s, q.pick,
       ARRAY(SELECT x.agent_id FROM exclusions x WHERE x.work_item_id = i.id AND x.until > $3) AS excluded
FROM unnest($2::bigint[]) AS n (need)
CROSS JOIN LATERAL (
    SELECT * FROM work_items h WHERE h.pool_id = $1 AND h.need = n.need AND h.state = 'queued' AND {CAN_BE_GIVEN} ORDER BY {LINE_KEY} LIMIT $4
) i
JOIN queues q ON q.key = i.queue
"""
# The step in force, and the next moment at which this item may find somebody without anything else happening: a step opens, an
# exclusion ends, it is kept for nobody any more, a group that leaves it to others for a while sees it.
SET_NEXT_LOOK: Final = f"""
WITH item AS (
    SELECT i.id, i.entered_at, i.steps, i.sticky_until, {STEP_IN_FORCE} AS step, q.delays_s
    FROM work_items i JOIN queues q ON q.key = i.queue WHERE i.id = $1 FOR NO KEY UPDATE OF i
), moved AS (
    UPDATE work_items i SET step = item.step FROM item
    WHERE i.id = item.id AND i.step <> item.step AND i.state IN ('queued', 'offering')
)
INSERT INTO timers (kind, object_id, object_version, due_at)
SELECT 'routing.step', item.id, 0, d.due FROM item CROSS JOIN LATERAL (SELECT least(
    item.entered_at + make_interval(secs => (item.steps -> (item.step + 1)::integer ->> 'after_s')::float8),
    CASE WHEN item.sticky_until > $2 THEN item.sticky_until END,
    (SELECT min(x.until) FROM exclusions x WHERE x.work_item_id = item.id AND x.until > $2),
    (SELECT min(item.entered_at + make_interval(secs => s)) FROM unnest(item.delays_s) s WHERE item.entered_at + make_interval(secs => s) > $2)
) AS due) d
WHERE d.due IS NOT NULL
ON CONFLICT (kind, object_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0, last_error = NULL
"""
# Both as subqueries with one row, which are looked up for each agent: an EXISTS may be hashed, which reads all there are.
WORK_OF_AGENT: Final = """
CASE WHEN a.used_units = 0 THEN 'idle' ELSE coalesce((
    SELECT CASE min(CASE o.state WHEN 'wrapping' THEN 1 WHEN 'accepted' THEN 2 ELSE 3 END)
           WHEN 1 THEN 'wrapping' WHEN 2 THEN 'in_call' WHEN 3 THEN 'offered' END
    FROM offers o WHERE o.agent_id = a.id AND o.state IN ('pending', 'accepted', 'wrapping')), 'idle') END
"""
IS_CONNECTED: Final = (
    "coalesce((SELECT true FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now() LIMIT 1), false)"
)
# For statements that look at all agents at once: there the hash is what is wanted.
HAS_DESK: Final = "EXISTS (SELECT 1 FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now())"
IS_FREE: Final = f"""{HAS_ROOM} AND a.next_presence IS NULL AND (a.cooldown_until IS NULL OR a.cooldown_until <= $2) AND {IS_CONNECTED}
        AND {WORK_OF_AGENT} <> 'wrapping' AND NOT {HAS_HAD_ENOUGH}"""
# The time ($2) says nothing here: cool-downs and limits are of the telephone.
IS_FREE_FOR_TICKETS: Final = f"""{HAS_TICKET_ROOM} AND $2::timestamptz IS NOT NULL AND a.next_presence IS NULL AND {IS_CONNECTED}
        AND {WORK_OF_AGENT} <> 'wrapping'"""
# Who has chosen to go after the work in hand is as good as gone for any more.
AGENT_VIEW: Final = f"""a.id, a.name, a.skills, a.queues,
       CASE WHEN {HAS_ROOM} THEN coalesce(a.next_presence, a.presence) ELSE a.presence END AS presence,
       CASE WHEN a.room_for_voice THEN a.total_units + a.over_by - a.used_units ELSE 0 END AS free_units, a.idle_since,
       a.tickets, a.room_for_ticket AND a.next_presence IS NULL AS has_ticket_room, a.draining_for IS NOT NULL AS is_draining,
       NOT a.room_for_voice AND a.used_units < a.total_units + a.over_by AS is_crowded, a.last_offered_at, a.turn, a.cooldown_until, {IS_CONNECTED} AS is_connected, {WORK_OF_AGENT} AS work, {HAS_HAD_ENOUGH} AS has_had_enough"""


# What the index of each order is sorted by, and the condition that it alone has, and that always holds (migration 0020).
ORDERS: Final = {
    By.LONGEST_IDLE: ("a.idle_since", "a.idle_since > '-infinity'"),
    By.ROUND_ROBIN: ("a.last_offered_at", "a.last_offered_at > '-infinity'"),
    By.WEIGHTED: ("a.turn", "a.turn >= 0"),
    By.LEAST_LOADED: ("a.tickets, a.idle_since", "a.tickets >= 0"),
}


def _free_profiles(by: By, free: str = IS_FREE) -> str:
    """Of these profiles those that somebody free has, with the first of them in this order: its clock, and what breaks ties."""
    order, only = ORDERS[by]
    first, _, then = order.partition(", ")
    return f"""
SELECT p.profile, f.first, f.then, f.id FROM unnest($3::bigint[]) AS p (profile) CROSS JOIN LATERAL (
    SELECT {first} AS first, {then or "NULL::timestamptz"} AS then, a.id FROM agents a
    WHERE a.pool_id = $1 AND a.profile = p.profile AND {only} AND {free} ORDER BY {order}, a.id LIMIT 1
) f
"""


def _candidates(by: By, free: str = IS_FREE) -> str:
    """The first $4 free agents of each of the profiles $3."""
    order, only = ORDERS[by]
    return f"""
SELECT {AGENT_VIEW} FROM unnest($3::bigint[]) AS p (profile) CROSS JOIN LATERAL (
    SELECT * FROM agents a WHERE a.pool_id = $1 AND a.profile = p.profile AND {only} AND {free} ORDER BY {order}, a.id LIMIT $4
) a
"""


FREE_PROFILES_BY_IDLE: Final = _free_profiles(By.LONGEST_IDLE)
FREE_PROFILES_BY_TURN: Final = _free_profiles(By.ROUND_ROBIN)
FREE_PROFILES_BY_WEIGHT: Final = _free_profiles(By.WEIGHTED)
FREE_PROFILES_BY_LOAD: Final = _free_profiles(By.LEAST_LOADED)
TICKET_PROFILES_BY_TURN: Final = _free_profiles(By.ROUND_ROBIN, IS_FREE_FOR_TICKETS)
TICKET_PROFILES_BY_LOAD: Final = _free_profiles(By.LEAST_LOADED, IS_FREE_FOR_TICKETS)
FREE_PROFILES: Final = {
    (Channel.VOICE, By.LONGEST_IDLE): FREE_PROFILES_BY_IDLE,
    (Channel.VOICE, By.ROUND_ROBIN): FREE_PROFILES_BY_TURN,
    (Channel.VOICE, By.WEIGHTED): FREE_PROFILES_BY_WEIGHT,
    (Channel.VOICE, By.LEAST_LOADED): FREE_PROFILES_BY_LOAD,
    (Channel.TICKET, By.ROUND_ROBIN): TICKET_PROFILES_BY_TURN,
    (Channel.TICKET, By.LEAST_LOADED): TICKET_PROFILES_BY_LOAD,
}
CANDIDATES_BY_IDLE: Final = _candidates(By.LONGEST_IDLE)
CANDIDATES_BY_TURN: Final = _candidates(By.ROUND_ROBIN)
CANDIDATES_BY_WEIGHT: Final = _candidates(By.WEIGHTED)
CANDIDATES_BY_LOAD: Final = _candidates(By.LEAST_LOADED)
TICKET_CANDIDATES_BY_TURN: Final = _candidates(By.ROUND_ROBIN, IS_FREE_FOR_TICKETS)
TICKET_CANDIDATES_BY_LOAD: Final = _candidates(By.LEAST_LOADED, IS_FREE_FOR_TICKETS)
CANDIDATES: Final = {
    (Channel.VOICE, By.LONGEST_IDLE): CANDIDATES_BY_IDLE,
    (Channel.VOICE, By.ROUND_ROBIN): CANDIDATES_BY_TURN,
    (Channel.VOICE, By.WEIGHTED): CANDIDATES_BY_WEIGHT,
    (Channel.VOICE, By.LEAST_LOADED): CANDIDATES_BY_LOAD,
    (Channel.TICKET, By.ROUND_ROBIN): TICKET_CANDIDATES_BY_TURN,
    (Channel.TICKET, By.LEAST_LOADED): TICKET_CANDIDATES_BY_LOAD,
}
IS_ROOM_FOR_TICKETS: Final = f"SELECT EXISTS (SELECT 1 FROM agents a WHERE a.pool_id = $1 AND {HAS_TICKET_ROOM})"
# Of these agents those who are free: items are kept for them.
FREE_AMONG: Final = f"SELECT {AGENT_VIEW} FROM agents a WHERE a.id = ANY($3) AND a.pool_id = $1 AND {IS_FREE}"
AGENTS_AMONG: Final = f"SELECT {AGENT_VIEW} FROM agents a WHERE a.id = ANY($2) AND a.pool_id = $1 AND a.is_active"
# Whether they are still those that are known: they are never changed, only added.
PROFILES_SEEN: Final = "SELECT count(*) AS count, bit_xor(profile) AS checksum FROM profiles WHERE pool_id = $1"
PROFILES: Final = "SELECT profile, queues, skills FROM profiles WHERE pool_id = $1"
# Who is free, serves one of these queues and has been idle longest, looked for among the first so many who are free at all; and one
# more, `is_beyond`, when fewer were found and that was not everybody.
LOOKED_THROUGH: Final = 200
LONGEST_IDLE: Final = f"""
SELECT * FROM (
    (SELECT {AGENT_VIEW}, false AS is_beyond FROM (
        SELECT * FROM agents a WHERE a.pool_id = $1 AND {IS_FREE} ORDER BY a.idle_since, a.id LIMIT {LOOKED_THROUGH}
    ) a WHERE a.queues ?| $4 LIMIT $3)
    UNION ALL
    (SELECT {AGENT_VIEW}, true AS is_beyond FROM (
        SELECT * FROM agents a WHERE a.pool_id = $1 AND {IS_FREE} ORDER BY a.idle_since, a.id OFFSET {LOOKED_THROUGH} LIMIT 1
    ) a)
) found LIMIT $3
"""
ROOM_COUNTED: Final = 20
# How many of a profile are free, as far as it matters for telling the rare from the common.
FREE_OF_PROFILES: Final = f"""
SELECT p.profile, (SELECT count(*) FROM (SELECT 1 FROM agents a WHERE a.pool_id = $1 AND a.profile = p.profile
         AND {ORDERS[By.LONGEST_IDLE][1]} AND {IS_FREE} LIMIT {ROOM_COUNTED}) f) AS free
FROM unnest($3::bigint[]) AS p (profile)
"""
END_DRAINING: Final = """
UPDATE agents a SET draining_for = NULL, version = a.version + 1
FROM (
    SELECT b.id FROM agents b WHERE b.draining_for IS NOT NULL AND (b.presence <> 'available' OR NOT EXISTS (
        SELECT 1 FROM work_items i JOIN queues q ON q.key = i.queue
        WHERE i.id = b.draining_for AND i.state IN ('queued', 'offering') AND i.pool_id = b.pool_id AND b.queues ? i.queue
          AND q.held_since IS NULL AND q.drain_after_s IS NOT NULL AND (i.only_agent_id IS NULL OR i.only_agent_id = b.id)))
    ORDER BY b.id FOR UPDATE OF b SKIP LOCKED
) e
WHERE a.id = e.id RETURNING a.id
"""
# As in the partial index: no call at hand, and no room for one because of tickets.
IS_CROWDED: Final = """a.is_active AND a.presence = 'available' AND NOT a.room_for_voice AND a.tickets > 0
      AND a.used_units < a.total_units + a.over_by"""
BEGIN_DRAINING: Final = f"""
WITH late AS (
    SELECT i.id, i.queue, i.pool_id, i.tier, i.entered_at, i.steps -> i.step -> 'require' AS require, i.only_agent_id FROM queues q
    CROSS JOIN LATERAL (
        SELECT * FROM work_items w WHERE w.queue = q.key AND w.state = 'queued' AND w.entered_at <= now() - make_interval(secs => q.drain_after_s)
        ORDER BY {LINE_KEY} LIMIT $1
    ) i
    WHERE q.is_active AND q.channel = 'voice' AND q.drain_after_s IS NOT NULL AND q.held_since IS NULL
      AND EXISTS (SELECT 1 FROM agents a WHERE a.pool_id = q.pool_id AND {IS_CROWDED})
      AND NOT EXISTS (SELECT 1 FROM agents d WHERE d.draining_for = i.id)
), chosen AS (
    SELECT DISTINCT ON (c.id) c.id, l.id AS item FROM late l CROSS JOIN LATERAL (
        SELECT a.id FROM agents a
        WHERE a.pool_id = l.pool_id AND {IS_CROWDED} AND a.draining_for IS NULL AND a.next_presence IS NULL AND a.queues ? l.queue
          AND l.entered_at <= now() - make_interval(secs => coalesce((a.queues -> l.queue ->> 'delay_s')::float8, 0))
          AND (l.only_agent_id IS NULL OR l.only_agent_id = a.id)
          AND {IS_CONNECTED}
          AND {_has_what("l.require")}
          AND NOT EXISTS (SELECT 1 FROM exclusions x WHERE x.work_item_id = l.id AND x.agent_id = a.id AND x.until > now())
          AND NOT EXISTS (SELECT 1 FROM work_items t WHERE t.agent_id = a.id AND t.channel = 'ticket' AND t.state = 'assigned' AND t.tier > l.tier)
        ORDER BY a.tickets, a.idle_since, a.id LIMIT 1
    ) c ORDER BY c.id, l.id
), locked AS (
    SELECT a.id, c.item FROM agents a JOIN chosen c ON c.id = a.id WHERE a.draining_for IS NULL ORDER BY a.id FOR UPDATE OF a SKIP LOCKED
)
UPDATE agents a SET draining_for = l.item, version = a.version + 1 FROM locked l WHERE a.id = l.id RETURNING a.id, a.draining_for
"""
# For explaining: who has room comes first, idle longest first; of the others as many as fit. Flat, however many the pool has.
POOL_AGENTS: Final = f"""
SELECT {AGENT_VIEW} FROM (
    SELECT * FROM (
        (SELECT *, 1 AS part FROM agents a WHERE a.pool_id = $1 AND {HAS_ROOM} ORDER BY a.idle_since, a.id LIMIT $2)
        UNION ALL
        (SELECT *, 2 AS part FROM agents a WHERE a.pool_id = $1 AND a.is_active AND NOT (a.presence = 'available' AND a.room_for_voice) LIMIT $2)
    ) parts ORDER BY part, idle_since, id LIMIT $2
) a
"""
# Who ends a call holds its row: no offer is made of a call that is just ending, and none is missed by its end.
LOCK_LIVE_CALLS: Final = """
SELECT id FROM calls WHERE id = ANY($1) AND outcome IS NULL ORDER BY id FOR SHARE SKIP LOCKED
"""
# Those of $1 who can still be asked for a call, or be given a ticket, which is for whom $2 names.
LOCK_FREE_AGENTS: Final = f"""
SELECT a.id FROM agents a
WHERE a.id = ANY($1) AND a.is_active AND a.presence = 'available' AND a.next_presence IS NULL AND {IS_CONNECTED}
  AND CASE WHEN a.id = ANY($2) THEN a.room_for_ticket ELSE a.room_for_voice AND NOT {HAS_HAD_ENOUGH} END
ORDER BY a.id FOR UPDATE OF a
"""
LOCK_AGENTS: Final = "SELECT id FROM agents WHERE id = ANY($1) ORDER BY id FOR UPDATE"
LOCK_QUEUED_ITEMS: Final = """
SELECT id, need FROM work_items WHERE id = ANY($1) AND state = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED
"""
MAKE_OFFERS: Final = """
WITH chosen AS (
    SELECT item, agent, step, timeout_s FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::integer[])
        AS c (item, agent, step, timeout_s)
), items AS (
    UPDATE work_items w SET state = 'offering', version = w.version + 1
    FROM (SELECT DISTINCT item FROM chosen) c WHERE w.id = c.item AND (w.state = 'queued' OR w.is_external AND w.state IN ('external', 'offering'))
    RETURNING w.id, coalesce(w.call_id, w.consulted_call_id) AS call_id, w.queue, w.pool_id
), made AS (
    INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline)
    SELECT i.id, i.call_id, c.agent, i.queue, i.pool_id, c.step, 1, 'pending', $5::timestamptz, $5::timestamptz + make_interval(secs => c.timeout_s)
    FROM chosen c JOIN items i ON i.id = c.item
    RETURNING id, work_item_id, call_id, agent_id, queue, pool_id, deadline, version
), held AS (
    UPDATE agents a SET used_units = a.used_units + 1, last_offered_at = $5, version = a.version + 1,
           busy_until = $5::timestamptz + make_interval(secs => q.talk_s)
    FROM made m JOIN queues q ON q.key = m.queue WHERE a.id = m.agent_id
), timers AS (
    INSERT INTO timers (kind, object_id, object_version, due_at) SELECT 'routing.offer', id, version, deadline FROM made
)
SELECT id, work_item_id, call_id, agent_id, queue, pool_id, version FROM made
"""
# Weighted offers were made: start-time fair queueing. The pool's turn is where the last of them began.
TAKE_TURNS: Final = """
WITH began AS (
    SELECT a.id, a.pool_id, a.weight, greatest(a.turn, p.turn) AS turn
    FROM agents a LEFT JOIN pool_turns p ON p.pool_id = a.pool_id WHERE a.id = ANY($1)
), moved AS (
    UPDATE agents a SET turn = b.turn + 1.0 / b.weight FROM began b WHERE a.id = b.id
)
INSERT INTO pool_turns (pool_id, turn) SELECT pool_id, max(turn) FROM began WHERE pool_id IS NOT NULL GROUP BY pool_id
ON CONFLICT (pool_id) DO UPDATE SET turn = greatest(pool_turns.turn, excluded.turn)
"""
ADD_DECISIONS: Final = """
INSERT INTO decisions (work_item_id, offer_id, at, ruleset_version, rule, step, chosen_agent_id, chosen_by, verdicts, counts)
SELECT item, offer, at, version, rule, step, chosen, chosen_by, verdicts::jsonb, counts::jsonb
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::integer[], $5::text[], $6::smallint[], $7::bigint[], $8::text[],
            $9::text[], $10::text[]) AS d (item, offer, at, version, rule, step, chosen, chosen_by, verdicts, counts)
"""

LOCK_RANKED_ITEM: Final = """
SELECT id, call_id, state, queue, pool_id, tier, boost_s, is_tier_by_hand, is_boost_by_hand, ruleset_version, version
FROM work_items WHERE id = $1 FOR UPDATE
"""
# What is no longer said by hand is what its step says, if the rule has ranks by step: the table sees to it (ADR 0015).
RANK_ITEM: Final = """
UPDATE work_items SET tier = $2, boost_s = $3, virtual_start = entered_at - make_interval(secs => $3::integer),
       is_tier_by_hand = $4, is_boost_by_hand = $5, version = version + 1
WHERE id = $1
RETURNING id, call_id, state, queue, pool_id, tier, boost_s, is_tier_by_hand, is_boost_by_hand, ruleset_version, version
"""
LOCK_HELD_QUEUE: Final = (
    "SELECT key, pool_id, held_since, held_by, hold_version FROM queues WHERE key = $1 AND is_active FOR NO KEY UPDATE"
)
HOLD_QUEUE: Final = """
UPDATE queues SET held_since = $2, held_by = $3, hold_version = hold_version + 1 WHERE key = $1
RETURNING key, pool_id, held_since, held_by, hold_version
"""
# The agent a person has in mind, as `decide` sees agents.
AGENT_IN_MIND: Final = f"SELECT {AGENT_VIEW} FROM agents a WHERE a.id = $1 AND a.is_active"
# Of these agents those with a call at the ear: one of them rings, or they talk.
AT_THE_PHONE: Final = """
SELECT agent_id, bool_or(state = 'accepted') AS talks FROM offers WHERE agent_id = ANY($1) AND state IN ('pending', 'accepted')
GROUP BY agent_id
"""
MAKE_ROOM: Final = "UPDATE agents SET over_by = greatest(over_by, used_units + 1 - total_units) WHERE id = $1"
# A queue as somebody sees it: all of them, or an agent those served.
QUEUE_IN_VIEW: Final = """
SELECT q.key, q.pool_id FROM queues q WHERE q.key = $1 AND q.is_active
  AND ($2::bigint IS NULL OR EXISTS (SELECT 1 FROM agent_queues m WHERE m.queue_key = q.key AND m.agent_id = $2))
"""
# The first in line of one queue: the heads of its needs, found as in NEEDS, and what rings.
LINE_OF_QUEUE: Final = f"""
WITH RECURSIVE first_of AS (
    (SELECT need, queue FROM work_items WHERE pool_id = $1 AND state = 'queued' ORDER BY need, {LINE_KEY} LIMIT 1)
    UNION ALL
    SELECT n.* FROM first_of f CROSS JOIN LATERAL (
        SELECT need, queue FROM work_items WHERE pool_id = $1 AND state = 'queued' AND need > f.need ORDER BY need, {LINE_KEY} LIMIT 1
    ) n
), line AS (
    SELECT h.* FROM first_of f CROSS JOIN LATERAL (
        SELECT id, call_id, ticket_id, state, tier, boost_s, virtual_start, entered_at, step, version FROM work_items
        WHERE pool_id = $1 AND need = f.need AND state = 'queued' ORDER BY {LINE_KEY} LIMIT $3
    ) h WHERE f.queue = $2
    UNION ALL
    (SELECT id, call_id, ticket_id, state, tier, boost_s, virtual_start, entered_at, step, version FROM work_items
     WHERE queue = $2 AND state = 'offering' ORDER BY {LINE_KEY} LIMIT $3)
), heads AS (
    SELECT * FROM line ORDER BY {LINE_KEY} LIMIT $3
)
SELECT i.*, c.from_kind, coalesce(c.from_value, c.from_raw) AS caller, p.name AS customer,
       CASE WHEN i.call_id IS NULL THEN t.number END AS ticket_number, CASE WHEN i.call_id IS NULL THEN t.subject END AS subject
FROM heads i LEFT JOIN calls c ON c.id = i.call_id
LEFT JOIN tickets t ON t.id = i.ticket_id LEFT JOIN customers p ON p.id = t.customer_id
ORDER BY i.tier DESC, i.virtual_start, i.entered_at, i.id
"""
ACT: Final = """
SELECT id, at, action, object_kind, object_id, before, after FROM audit_log
WHERE id = $1 AND actor_kind = 'user' AND actor_id = $2 AND action = ANY($3)
"""
HAS_LATER_ACT: Final = """
SELECT EXISTS (SELECT 1 FROM audit_log WHERE object_kind = $1 AND object_id = $2 AND action = $3 AND id > $4)
"""

OFFER_COLUMNS: Final = "id, (SELECT i.is_external FROM work_items i WHERE i.id = work_item_id) AS is_external, work_item_id, call_id, agent_id, queue, pool_id, state, reason, units, created_at, deadline, version, wrap_ends_at, wrap_requested, wrap_extended_s, disposition"
OFFER: Final = f"SELECT {OFFER_COLUMNS} FROM offers WHERE id = $1"
OPEN_OFFERS_OF_ITEM: Final = f"""
SELECT {OFFER_COLUMNS} FROM offers WHERE work_item_id = $1 AND state IN ('pending', 'accepted', 'wrapping') ORDER BY id
"""
LIVE_OFFERS_OF_AGENT: Final = f"""
SELECT {OFFER_COLUMNS} FROM offers WHERE agent_id = $1 AND state IN ('pending', 'accepted', 'wrapping') ORDER BY id
"""
OPEN_OFFER_OF_CALL: Final = f"""
SELECT {OFFER_COLUMNS} FROM offers
WHERE call_id = $1 AND agent_id = $2 AND state IN ('accepted', 'wrapping') ORDER BY id DESC LIMIT 1
"""
ITEM_OF_CALL: Final = "SELECT id, call_id, state, queue, pool_id, ticket_id, end_reason, version, is_external, is_outbound, consulted_call_id FROM work_items WHERE call_id = $1"
FOLLOW_CALL: Final = (
    "UPDATE work_items SET ticket_id = $2, version = version + 1 WHERE call_id = $1 AND ticket_id <> $2"
)
# The work of being consulted about a call in hand: as old as the call, so that who asks for a caller who waits comes before who has just called.
ADD_CONSULTED_ITEM: Final = """
WITH item AS (
    INSERT INTO work_items (consulted_call_id, ticket_id, channel, queue, pool_id, state, tier, boost_s, entered_at, virtual_start, steps, rule, ruleset_version)
    SELECT m.call_id, m.ticket_id, 'voice', q.key, q.pool_id, 'queued', $3, b.boost_s, $6::timestamptz,
           $6::timestamptz - make_interval(secs => b.boost_s), $4, $5, $7
    FROM work_items m JOIN queues q ON q.key = $2
    CROSS JOIN LATERAL (SELECT greatest(0, ceil(extract(epoch FROM $6::timestamptz - m.virtual_start)))::integer AS boost_s) b
    WHERE m.id = $1 RETURNING id, queue, pool_id, version, entered_at
), stint AS (
    INSERT INTO stints (work_item_id, queue, entered_at, within_s, target, short_abandon_s, zone)
    SELECT i.id, i.queue, i.entered_at, q.within_s, q.target, q.short_abandon_s, q.zone FROM item i JOIN queues q ON q.key = i.queue
)
SELECT id, queue, pool_id, version FROM item
"""
OPEN_OFFERS_ABOUT_CALL: Final = """
SELECT agent_id, work_item_id FROM offers WHERE call_id = $1 AND state IN ('pending', 'accepted', 'wrapping')
"""
LOCK_ITEMS: Final = "SELECT id FROM work_items WHERE id = ANY($1) ORDER BY id FOR UPDATE"
# The colleague's offer is one of the call's own item from now on, and the reason why it was made goes along.
GIVE_OFFER_TO_ITEM: Final = """
WITH moved AS (
    UPDATE offers o SET work_item_id = $2, is_outbound = i.is_outbound, version = o.version + 1 FROM work_items i
    WHERE o.id = $1 AND o.state = 'accepted' AND i.id = $2 RETURNING o.id, o.queue, o.pool_id
), reasons AS (
    UPDATE decisions d SET work_item_id = $2 FROM moved m WHERE d.work_item_id = $3 AND d.offer_id = m.id
)
UPDATE work_items i SET queue = m.queue, pool_id = m.pool_id, version = i.version + 1 FROM moved m WHERE i.id = $2 RETURNING i.id
"""
# What rules said of an item, and what they had seen.
FACTS_OF_ITEM: Final = (
    "SELECT facts, tier, boost_s, is_tier_by_hand, is_boost_by_hand, entered_at, rule FROM work_items WHERE id = $1"
)
# To whom a call may be given: by name, who is here first.
AGENTS_BY_NAME: Final = f"""
SELECT {AGENT_VIEW} FROM (
    SELECT * FROM agents a WHERE a.is_active AND a.id <> $1 AND position(lower($2) IN lower(a.name)) > 0
    ORDER BY a.presence <> 'available', a.name, a.id LIMIT $3
) a ORDER BY a.presence <> 'available', a.name, a.id
"""
LOCK_ITEM: Final = "SELECT id, call_id, state, queue, pool_id, end_reason, version, is_external, consulted_call_id FROM work_items WHERE id = $1 FOR UPDATE"
SET_ITEM: Final = """
UPDATE work_items SET state = $2, version = version + 1, end_reason = $3, ended_at = CASE WHEN $3::text IS NULL THEN NULL ELSE $4::timestamptz END
WHERE id = $1 RETURNING version
"""
ACCEPT_OFFER: Final = """
UPDATE offers SET state = 'accepted', accepted_at = $2, version = version + 1
WHERE id = $1 AND state = 'pending' AND deadline > clock_timestamp() RETURNING version
"""
END_OFFERS: Final = """
UPDATE offers SET state = $2, reason = $3, by_agent_id = $4, ended_at = greatest($5, created_at), version = version + 1
WHERE id = ANY($1) AND state IN ('pending', 'accepted') RETURNING id, agent_id, units, version
"""
CONNECT_OFFER: Final = """
WITH held AS MATERIALIZED (
    SELECT a.id, o.queue FROM offers o JOIN agents a ON a.id = o.agent_id WHERE o.id = $1 AND o.connected_at IS NULL FOR NO KEY UPDATE OF a
), met AS (
    UPDATE offers o SET connected_at = $2 FROM held h WHERE o.id = $1 AND o.connected_at IS NULL
)
UPDATE agents a SET busy_until = $2::timestamptz + make_interval(secs => q.talk_s) FROM held h JOIN queues q ON q.key = h.queue WHERE a.id = h.id
"""
# Who wraps up may be free at any moment, unless the time is fixed ($4).
WRAP_OFFER: Final = """
WITH wrapped AS (
    UPDATE offers SET state = 'wrapping', wrap_started_at = $2, wrap_ends_at = $3, version = version + 1
    WHERE id = $1 AND state = 'accepted' RETURNING agent_id, version
), known AS (
    UPDATE agents a SET busy_until = CASE WHEN $4 THEN $3::timestamptz END FROM wrapped w WHERE a.id = w.agent_id
)
SELECT version FROM wrapped
"""
REQUEST_WRAP: Final = """
UPDATE offers SET wrap_requested = $2, version = version + 1
WHERE id = $1 AND state = 'accepted' AND wrap_requested <> $2 RETURNING version
"""
EXTEND_WRAP: Final = """
UPDATE offers SET wrap_ends_at = wrap_ends_at + make_interval(secs => $2::integer), wrap_extended_s = $2, version = version + 1
WHERE id = $1 AND version = $3 AND state = 'wrapping' AND wrap_extended_s = 0 RETURNING version, wrap_ends_at
"""
# Where nobody chose a result, it is the queue's.
COMPLETE_OFFER: Final = """
UPDATE offers o SET state = 'completed', disposition = coalesce($2, o.disposition, q.default_disposition),
       disposition_is_default = coalesce($2, o.disposition) IS NULL AND q.default_disposition IS NOT NULL,
       ended_at = $3, version = o.version + 1
FROM queues q WHERE o.id = $1 AND o.state = 'wrapping' AND q.key = o.queue RETURNING o.version, o.disposition, o.disposition_is_default
"""
HAS_DISPOSITIONS: Final = "SELECT EXISTS (SELECT 1 FROM dispositions WHERE queue IS NULL OR queue = $1)"
OPTIONAL_WRAP_UPS: Final = """
SELECT o.id, o.call_id FROM offers o JOIN queues q ON q.key = o.queue
WHERE o.agent_id = $1 AND o.state = 'wrapping' AND q.wrap_mode = 'optional' ORDER BY o.call_id, o.id
"""
COMPLETED_OFFER_OF_CALL: Final = """
SELECT id, disposition, ended_at FROM offers WHERE call_id = $1 AND agent_id = $2 AND state = 'completed' ORDER BY id DESC LIMIT 1 FOR UPDATE
"""
SET_LATE_RESULT: Final = (
    "UPDATE offers SET disposition = $2, disposition_is_default = false, version = version + 1 WHERE id = $1"
)
SAVE_DISPOSITION: Final = "UPDATE offers SET disposition = $2 WHERE id = $1"
# A talk that its agent has given back is told apart from others by this.
SAY_WHY: Final = "UPDATE offers SET reason = $2 WHERE id = $1"
CHOOSE_DISPOSITION: Final = "UPDATE offers SET disposition = $2, version = version + 1 WHERE id = $1 RETURNING version"
FREE_AGENTS: Final = """
UPDATE agents a SET used_units = a.used_units - f.units, version = a.version + 1,
       idle_since = CASE WHEN f.resets_idle THEN $4 ELSE a.idle_since END,
       misses = CASE WHEN f.resets_idle THEN 0 ELSE a.misses END,
       over_by = least(a.over_by, greatest(0, a.used_units - f.units - a.total_units))
FROM (SELECT id, sum(units) AS units, bool_or(resets_idle) AS resets_idle
      FROM unnest($1::bigint[], $2::integer[], $3::boolean[]) AS u (id, units, resets_idle) GROUP BY id) f
WHERE a.id = f.id
"""
EXCLUDE: Final = """
INSERT INTO exclusions (work_item_id, agent_id, until, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (work_item_id, agent_id) DO UPDATE SET reason = CASE WHEN excluded.until > exclusions.until THEN excluded.reason ELSE exclusions.reason END,
    until = greatest(exclusions.until, excluded.until)
"""

# The state of an agent's interval follows from presence and open offers; derived here, it cannot drift from them.
REFRESH_INTERVALS: Final = f"""
WITH input AS (
    SELECT a.id AS agent_id,
           CASE work WHEN 'wrapping' THEN 'wrapping' WHEN 'in_call' THEN 'talking' WHEN 'offered' THEN 'reserved' ELSE a.presence END AS state,
           CASE work WHEN 'idle' THEN a.presence_reason END AS reason
    FROM (SELECT a.id, a.presence, a.presence_reason, {WORK_OF_AGENT} AS work FROM agents a WHERE a.id = ANY($1)) a
), closed AS (
    UPDATE agent_intervals i SET ended_at = greatest(i.started_at, $2)
    FROM input WHERE i.agent_id = input.agent_id AND i.ended_at IS NULL
      AND (i.state, i.reason) IS DISTINCT FROM (input.state, input.reason)
    RETURNING i.agent_id, i.ended_at
)
INSERT INTO agent_intervals (agent_id, state, reason, started_at)
SELECT input.agent_id, input.state, input.reason, coalesce(closed.ended_at, $2)
FROM input LEFT JOIN closed USING (agent_id)
WHERE closed.agent_id IS NOT NULL
   OR NOT EXISTS (SELECT 1 FROM agent_intervals i WHERE i.agent_id = input.agent_id AND i.ended_at IS NULL)
"""

AGENT: Final = f"""
SELECT a.id, a.name, a.presence, a.presence_reason, a.presence_since, a.next_presence, a.next_reason, a.pool_id, a.version, a.misses,
       a.used_units, a.total_units, {IS_CONNECTED} AS is_connected, {WORK_OF_AGENT} AS work, p.address AS telephone, p.is_used AS uses_telephone
FROM agents a LEFT JOIN agent_telephones p ON p.agent_id = a.id WHERE a.id = $1
"""
PRESENCE_VERSION: Final = "SELECT presence_version FROM agents WHERE id = $1"
SET_PRESENCE: Final = """
UPDATE agents SET presence = $2, presence_reason = $3, version = version + 1, presence_version = presence_version + 1,
       presence_since = CASE WHEN presence = $2 AND presence_reason IS NOT DISTINCT FROM $3 THEN presence_since ELSE $4 END,
       idle_since = CASE WHEN presence <> 'available' AND $2 = 'available' AND $5 THEN $4 ELSE idle_since END,
       misses = CASE WHEN $2 = 'available' AND $5 THEN 0 ELSE misses END
WHERE id = $1 RETURNING version, presence_since
"""
TOUCH_AGENT: Final = "UPDATE agents SET version = version + 1 WHERE id = $1"
SET_NEXT_PRESENCE: Final = """
UPDATE agents SET next_presence = $2, next_reason = $3, version = version + 1, presence_version = presence_version + 1 WHERE id = $1
"""
COOL_DOWN: Final = (
    "UPDATE agents SET cooldown_until = greatest(cooldown_until, $2), version = version + 1 WHERE id = $1"
)
ADD_MISS: Final = "UPDATE agents SET misses = misses + 1 WHERE id = $1 RETURNING misses"

CONNECT: Final = """
INSERT INTO desk_connections (replica, sid, agent_id, lease_until) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
ON CONFLICT (replica, sid) DO UPDATE SET lease_until = excluded.lease_until, closed_at = NULL
"""
# The row stays for a minute: it says when the desk was last seen.
DISCONNECT: Final = """
UPDATE desk_connections SET closed_at = now(), lease_until = least(lease_until, now()) WHERE replica = $1 AND sid = $2
"""
RENEW_LEASES: Final = """
UPDATE desk_connections SET lease_until = now() + make_interval(secs => $2)
WHERE replica = $1 AND sid = ANY($3) AND closed_at IS NULL
"""
GRANT_LEASES: Final = """
UPDATE desk_connections SET lease_until = greatest(lease_until, now() + make_interval(secs => $1))
WHERE lease_until > now() - interval '10 minutes' AND closed_at IS NULL
"""
DROP_DEAD_CONNECTIONS: Final = "DELETE FROM desk_connections WHERE lease_until < now() - interval '1 minute'"
# Who should be here and is not: no live socket, but present or being offered something. And whose leases live again without a new
# socket: a replica that could not reach the database for a while renews them as if nothing had been.
LOST_AGENTS: Final = """
SELECT a.id, a.version FROM agents a
WHERE a.presence IN ('available', 'reconnecting', 'not_responding', 'break')
  AND (a.presence = 'reconnecting'
       OR NOT EXISTS (SELECT 1 FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now()))
ORDER BY a.presence_since LIMIT 500
"""
# Skills that have ended: out of what the agent can do, which is another profile then.
EXPIRE_SKILLS: Final = """
UPDATE agents a SET skills = a.skills - e.gone, skills_until = a.skills_until - e.gone, version = a.version + 1
FROM (
    SELECT b.id, array_agg(u.key ORDER BY u.key) AS gone
    FROM (SELECT id, skills_until FROM agents
          WHERE skills_until <> '{}' AND EXISTS (SELECT 1 FROM jsonb_each_text(skills_until) u WHERE u.value::timestamptz <= now())
          ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED) b
    CROSS JOIN LATERAL jsonb_each_text(b.skills_until) u WHERE u.value::timestamptz <= now() GROUP BY b.id
) e
WHERE a.id = e.id RETURNING a.id, e.gone
"""
LAST_SEEN: Final = "SELECT max(lease_until) FROM desk_connections WHERE agent_id = $1"

OVERDUE_OFFERS: Final = """
SELECT id, version FROM offers WHERE state = 'pending' AND deadline < clock_timestamp() - interval '1 second' LIMIT 100
"""
OVERDUE_WRAP_UPS: Final = """
SELECT id, version FROM offers WHERE state = 'wrapping' AND wrap_ends_at < clock_timestamp() - interval '1 second' LIMIT 100
"""

# Signed in, whatever they do just now. Who loads the page again, or whose replica is started anew, has no desk for some seconds and is
# there all the same; rows of desks that are gone stay for a minute.
IS_THERE: Final = f"""a.is_active AND (a.presence = 'reconnecting' OR a.presence NOT IN ('offline', 'unreachable') AND coalesce((
    SELECT true FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now() - interval '{RECONNECT_GRACE_S} s' LIMIT 1), false))"""


def _is_attended(queue: str) -> str:
    """Looked up for each queue, not hashed for all, like IS_CONNECTED."""
    return f"""coalesce((SELECT true FROM agent_queues m JOIN agents a ON a.id = m.agent_id
             WHERE m.queue_key = {queue} AND {IS_THERE} LIMIT 1), false)"""


IS_ATTENDED: Final = f"SELECT {_is_attended('$1')}"
# Whom a queue may let go of, for the sweep: asked of each item again under lock. $1: whether it can be known who is there.
OVERFLOWS_DUE: Final = f"""
SELECT i.id, i.version FROM queues q
CROSS JOIN LATERAL (SELECT $1 AND q.if_nobody = 'overflow' AND NOT {_is_attended("q.key")} AS deserted) d
CROSS JOIN LATERAL (
    SELECT i.id, i.version FROM work_items i JOIN stints s ON s.work_item_id = i.id AND s.left_at IS NULL
    WHERE i.queue = q.key AND i.state = 'queued' AND i.consulted_call_id IS NULL AND (d.deserted OR s.entered_at <= now() - make_interval(secs => q.max_wait_s))
    LIMIT 100
) i
WHERE q.is_active AND (q.if_nobody = 'overflow' OR q.max_wait_s IS NOT NULL)
"""

WAIT_STATE: Final = f"""
SELECT (SELECT count(*) FROM work_items o
        WHERE o.queue = i.queue AND o.state IN ('queued', 'offering')
          AND (o.tier, i.virtual_start, i.entered_at, i.id) > (i.tier, o.virtual_start, o.entered_at, o.id)) + 1 AS position,
       {_is_attended("i.queue")} AS somebody,
       ARRAY(SELECT extract(epoch FROM s.left_at - s.entered_at)::float8 FROM stints s
             WHERE s.queue = i.queue AND s.entered_at > now() - interval '1 hour' AND s.outcome = 'answered'
             ORDER BY s.entered_at DESC LIMIT 20) AS recent_waits_s
FROM work_items i WHERE i.call_id = $1 AND i.state IN ('queued', 'offering')
"""
# How many are before an item in its queue, as far as it matters: a backlog of tickets may be longer.
AHEAD: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM work_items i JOIN work_items o ON o.queue = i.queue AND o.state IN ('queued', 'offering')
     AND (o.tier, i.virtual_start, i.entered_at, i.id) > (i.tier, o.virtual_start, o.entered_at, o.id)
    WHERE i.id = $1 LIMIT 10000
) o
"""

# Also in the line of a telephone system; who talks with somebody unknown there waits no longer.
WAITS: Final = """(i.state IN ('queued', 'offering')
    OR i.state = 'external' AND coalesce((SELECT true FROM stints s WHERE s.work_item_id = i.id AND s.left_at IS NULL), false))"""
# So much work of a queue is counted for the board each second; a backlog of tickets may be longer.
# Exactly the setting is not short, as in the figures (reporting/measures.py).
IS_LOST: Final = "(t.outcome = 'abandoned' AND t.left_at - t.entered_at >= make_interval(secs => t.short_abandon_s))"
COUNTED: Final = 10_000
BOARD: Final = f"""
SELECT q.key, q.name, q.channel, q.within_s, q.target, q.held_since, q.hold_version,
       q.if_nobody = 'alert' AND w.waiting > 0 AND NOT {_is_attended("q.key")} AS is_deserted, w.waiting, w.offering, w.in_call, w.first_entered, p.signed_in, p.available, p.busy,
       s.answered, s.abandoned, s.within, s.decided
FROM queues q
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE {WAITS}) AS waiting, count(*) FILTER (WHERE i.state = 'offering') AS offering,
           count(*) FILTER (WHERE i.state = 'assigned') AS in_call,
           min(i.entered_at) FILTER (WHERE {WAITS}) AS first_entered
    FROM (SELECT id, state, entered_at FROM work_items
          WHERE queue = q.key AND state IN ('queued', 'external', 'offering', 'assigned', 'wrapping') LIMIT {COUNTED}) i
) w
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE live AND a.presence <> 'offline') AS signed_in,
           count(*) FILTER (WHERE live AND a.presence = 'available' AND a.used_units = 0) AS available,
           count(*) FILTER (WHERE a.used_units > 0) AS busy
    FROM agent_queues m JOIN agents a ON a.id = m.agent_id
    CROSS JOIN LATERAL (SELECT {HAS_DESK} AS live) l
    WHERE m.queue_key = q.key AND a.is_active
) p
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.outcome = 'answered') AS answered,
           count(*) FILTER (WHERE {IS_LOST}) AS abandoned,
           count(*) FILTER (WHERE t.outcome = 'answered' AND t.left_at - t.entered_at <= make_interval(secs => t.within_s)) AS within,
           count(*) FILTER (WHERE t.outcome = 'answered' OR {IS_LOST}) AS decided
    FROM stints t WHERE t.queue = q.key AND t.entered_at >= (date_trunc('day', now() AT TIME ZONE q.zone) AT TIME ZONE q.zone)
) s
WHERE q.is_active AND ($1::bigint IS NULL OR EXISTS (SELECT 1 FROM agent_queues m WHERE m.queue_key = q.key AND m.agent_id = $1))
ORDER BY q.position, q.key
"""
PRINCIPAL: Final = (
    "SELECT u.id, u.role, u.name, u.email FROM users u JOIN agents a ON a.id = u.id WHERE a.id = $1 AND a.is_active"
)
# Of these agents those whom a pop may be shown to: at their desk, and not offline.
AT_THE_DESK: Final = f"""
SELECT {AGENT_VIEW} FROM agents a
WHERE a.id = ANY($1) AND a.is_active AND a.presence NOT IN ('offline', 'unreachable') AND {IS_CONNECTED}
ORDER BY a.id
"""
# For those who run it. Counts end somewhere, so that a scrape stays cheap however long the lines are.
QUEUE_FIGURES: Final = f"""
SELECT q.key, w.waiting, coalesce(extract(epoch FROM clock_timestamp() - w.first_entered), 0)::float8 AS longest_wait_s,
       q.if_nobody = 'alert' AND w.waiting > 0 AND NOT {_is_attended("q.key")} AS is_deserted
FROM queues q
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(i.entered_at) AS first_entered
    FROM (
        (SELECT entered_at FROM work_items WHERE queue = q.key AND state IN ('queued', 'offering') LIMIT 10000)
        UNION ALL
        (SELECT i.entered_at FROM work_items i JOIN stints s ON s.work_item_id = i.id AND s.left_at IS NULL
         WHERE i.queue = q.key AND i.state = 'external' LIMIT 10000)
    ) i
) w
WHERE q.is_active
"""
POOL_FIGURES: Final = """
SELECT p.pool_id, (SELECT count(*) FROM (
    SELECT FROM agents a WHERE a.pool_id = p.pool_id AND a.is_active AND a.presence = 'available'
        AND a.room_for_voice LIMIT 1000) free) AS free
FROM (SELECT DISTINCT pool_id FROM queues WHERE is_active) p
"""
AGENTS_LIVE: Final = f"""
SELECT a.id, a.name, u.email, u.role, a.presence, a.presence_reason, a.next_presence, a.skills, a.used_units, a.total_units, a.tickets, a.ticket_cap, a.misses, a.version, a.presence_version,
       {HAS_DESK} AS connected, {WORK_OF_AGENT} AS work, coalesce(p.is_used, false) AS is_on_telephone,
       ARRAY(SELECT queue_key FROM agent_queues m WHERE m.agent_id = a.id ORDER BY queue_key) AS queues,
       i.state AS interval_state, i.started_at AS since, c.call_id, c.queue AS call_queue, c.call_since
FROM agents a JOIN users u ON u.id = a.id
LEFT JOIN agent_intervals i ON i.agent_id = a.id AND i.ended_at IS NULL
LEFT JOIN agent_telephones p ON p.agent_id = a.id
LEFT JOIN LATERAL (
    SELECT o.call_id, o.queue, coalesce(o.connected_at, o.created_at) AS call_since FROM offers o
    WHERE o.agent_id = a.id AND o.state IN ('pending', 'accepted', 'wrapping') ORDER BY o.id DESC LIMIT 1
) c ON true
WHERE a.is_active ORDER BY a.name, a.id LIMIT 5000
"""
# What the board counts as in call, of a ticket queue as assigned.
IN_HAND_OF_QUEUE: Final = """
SELECT i.id, coalesce(i.call_id, i.consulted_call_id) AS call_id, c.from_kind, coalesce(c.from_value, c.from_raw) AS caller, p.name AS customer,
       t.id AS ticket_id, t.number AS ticket_number, t.subject, coalesce(a.id, b.id) AS agent_id, coalesce(a.name, b.name) AS agent_name,
       coalesce(o.connected_at, o.accepted_at, i.entered_at) AS since
FROM work_items i
LEFT JOIN calls c ON c.id = coalesce(i.call_id, i.consulted_call_id)
LEFT JOIN tickets t ON t.id = i.ticket_id LEFT JOIN customers p ON p.id = t.customer_id
LEFT JOIN LATERAL (
    SELECT agent_id, connected_at, accepted_at FROM offers WHERE work_item_id = i.id AND state = 'accepted' ORDER BY id DESC LIMIT 1
) o ON true
LEFT JOIN agents a ON a.id = o.agent_id LEFT JOIN agents b ON b.id = i.agent_id
WHERE i.queue = $1 AND i.state = 'assigned' ORDER BY i.entered_at, i.id LIMIT $2
"""
ITEM_DETAIL: Final = f"""
SELECT i.id, coalesce(i.call_id, i.consulted_call_id) AS call_id, i.consulted_call_id IS NOT NULL AS is_consultation, i.ticket_id, i.queue, i.pool_id, i.state, i.tier, i.virtual_start, i.entered_at, i.steps, i.rule,
       i.ruleset_version, i.ended_at, i.end_reason, i.need, i.boost_s, i.is_tier_by_hand, i.is_boost_by_hand, i.only_agent_id, i.channel, i.agent_id, i.sticky_until, k.name AS kept_for, CASE WHEN i.only_agent_id IS NULL THEN i.sticky_agent_id END AS not_kept_for, q.offer_timeout_s, q.pick, q.name AS queue_name, q.held_since, q.held_by, i.version,
       (SELECT max(o.connected_at) FROM offers o WHERE o.work_item_id = i.id AND i.state IN ('assigned', 'wrapping', 'done')) AS connected_at,
       (SELECT CASE WHEN a.next_presence IS NOT NULL THEN 'leaving' WHEN {HAS_HAD_ENOUGH} THEN 'limited'
                    WHEN {IS_BUSY_FOR_LONG.replace("$2", "now()")} THEN 'busy' END
        FROM agents a WHERE a.id = i.sticky_agent_id AND i.only_agent_id IS NULL) AS not_kept_why,
       ARRAY(SELECT x.agent_id FROM exclusions x WHERE x.work_item_id = i.id AND x.until > now()) AS excluded
FROM work_items i JOIN queues q ON q.key = i.queue LEFT JOIN agents k ON k.id = i.only_agent_id WHERE i.id = $1
  AND ($2::bigint IS NULL OR coalesce((SELECT true FROM offers o WHERE o.work_item_id = i.id AND o.agent_id = $2 LIMIT 1), i.agent_id = $2, false))
"""
DECISIONS_OF_ITEM: Final = """
SELECT d.at, d.ruleset_version, d.rule, d.step, d.chosen_agent_id, d.chosen_by, a.name AS chosen_name, d.verdicts, d.counts,
       o.state AS offer_state, o.reason AS offer_reason, d.offer_id IS NULL AS is_assigned
FROM decisions d LEFT JOIN agents a ON a.id = d.chosen_agent_id LEFT JOIN offers o ON o.id = d.offer_id
WHERE d.work_item_id = $1 ORDER BY d.at, d.id LIMIT 200
"""
OVERFLOWS_OF_ITEM: Final = """
SELECT q.name, s.overflow_reason AS reason, extract(epoch FROM s.left_at - s.entered_at)::float8 AS waited_s,
       lead(q.name) OVER (ORDER BY s.id) AS next_name
FROM stints s JOIN queues q ON q.key = s.queue WHERE s.work_item_id = $1 ORDER BY s.id LIMIT 100
"""
NAMES_OF_AGENTS: Final = "SELECT id, name FROM agents WHERE id = ANY($1)"


def offer_of(row: Any) -> OfferRow:
    return OfferRow(
        id=OfferId(row["id"]),
        work_item_id=WorkItemId(row["work_item_id"]),
        call_id=None if row["call_id"] is None else CallId(row["call_id"]),
        agent_id=AgentId(row["agent_id"]),
        queue=row["queue"],
        pool_id=row["pool_id"],
        state=OfferState(row["state"]),
        reason=row["reason"],
        units=row["units"],
        created_at=row["created_at"],
        deadline=row["deadline"],
        version=row["version"],
        wrap_ends_at=row["wrap_ends_at"],
        wrap_requested=row["wrap_requested"],
        wrap_extended_s=row["wrap_extended_s"],
        disposition=row["disposition"],
        is_external=row["is_external"],
    )


def item_of(row: Any) -> WaitingItem:
    return WaitingItem(
        id=WorkItemId(row["id"]),
        call_id=None if row["call_id"] is None else CallId(row["call_id"]),
        ticket_id=TicketId(row["ticket_id"]),
        queue=row["queue"],
        tier=row["tier"],
        virtual_start=row["virtual_start"],
        entered_at=row["entered_at"],
        steps=steps_of(row["steps"]),
        rule=row["rule"],
        ruleset_version=row["ruleset_version"],
        offer_timeout_s=row["offer_timeout_s"],
        excluded=frozenset(AgentId(agent_id) for agent_id in row["excluded"]),
        pick=row["pick"],
        need=row["need"],
        only=None if row["only_agent_id"] is None else AgentId(row["only_agent_id"]),
        channel=Channel(row["channel"]),
    )


def agent_of(row: Any) -> AgentView:
    return AgentView(
        id=AgentId(row["id"]),
        name=row["name"],
        skills=row["skills"],
        queues=frozenset(row["queues"]),
        presence=PresenceState(row["presence"]),
        is_connected=row["is_connected"],
        work=row["work"],
        free_units=row["free_units"],
        idle_since=row["idle_since"],
        cooldown_until=row["cooldown_until"],
        last_offered_at=row["last_offered_at"],
        turn=row["turn"],
        has_had_enough=row["has_had_enough"],
        tickets=row["tickets"],
        has_ticket_room=row["has_ticket_room"],
        is_crowded=row["is_crowded"],
        is_draining=row["is_draining"],
        ranks=ranks_of(row["queues"]),
    )


async def waiting_items(
    conn: Connection, *, pool: str, needs: Sequence[int], now: datetime, limit: int
) -> tuple[WaitingItem, ...]:
    return tuple(item_of(row) for row in await conn.fetch(WAITING_ITEMS, pool, list(needs), now, limit))


async def pool_agents(conn: Connection, *, pool: str, limit: int = 2000) -> tuple[AgentView, ...]:
    return tuple(agent_of(row) for row in await conn.fetch(POOL_AGENTS, pool, limit))


async def make_offers(conn: Connection, proposals: Sequence[Proposal], *, now: datetime) -> list[Any]:
    return list(
        await conn.fetch(
            MAKE_OFFERS,
            [p.item.id for p in proposals],
            [p.agent_id for p in proposals],
            [p.step for p in proposals],
            [p.item.offer_timeout_s for p in proposals],
            now,
        )
    )


async def offer_by_id(conn: Connection, *, offer_id: int) -> OfferRow | None:
    row = await conn.fetchrow(OFFER, offer_id)
    return None if row is None else offer_of(row)


async def open_offers_of_item(conn: Connection, *, work_item_id: int) -> list[OfferRow]:
    return [offer_of(row) for row in await conn.fetch(OPEN_OFFERS_OF_ITEM, work_item_id)]


async def live_offers_of_agent(conn: Connection, *, agent_id: int) -> list[OfferRow]:
    return [offer_of(row) for row in await conn.fetch(LIVE_OFFERS_OF_AGENT, agent_id)]
