"""What must hold in every database at any time (SAFETY) and once things have settled (SETTLED), and what else
must hold where nobody has planted rows by hand (DEPLOYED): SQL that returns no rows.

Numbers in the names refer to reference/reliability.md §3 (I…) and reference/routing.md §3 (R…).
"""

from typing import Final

from infra.postgres import Connection

OPEN = "('pending', 'accepted', 'wrapping')"


def has_skills(item: str, agent: str, at: str) -> str:
    """SQL: has this agent what the step in force at that moment requires of the item? By the skills of today."""
    return f"""NOT EXISTS (
        SELECT 1 FROM jsonb_array_elements((
            SELECT s -> 'require' FROM jsonb_array_elements({item}.steps) s
            WHERE {item}.entered_at + make_interval(secs => (s ->> 'after_s')::float8) <= {at}
            ORDER BY (s ->> 'after_s')::float8 DESC LIMIT 1)) AS w (wanted)
        WHERE coalesce(({agent}.skills ->> (w.wanted ->> 'skill'))::integer, 0) < coalesce((w.wanted ->> 'level')::integer, 1))"""


def sees(item: str, served: str, at: str) -> str:
    """SQL: has it waited as long as this agent's group leaves it to others? By the groups of today."""
    return f"({item}.sticky_agent_id = {served}.agent_id OR {item}.entered_at + make_interval(secs => {served}.delay_s) < {at})"


def place_at(item: str, at: str) -> tuple[str, str, str]:
    """SQL: tier, virtual start, entry and id, as the step in force at that moment has them; what nobody has ranked by hand."""
    said = f"""(SELECT s.step ->> '%s' FROM jsonb_array_elements({item}.steps) WITH ORDINALITY AS s (step, n)
        WHERE s.n = 1 OR {item}.entered_at + make_interval(secs => (s.step ->> 'after_s')::float8) <= {at} ORDER BY s.n DESC LIMIT 1)"""
    tier = f"coalesce({said % 'tier'}::integer, {item}.tier)"
    start = f"{item}.entered_at - make_interval(secs => coalesce({said % 'boost_s'}::integer, {item}.boost_s))"
    return tier, start, f"{item}.entered_at, {item}.id"


def is_before(x: str, y: str, at: str, ranks: tuple[str, str] = ("1", "1")) -> str:
    """SQL: is x before y, for whom these are the ranks of their queues? At that moment, and a second before: a step opens in between."""

    def at_once(moment: str) -> str:
        (x_tier, x_start, x_rest), (y_tier, y_start, y_rest) = place_at(x, moment), place_at(y, moment)
        return f"({ranks[0]}, {y_tier}, {x_start}, {x_rest}) < ({ranks[1]}, {x_tier}, {y_start}, {y_rest})"

    earlier = f"{at} - interval '1 second'"
    return f"{at_once(at)} AND {at_once(earlier)}"


def by_hand(offer: str) -> str:
    """SQL: a named person made this offer, who may overrule much of what the dispatcher is bound to."""
    return f"""EXISTS (SELECT 1 FROM decisions h WHERE h.work_item_id = {offer}.work_item_id AND h.offer_id = {offer}.id
                      AND split_part(h.chosen_by, ':', 1) IN ('push', 'pick', 'pbx', 'transfer', 'consult'))"""


SAFETY: Final[dict[str, str]] = {
    "I1 a call that was queued has a ticket": """
        SELECT c.id FROM calls c WHERE c.queued_at IS NOT NULL AND c.direction = 'inbound'
          AND NOT EXISTS (SELECT 1 FROM ticket_calls t WHERE t.call_id = c.id)""",
    "a call that was queued has a work item with the same ticket": """
        SELECT c.id FROM calls c LEFT JOIN ticket_calls t ON t.call_id = c.id WHERE c.queued_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM work_items i WHERE i.call_id = c.id AND i.ticket_id = t.ticket_id)""",
    "I3/R1 at most one accepted offer per work item": """
        SELECT work_item_id FROM offers WHERE state = 'accepted' GROUP BY work_item_id HAVING count(*) > 1""",
    "I4 no agent ever held more units than capacity": f"""
        SELECT a.id FROM agents a JOIN LATERAL (
            SELECT o.id, sum(p.units) AS units FROM offers o JOIN offers p ON p.agent_id = o.agent_id
              AND p.created_at <= o.created_at AND coalesce(p.ended_at, 'infinity') > o.created_at
            WHERE o.agent_id = a.id AND NOT {by_hand("o")} GROUP BY o.id
        ) s ON s.units > greatest(a.total_units + a.over_by, 1)""",  # capacity may have been taken away since
    "R3 nobody is allowed more over capacity than is held": """
        SELECT id FROM agents WHERE over_by > greatest(0, used_units - total_units)""",
    "R2 used units are the units of open offers": f"""
        SELECT a.id FROM agents a WHERE a.used_units <>
          (SELECT coalesce(sum(o.units), 0) FROM offers o WHERE o.agent_id = a.id AND o.state IN {OPEN})""",
    "R4 an offer was made only to who was available": f"""
        SELECT o.id FROM offers o WHERE NOT {by_hand("o")} AND NOT EXISTS (
            SELECT 1 FROM agent_intervals i JOIN agent_intervals p ON p.agent_id = i.agent_id AND p.ended_at = i.started_at
            WHERE i.agent_id = o.agent_id AND i.state = 'reserved' AND p.state = 'available'
              AND i.started_at BETWEEN o.created_at AND o.created_at + interval '100 milliseconds')
          AND EXISTS (SELECT 1 FROM agent_intervals i WHERE i.agent_id = o.agent_id AND i.started_at < o.created_at)""",
    "no agent was offered more calls than the limit allows in any stretch of its time": f"""
        SELECT o.id FROM offers o JOIN agents a ON a.id = o.agent_id
        WHERE NOT {by_hand("o")} AND a.max_calls IS NOT NULL AND (SELECT count(*) FROM offers p WHERE p.agent_id = a.id AND p.accepted_at < o.created_at
            AND p.state <> 'canceled' AND p.accepted_at > o.created_at - make_interval(secs => a.max_calls_s)) >= a.max_calls""",
    "R6 no offer was accepted after its deadline": """
        SELECT id FROM offers WHERE accepted_at > deadline + interval '100 milliseconds'""",
    "R6/R9 no offer was made or accepted after its item had ended": """
        SELECT o.id FROM offers o JOIN work_items i ON i.id = o.work_item_id
        WHERE greatest(o.created_at, o.accepted_at) > i.ended_at + interval '100 milliseconds'""",
    "R7 a queued item has no pending offer, an offering one has": """
        SELECT i.id FROM work_items i WHERE (i.state = 'queued' AND EXISTS
            (SELECT 1 FROM offers o WHERE o.work_item_id = i.id AND o.state = 'pending'))
          OR (i.state = 'offering' AND NOT EXISTS
            (SELECT 1 FROM offers o WHERE o.work_item_id = i.id AND o.state = 'pending'))
          OR (i.state = 'assigned' AND i.channel = 'voice' AND NOT EXISTS
            (SELECT 1 FROM offers o WHERE o.work_item_id = i.id AND o.state = 'accepted'))""",
    "R8/R9 an ended item has a reason and no open offer but wrap-up": """
        SELECT i.id FROM work_items i JOIN offers o ON o.work_item_id = i.id
        WHERE i.state IN ('done', 'abandoned', 'diverted') AND o.state IN ('pending', 'accepted')""",
    "R12 an item has its queue's pool": """
        SELECT i.id FROM work_items i JOIN queues q ON q.key = i.queue
        WHERE i.pool_id <> q.pool_id AND i.state IN ('queued', 'external', 'offering', 'assigned', 'wrapping')""",
    "R12 an open offer has its item's queue and pool": """
        SELECT o.id FROM offers o JOIN work_items i ON i.id = o.work_item_id
        WHERE o.state IN ('pending', 'accepted') AND (o.pool_id, o.queue) IS DISTINCT FROM (i.pool_id, i.queue)""",
    "R13 nobody was offered what they had just declined, or failed to be connected to": f"""
        SELECT o.id FROM offers o JOIN offers p ON p.work_item_id = o.work_item_id AND p.agent_id = o.agent_id
        JOIN queues q ON q.key = p.queue
        WHERE o.created_at > p.ended_at AND NOT {by_hand("o")} AND (
            p.state = 'rejected' AND o.created_at < p.ended_at + make_interval(secs => q.reject_s - 1)
            OR p.reason = 'connect_failed' AND o.created_at < p.ended_at + make_interval(secs => q.busy_s - 1))""",
    "R13 nobody whose phone could not be joined was offered anything for a while": f"""
        SELECT o.id FROM offers o JOIN offers p ON p.agent_id = o.agent_id JOIN queues q ON q.key = p.queue
        WHERE p.reason = 'connect_failed' AND o.created_at > p.ended_at AND NOT {by_hand("o")}
          AND o.created_at < p.ended_at + make_interval(secs => q.busy_s - 1)""",
    "R29 a presence chosen for the end of work waits for some": """
        SELECT a.id FROM agents a WHERE a.next_presence IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.agent_id = a.id AND o.state IN ('accepted', 'wrapping'))""",
    "a result that nobody chose is the queue's": """
        SELECT id FROM offers WHERE disposition_is_default AND (disposition IS NULL OR state <> 'completed')""",
    "R15 every offer has its decision": """
        SELECT o.id FROM offers o WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.offer_id = o.id AND d.chosen_agent_id = o.agent_id)""",
    "R15 every decision says of whom it chose that they are chosen": """
        SELECT d.id FROM decisions d WHERE d.chosen_agent_id IS NOT NULL AND (coalesce((d.counts ->> 'chosen')::integer, 0) < 1
          OR NOT d.verdicts @> jsonb_build_array(jsonb_build_object('agent_id', d.chosen_agent_id, 'verdict', 'chosen')))""",
    # Of the newest 500 decisions. A second of grace on both sides: what was just coming or going may have been seen otherwise.
    "R16 nobody was given an item while one before it, that they may serve, was in line": f"""
        WITH told AS (SELECT (body ->> 'work_item_id')::bigint AS item_id, min(created_at) AS at FROM events
                      WHERE name = 'work.queued' GROUP BY 1)
        SELECT d.id, x.id FROM (SELECT * FROM decisions WHERE split_part(chosen_by, ':', 1) NOT IN ('push', 'pick', 'pbx', 'transfer', 'consult') ORDER BY id DESC LIMIT 500) d
        JOIN work_items y ON y.id = d.work_item_id JOIN agents a ON a.id = d.chosen_agent_id
        JOIN agent_queues q ON q.agent_id = a.id
        LEFT JOIN agent_queues own ON own.agent_id = a.id AND own.queue_key = y.queue
        JOIN work_items x ON x.queue = q.queue_key AND x.id <> y.id
        JOIN told ON told.item_id = x.id AND told.at < d.at - interval '1 second'
        WHERE {is_before("x", "y", "d.at", ("q.rank", "coalesce(own.rank, 1)"))}
          AND {sees("x", "q", "d.at - interval '1 second'")}
          AND x.channel = 'voice' AND y.channel = 'voice'  -- tickets: below
          AND coalesce(x.ended_at, 'infinity') > d.at + interval '1 second'
          AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.work_item_id = x.id AND o.created_at <= d.at + interval '1 second'
                          AND coalesce(o.ended_at, 'infinity') > d.at - interval '1 second')
          AND NOT EXISTS (SELECT 1 FROM exclusions e WHERE e.work_item_id = x.id AND e.agent_id = a.id AND e.until > d.at)
          AND NOT coalesce(x.sticky_agent_id <> a.id AND x.sticky_until > d.at, false)
          AND NOT EXISTS (SELECT 1 FROM stints s WHERE s.work_item_id IN (x.id, y.id) AND s.outcome = 'overflowed')
          AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.call_id IN (x.call_id, y.call_id))
          AND NOT EXISTS (SELECT 1 FROM audit_log u WHERE (u.action, u.object_id) IN
                          (('work_item.prioritise', x.id::text), ('work_item.prioritise', y.id::text), ('queue.hold', x.queue)))
          AND NOT EXISTS (SELECT 1 FROM audit_log u WHERE u.action = 'ruleset.re_evaluate' AND (
                          (u.after -> 'moved') || (u.after -> 'after_offer')) @> ANY (ARRAY[to_jsonb(x.id), to_jsonb(y.id)]))
          AND {has_skills("x", "a", "d.at - interval '1 second'")} AND {has_skills("x", "a", "d.at")}""",
    "R16 no ticket was given to somebody while one before it in the same line, that they may serve, waited": f"""
        SELECT d.id, x.id FROM (SELECT * FROM decisions ORDER BY id DESC LIMIT 500) d
        JOIN work_items y ON y.id = d.work_item_id AND y.channel = 'ticket' JOIN agents a ON a.id = d.chosen_agent_id
        JOIN agent_queues q ON q.agent_id = a.id AND q.queue_key = y.queue
        JOIN work_items x ON x.queue = y.queue AND x.channel = 'ticket' AND x.id <> y.id AND {sees("x", "q", "d.at - interval '1 second'")}
        JOIN stints s ON s.work_item_id = x.id AND s.queue = y.queue AND s.entered_at < d.at - interval '1 second'
                     AND coalesce(s.left_at, 'infinity') > d.at + interval '1 second'
        WHERE {is_before("x", "y", "d.at")}
          AND NOT EXISTS (SELECT 1 FROM audit_log u WHERE (u.action, u.object_id) IN
                          (('work_item.prioritise', x.id::text), ('work_item.prioritise', y.id::text), ('queue.hold', x.queue)))
          AND {has_skills("x", "a", "d.at - interval '1 second'")} AND {has_skills("x", "a", "d.at")}""",
    "R2 the tickets an agent has are those assigned to them": """
        SELECT a.id FROM agents a WHERE a.tickets <>
          (SELECT count(*) FROM work_items i WHERE i.agent_id = a.id AND i.channel = 'ticket' AND i.state = 'assigned')""",
    "R3 nobody is allowed more tickets over capacity than they have": """
        SELECT id FROM agents WHERE tickets_over > greatest(0, tickets - ticket_cap)""",
    # `at` is when the pass began; it reads who is there after that, and somebody may have come meanwhile.
    "R4 a ticket was assigned by itself only to who was there": """
        SELECT d.id FROM decisions d JOIN work_items i ON i.id = d.work_item_id AND i.channel = 'ticket'
        WHERE d.chosen_agent_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM agent_intervals p WHERE p.agent_id = d.chosen_agent_id AND p.state IN ('available', 'talking', 'reserved')
              AND p.started_at <= d.at + interval '2 seconds' AND coalesce(p.ended_at, 'infinity') >= d.at - interval '100 milliseconds')
          AND EXISTS (SELECT 1 FROM agent_intervals p WHERE p.agent_id = d.chosen_agent_id AND p.started_at < d.at)""",
    "R7 an assigned ticket item says whose it is, one in line nobody's": """
        SELECT id FROM work_items WHERE channel = 'ticket' AND state IN ('queued', 'assigned') AND (state = 'assigned') <> (agent_id IS NOT NULL)
        UNION ALL SELECT id FROM work_items WHERE channel = 'voice' AND agent_id IS NOT NULL
        UNION ALL SELECT id FROM work_items WHERE channel = 'ticket' AND call_id IS NOT NULL""",
    "R12 work of a channel is in a queue of that channel": """
        SELECT i.id FROM work_items i JOIN queues q ON q.key = i.queue
        WHERE i.channel <> q.channel AND i.state IN ('queued', 'offering', 'assigned', 'wrapping')""",
    "R29 for a call one agent drains": """
        SELECT draining_for FROM agents WHERE draining_for IS NOT NULL GROUP BY draining_for HAVING count(*) > 1""",
    "R17 virtual start is entry less boost": """
        SELECT id FROM work_items WHERE virtual_start <> entered_at - make_interval(secs => boost_s)""",
    "R18 what nobody has ranked by hand has the rank that its step says": """
        SELECT id FROM work_items WHERE steps -> step ? 'tier'
          AND (NOT is_tier_by_hand AND tier <> (steps -> step ->> 'tier')::integer
               OR NOT is_boost_by_hand AND boost_s <> (steps -> step ->> 'boost_s')::integer)""",
    "R18 what is ranked by hand has somebody who did": """
        SELECT id FROM work_items i WHERE (is_tier_by_hand OR is_boost_by_hand) AND NOT EXISTS (
            SELECT 1 FROM audit_log u WHERE u.object_kind = 'work_item' AND u.object_id = i.id::text AND u.action = 'work_item.prioritise')""",
    "R17 the first stint begins with the entry": """
        SELECT i.id FROM work_items i WHERE NOT i.is_outbound AND i.entered_at IS DISTINCT FROM
            (SELECT min(s.entered_at) FROM stints s WHERE s.work_item_id = i.id)""",
    "a call that an agent makes is no offered contact": """
        SELECT i.id FROM work_items i JOIN stints s ON s.work_item_id = i.id WHERE i.is_outbound
        UNION ALL SELECT o.id FROM offers o JOIN work_items i ON i.id = o.work_item_id WHERE o.is_outbound <> i.is_outbound""",
    "R26 every pending offer has its timer": """
        SELECT o.id FROM offers o WHERE o.state = 'pending'
          AND NOT EXISTS (SELECT 1 FROM timers t WHERE t.kind = 'routing.offer' AND t.object_id = o.id)""",
    "R29 every wrap-up that ends by itself has its timer": """
        SELECT o.id FROM offers o WHERE o.state = 'wrapping' AND o.wrap_ends_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM timers t WHERE t.kind = 'routing.wrap_up' AND t.object_id = o.id)""",
    "an offer's moments are in order": """
        SELECT id FROM offers WHERE accepted_at < created_at - interval '100 milliseconds' OR ended_at < created_at
          OR ended_at < accepted_at - interval '100 milliseconds' OR wrap_started_at < accepted_at - interval '100 milliseconds'
          OR ended_at < wrap_started_at - interval '100 milliseconds'""",
    "state intervals have no gaps": """
        SELECT agent_id, started_at FROM (
            SELECT agent_id, started_at, ended_at, lag(ended_at) OVER w AS before, row_number() OVER w AS n
            FROM agent_intervals WINDOW w AS (PARTITION BY agent_id ORDER BY started_at, id)
        ) i WHERE n > 1 AND before IS DISTINCT FROM started_at""",
    "state intervals do not overlap and each agent has one open": """
        SELECT a.id FROM agents a WHERE (SELECT count(*) FROM agent_intervals i WHERE i.agent_id = a.id AND i.ended_at IS NULL) <> 1""",
    "an open interval says what the agent does": f"""
        SELECT a.id FROM agents a JOIN agent_intervals i ON i.agent_id = a.id AND i.ended_at IS NULL
        WHERE i.state <> CASE
            WHEN EXISTS (SELECT 1 FROM offers o WHERE o.agent_id = a.id AND o.state = 'wrapping') THEN 'wrapping'
            WHEN EXISTS (SELECT 1 FROM offers o WHERE o.agent_id = a.id AND o.state = 'accepted') THEN 'talking'
            WHEN EXISTS (SELECT 1 FROM offers o WHERE o.agent_id = a.id AND o.state IN {OPEN}) THEN 'reserved'
            ELSE a.presence END""",
    "a stint has one outcome and an item at most one open stint": """
        SELECT work_item_id FROM stints WHERE left_at IS NULL GROUP BY work_item_id HAVING count(*) > 1""",
    "a waiting item has an open stint, an ended one has none": """
        SELECT i.id FROM work_items i WHERE (i.state IN ('queued', 'offering')) AND NOT EXISTS
            (SELECT 1 FROM stints s WHERE s.work_item_id = i.id AND s.left_at IS NULL)
          OR i.state IN ('done', 'abandoned', 'diverted', 'wrapping') AND EXISTS
            (SELECT 1 FROM stints s WHERE s.work_item_id = i.id AND s.left_at IS NULL)""",
    "an answered stint has its connect time inside": """
        SELECT id FROM stints WHERE outcome = 'answered' AND (connected_at IS NULL OR connected_at <> left_at)""",
    "a quarter's stays were each answered, left somehow, or wait": """
        SELECT bucket, queue FROM queue_figures
        WHERE offered <> coalesce(answered, 0) + coalesce(abandoned, 0) + coalesce(short, 0) + coalesce(callback, 0) + coalesce(transferred, 0)
                         + coalesce(overflowed, 0) + coalesce(closed, 0) + coalesce(failed, 0) + coalesce(waiting, 0)""",
    "stored figures are those of the facts, or their quarter is marked": """
        SELECT s.bucket, s.queue FROM (
            SELECT date_bin('15 minutes', entered_at, 'epoch'::timestamptz) AS bucket, queue, count(*) AS offered,
                   count(*) FILTER (WHERE outcome = 'answered') AS answered, count(*) FILTER (WHERE outcome IS NULL) AS waiting
            FROM stints WHERE call_id IS NOT NULL GROUP BY 1, 2
        ) s JOIN figures_progress p ON s.bucket >= p.filled_from AND s.bucket < p.filled_until
        LEFT JOIN queue_figures f ON f.bucket = s.bucket AND f.queue = s.queue
        WHERE (coalesce(f.offered, 0), coalesce(f.answered, 0), coalesce(f.waiting, 0)) <> (s.offered, s.answered, s.waiting)
          AND NOT EXISTS (SELECT 1 FROM figures_reopened r WHERE r.bucket = s.bucket)""",
    "nobody has more time in a quarter than there is": """
        SELECT bucket, agent_id FROM agent_figures
        WHERE coalesce(available_us, 0) + coalesce(reserved_us, 0) + coalesce(talking_us, 0) + coalesce(wrapping_us, 0) + coalesce(break_us, 0)
              + coalesce(not_responding_us, 0) + coalesce(reconnecting_us, 0) + coalesce(unreachable_us, 0) > 900 * 1000000::bigint""",
    "R8 who was let go was told so, and has a ticket": """
        SELECT i.id FROM work_items i WHERE i.state = 'diverted' AND NOT EXISTS (
            SELECT 1 FROM calls c JOIN ticket_calls t ON t.call_id = c.id WHERE c.id = i.call_id
              AND (c.outcome IN ('deflected', 'forwarded') OR i.end_reason = 'voicemail' AND c.recorder_at IS NOT NULL))""",
    "who is at the recorder waits for nobody": """
        SELECT c.id FROM calls c JOIN work_items i ON i.call_id = c.id
        WHERE c.state = 'voicemail' AND i.state IN ('queued', 'external', 'offering', 'assigned', 'wrapping')""",
    "a call that ended with a message has one": """
        SELECT c.id FROM calls c WHERE c.outcome = 'voicemail' AND NOT EXISTS (SELECT 1 FROM voicemails v WHERE v.call_id = c.id)""",
    "a message is in a ticket, and told there once": """
        SELECT v.id FROM voicemails v LEFT JOIN ticket_history h ON h.kind = 'voicemail_left' AND (h.data ->> 'voicemail_id')::bigint = v.id
        WHERE v.call_id IS NOT NULL GROUP BY v.id, v.call_id
        HAVING count(h.id) <> 1 OR NOT EXISTS (SELECT 1 FROM ticket_calls t WHERE t.call_id = v.call_id)""",
    "who is at the recorder is waited for": """
        SELECT c.id FROM calls c WHERE c.state = 'voicemail'
          AND NOT EXISTS (SELECT 1 FROM timers t WHERE t.kind = 'cti.voicemail' AND t.object_id = c.id)""",
    "an overflow says why, and is the end of a stay": """
        SELECT id FROM stints WHERE coalesce(outcome = 'overflowed', false) <> (overflow_reason IS NOT NULL)""",
    "a connected offer has its talk segment": """
        SELECT o.id FROM offers o WHERE o.connected_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.call_id = o.call_id AND s.agent_id = o.agent_id AND s.kind = 'talk')""",
    "a call on hold has one open hold, any other none": """
        SELECT c.id FROM calls c LEFT JOIN LATERAL (
            SELECT count(*) AS open FROM segments s WHERE s.call_id = c.id AND s.kind = 'hold' AND s.ended_at IS NULL
        ) s ON true WHERE c.state <> 'closed' AND s.open <> (c.state = 'on_hold')::integer""",
    "a hold lies inside the talk of its agent": """
        SELECT h.id FROM segments h WHERE h.kind = 'hold' AND NOT EXISTS (
            SELECT 1 FROM segments t WHERE t.call_id = h.call_id AND t.agent_id = h.agent_id AND t.kind = 'talk'
              AND t.started_at <= h.started_at AND coalesce(t.ended_at, 'infinity') >= coalesce(h.ended_at, 'infinity'))""",
    "nobody is or should be on hold who does not talk": """
        SELECT id FROM calls WHERE (hold_wanted AND state NOT IN ('in_call', 'on_hold')) OR (held_at IS NOT NULL) <> (state = 'on_hold')""",
    "a transfer is under way while its call says so, and nobody talks meanwhile": """
        SELECT c.id FROM calls c WHERE c.transfer_id IS NOT NULL AND (
            c.state NOT IN ('queued', 'connecting', 'outside')
            OR NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = c.transfer_id AND t.call_id = c.id AND t.outcome IS NULL))
        UNION ALL SELECT t.id FROM transfers t JOIN calls c ON c.id = t.call_id
        WHERE t.outcome IS NULL AND c.transfer_id IS DISTINCT FROM t.id""",
    "a call at a number outside is nobody's of ours, and was sent there": """
        SELECT c.id FROM calls c WHERE c.state = 'outside' AND (c.agent_id IS NOT NULL OR c.offer_id IS NOT NULL
            OR NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = c.transfer_id AND t.to_kind = 'number'))""",
    "who gave a call away talks in it no more": """
        SELECT t.id FROM transfers t JOIN offers o ON o.id = t.offer_id WHERE o.state NOT IN ('wrapping', 'completed')""",
    "a consultation under way is about a call that who asked has": """
        SELECT k.id FROM consults k LEFT JOIN calls c ON c.id = k.call_id WHERE k.state <> 'over'
          AND (c.state NOT IN ('in_call', 'on_hold') OR c.offer_id <> k.offer_id OR c.agent_id <> k.from_agent_id) IS NOT FALSE""",
    "who speaks in a consultation has accepted that, and nobody is asked for one that is over": """
        SELECT k.id FROM consults k WHERE k.state IN ('connecting', 'talking') AND k.to_kind <> 'number' AND NOT EXISTS (
            SELECT 1 FROM offers o WHERE o.id = k.with_offer_id AND o.work_item_id = k.work_item_id AND o.agent_id = k.with_agent_id AND o.state = 'accepted')
        UNION ALL SELECT k.id FROM consults k JOIN work_items i ON i.id = k.work_item_id WHERE k.state = 'over' AND i.state <> 'done'""",
    "a telephone rings for an offer that its agent has accepted, and is nobody's call": """
        SELECT r.offer_id FROM agent_rings r LEFT JOIN offers o ON o.id = r.offer_id
        WHERE r.ended_at IS NULL AND (o.agent_id IS DISTINCT FROM r.agent_id OR o.call_id IS DISTINCT FROM r.call_id OR o.accepted_at IS NULL)
        UNION ALL SELECT r.offer_id FROM agent_rings r JOIN calls c ON c.sid = r.sid
        UNION ALL SELECT r.offer_id FROM agent_rings r JOIN legs l ON l.sid = r.sid AND (l.kind <> 'agent' OR l.call_id <> r.call_id)""",
    "work of being consulted is no call's own, and no stay of a customer": """
        SELECT i.id FROM work_items i WHERE i.consulted_call_id IS NOT NULL AND (i.call_id IS NOT NULL OR i.channel <> 'voice')
        UNION ALL SELECT i.id FROM work_items i JOIN stints s ON s.work_item_id = i.id
        WHERE i.consulted_call_id IS NOT NULL AND (s.call_id IS NOT NULL OR s.outcome <> 'closed')""",
    "a call that is over has no open talk or hold": """
        SELECT c.id FROM calls c JOIN segments s ON s.call_id = c.id
        WHERE c.outcome IS NOT NULL AND s.kind <> 'wrap' AND s.ended_at IS NULL""",
    "a closed call has no open segment at all": """
        SELECT c.id FROM calls c JOIN segments s ON s.call_id = c.id WHERE c.state = 'closed' AND s.ended_at IS NULL""",
    "an ended call leaves no item in line": """
        SELECT c.id FROM calls c JOIN work_items i ON i.call_id = c.id
        WHERE c.outcome IS NOT NULL AND i.state IN ('queued', 'external', 'offering', 'assigned')""",
    "an agent's leg is never a call": """
        SELECT c.id FROM calls c JOIN legs l ON l.sid = c.sid AND l.kind <> 'customer'""",
    "I11 desk logs are dense": """
        SELECT l.agent_id FROM desk_log l JOIN desk_heads h ON h.agent_id = l.agent_id
        GROUP BY l.agent_id, h.last_seq HAVING count(*) <> max(l.seq) - min(l.seq) + 1 OR max(l.seq) <> h.last_seq""",
    "I11 every offer stands in its agent's desk log, once": """
        SELECT o.id FROM offers o LEFT JOIN desk_log l ON l.agent_id = o.agent_id AND l.offer_id = o.id AND l.type = 'screen_pop'
        GROUP BY o.id HAVING count(l.seq) <> 1""",
    "I7 no delivery without its event": """
        SELECT d.event_id FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = d.event_id)""",
    "I18 nothing is parked": "SELECT event_id, consumer, last_error FROM deliveries WHERE parked_at IS NOT NULL AND done_at IS NULL",
    "ticket numbers are unique and in order of their year": """
        SELECT number FROM tickets GROUP BY number HAVING count(*) > 1""",
}

SETTLED: Final[dict[str, str]] = {
    "I8 every delivery is done": """
        SELECT event_id, consumer FROM deliveries WHERE done_at IS NULL""",
    "I9/R24 no caller waits while somebody who may serve is free": f"""
        SELECT i.id, a.id FROM work_items i JOIN agents a ON a.pool_id = i.pool_id
        JOIN agent_queues q ON q.agent_id = a.id AND q.queue_key = i.queue
        WHERE i.state = 'queued' AND i.channel = 'voice' AND a.is_active AND a.presence = 'available' AND a.room_for_voice AND a.over_by = 0
          AND a.next_presence IS NULL AND (a.cooldown_until IS NULL OR a.cooldown_until < now() - interval '5 seconds')
          AND {has_skills("i", "a", "now() - interval '5 seconds'")} AND {has_skills("i", "a", "now()")}
          AND i.entered_at < now() - interval '5 seconds' AND {sees("i", "q", "now() - interval '5 seconds'")} AND NOT coalesce(i.sticky_agent_id <> a.id AND i.sticky_until > now() - interval '5 seconds', false)
          AND NOT EXISTS (SELECT 1 FROM queues h WHERE h.key = i.queue AND h.held_since IS NOT NULL)
          AND coalesce(a.max_calls > (SELECT count(*) FROM offers c WHERE c.agent_id = a.id
                                      AND c.accepted_at > now() - make_interval(secs => a.max_calls_s + 5)), true)
          AND greatest(a.idle_since, a.presence_since) < now() - interval '5 seconds'
          AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.ended_at > now() - interval '5 seconds'
                          AND (o.agent_id = a.id OR o.work_item_id = i.id))
          AND EXISTS (SELECT 1 FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now())
          AND NOT EXISTS (SELECT 1 FROM exclusions x WHERE x.work_item_id = i.id AND x.agent_id = a.id AND x.until > now() - interval '5 seconds')""",
    "R24 no ticket waits while somebody who may have it has room": f"""
        SELECT i.id, a.id FROM work_items i JOIN agents a ON a.pool_id = i.pool_id
        JOIN agent_queues q ON q.agent_id = a.id AND q.queue_key = i.queue
        WHERE i.state = 'queued' AND i.channel = 'ticket' AND a.is_active AND a.presence = 'available' AND a.room_for_ticket
          AND a.next_presence IS NULL AND a.presence_since < now() - interval '5 seconds' AND a.used_units = 0
          AND {sees("i", "q", "now() - interval '5 seconds'")}
          AND {has_skills("i", "a", "now() - interval '5 seconds'")} AND {has_skills("i", "a", "now()")}
          AND NOT EXISTS (SELECT 1 FROM queues h WHERE h.key = i.queue AND h.held_since IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM stints s WHERE s.work_item_id = i.id AND s.left_at IS NULL AND s.entered_at > now() - interval '5 seconds')
          AND NOT EXISTS (SELECT 1 FROM work_items o WHERE o.agent_id = a.id AND o.ended_at > now() - interval '5 seconds')
          AND EXISTS (SELECT 1 FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now())""",
    "every ticket of a ticket queue that is to be done is work, and no other": """
        SELECT t.id FROM tickets t JOIN queues q ON q.key = t.queue AND q.channel = 'ticket' AND q.is_active
        WHERE t.state IN ('new', 'open') AND t.updated_at < now() - interval '5 seconds' AND NOT EXISTS (
            SELECT 1 FROM work_items i WHERE i.ticket_id = t.id AND i.channel = 'ticket' AND i.state IN ('queued', 'assigned')
              AND i.agent_id IS NOT DISTINCT FROM t.assignee_id)
        UNION ALL SELECT t.id FROM work_items i JOIN tickets t ON t.id = i.ticket_id JOIN queues q ON q.key = i.queue
        WHERE i.channel = 'ticket' AND i.state IN ('queued', 'assigned') AND t.updated_at < now() - interval '5 seconds'
          AND NOT (t.state IN ('new', 'open') AND t.queue = i.queue)""",
    "I10/R26 no offer pends past its deadline": """
        SELECT id FROM offers WHERE state = 'pending' AND deadline < now() - interval '4 seconds'""",
    "R29 draining ends with the wait of its call": """
        SELECT a.id FROM agents a JOIN work_items i ON i.id = a.draining_for
        WHERE i.state NOT IN ('queued', 'offering') AND coalesce(i.ended_at, now()) < now() - interval '5 seconds'""",
    "R29 every timed wrap-up ends": """
        SELECT id FROM offers WHERE state = 'wrapping' AND wrap_ends_at < now() - interval '4 seconds'""",
    "no telephone rings for a call that is over": """
        SELECT r.offer_id FROM agent_rings r JOIN calls c ON c.id = r.call_id
        WHERE r.ended_at IS NULL AND c.ended_at < now() - interval '90 seconds'""",
    "no provider command is left hanging": """
        SELECT id FROM provider_commands WHERE state IN ('intended', 'sent', 'unknown') AND created_at < now() - interval '60 seconds'""",
}


DEPLOYED: Final[dict[str, str]] = {
    "I2 a ticket has a call, had one, or was opened by somebody": """
        SELECT t.id FROM tickets t WHERE NOT EXISTS (SELECT 1 FROM ticket_calls c WHERE c.ticket_id = t.id)
          AND NOT EXISTS (SELECT 1 FROM ticket_history h WHERE h.ticket_id = t.id
                          AND (h.kind = 'call_moved_away' OR h.kind = 'opened' AND h.actor_kind <> 'system'))""",
    "I5 each version of a ticket is a change in its history or a note": """
        SELECT t.id FROM tickets t CROSS JOIN LATERAL (
            SELECT count(DISTINCT h.version) AS changes, max(h.version) AS newest FROM ticket_history h WHERE h.ticket_id = t.id
        ) h WHERE h.newest > t.version
          OR t.version <> h.changes + (SELECT count(*) FROM ticket_notes n WHERE n.ticket_id = t.id)""",
    "a call that reached nobody is in the list of missed contacts, and no other": """
        SELECT c.id FROM calls c LEFT JOIN missed_calls m ON m.call_id = c.id
        WHERE (c.direction = 'inbound' AND c.outcome IS NOT NULL AND c.answered_at IS NULL
               AND c.outcome NOT IN ('answered', 'forwarded', 'rejected_blocked')) <> (m.call_id IS NOT NULL)""",
    "a missed contact counts its calls": """
        SELECT m.id FROM missed_contacts m WHERE m.calls <> (SELECT count(*) FROM missed_calls c WHERE c.missed_contact_id = m.id)""",
    "I7 what is done was tried": "SELECT event_id, consumer FROM deliveries WHERE done_at IS NOT NULL AND attempts < 1",
    "I17 every webhook has its answer": "SELECT id FROM provider_events WHERE answer IS NULL",
    "I19 no lease is longer than its limit": """
        SELECT consumer FROM deliveries WHERE lease_until > now() + interval '60 seconds' AND done_at IS NULL
        UNION ALL SELECT kind FROM provider_commands WHERE lease_until > now() + interval '60 seconds' AND ended_at IS NULL
        UNION ALL SELECT replica FROM desk_connections WHERE lease_until > now() + interval '30 seconds'""",
    "I19 no transaction of ours idles past its limit": """
        SELECT pid FROM pg_stat_activity WHERE application_name = 'ringdesk' AND state LIKE 'idle in transaction%'
          AND state_change < clock_timestamp() - interval '15 seconds'""",
}
"""Of a deployment that has only lived through its own interfaces: nobody has planted a row by hand."""


async def broken(
    conn: Connection, *, settled: bool = True, deployed: bool = False, slowness: float = 1
) -> dict[str, list[object]]:
    """The invariants that do not hold, each with up to ten offending rows.

    `slowness`: how much longer a second of grace is, where a transaction takes seconds from its start to its end."""
    found: dict[str, list[object]] = {}
    statements = SAFETY | (SETTLED if settled else {}) | (DEPLOYED if deployed else {})
    for name, statement in statements.items():
        patient = statement.replace("interval '1 second'", f"interval '{slowness:.1f} seconds'")
        rows = await conn.fetch(f"SELECT * FROM ({patient}) broken LIMIT 10")
        if rows:
            found[name] = [tuple(row) for row in rows]
    return found
