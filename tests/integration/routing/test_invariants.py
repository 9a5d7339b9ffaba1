"""The invariants bite: each finds what is planted for it in an otherwise good history."""

from typing import Final

import pytest

from tests.integration.routing.floor import Floor, Waiting
from tests.invariants import SAFETY, SETTLED, broken

A_TICKET: Final = """INSERT INTO work_items (ticket_id, channel, queue, pool_id, state, agent_id, entered_at, virtual_start, steps, rule, ruleset_version)
        SELECT {id}, 'ticket', queue, pool_id, '{state}', {agent}, now() - interval '{entered}', now() - interval '{entered}', '[]', 'x', 1
        FROM work_items LIMIT 1 RETURNING id, queue"""
PLANTED: Final[dict[str, str]] = {
    "a call that was queued has a work item with the same ticket": "DELETE FROM work_items WHERE state = 'queued'",
    "I4 no agent ever held more units than capacity": """
        INSERT INTO offers (work_item_id, call_id, agent_id, queue, pool_id, step, units, state, created_at, deadline, ended_at)
        SELECT work_item_id, call_id, agent_id, queue, pool_id, step, 1, 'rejected', created_at, deadline, now() + interval '1 hour'
        FROM offers WHERE state = 'accepted'""",
    "R2 used units are the units of open offers": "UPDATE agents SET used_units = 0 WHERE used_units = 1",
    "R3 nobody is allowed more over capacity than is held": "UPDATE agents SET over_by = over_by + 1 WHERE used_units = 1",
    "R2 the tickets an agent has are those assigned to them": "UPDATE agents SET tickets = 1 WHERE id = (SELECT min(id) FROM agents)",
    "R3 nobody is allowed more tickets over capacity than they have": "UPDATE agents SET tickets_over = 1",
    "R4 a ticket was assigned by itself only to who was there": f"""
        WITH y AS ({A_TICKET.format(id=1000001, state="assigned", entered="1 minute", agent="1")})
        INSERT INTO decisions (work_item_id, at, ruleset_version, rule, step, chosen_agent_id, verdicts, counts)
        SELECT y.id, now() + interval '1 second', 1, 'x', 0, i.agent_id, '[]', '{{}}' FROM y, agent_intervals i
        WHERE i.ended_at IS NULL AND i.state = 'wrapping'""",
    "R7 an assigned ticket item says whose it is, one in line nobody's": "UPDATE work_items SET agent_id = 1",
    "R12 work of a channel is in a queue of that channel": "UPDATE queues SET channel = 'ticket'",
    "R16 no ticket was given to somebody while one before it in the same line, that they may serve, waited": f"""
        WITH x AS ({A_TICKET.format(id=1000001, state="queued", entered="1 hour", agent="NULL::bigint")}),
             y AS ({A_TICKET.format(id=1000002, state="assigned", entered="1 minute", agent="1")}),
             s AS (INSERT INTO stints (work_item_id, queue, entered_at, within_s, target, short_abandon_s, zone)
                   SELECT id, queue, now() - interval '1 hour', 20, 0.8, 5, 'UTC' FROM x)
        INSERT INTO decisions (work_item_id, at, ruleset_version, rule, step, chosen_agent_id, verdicts, counts)
        SELECT y.id, now() - interval '30 seconds', 1, 'x', 0, (SELECT min(id) FROM agents), '[]', '{{}}' FROM y""",
    "R24 no ticket waits while somebody who may have it has room": f"""
        WITH x AS ({A_TICKET.format(id=1000001, state="queued", entered="1 hour", agent="NULL::bigint")})
        UPDATE agents SET presence = 'available', presence_since = now() - interval '1 hour', used_units = 0""",
    "R29 for a call one agent drains": "UPDATE agents SET draining_for = 1",
    "R29 draining ends with the wait of its call": """
        WITH x AS (UPDATE work_items SET ended_at = now() - interval '1 hour' WHERE state = 'done' RETURNING id)
        UPDATE agents SET draining_for = (SELECT max(id) FROM x) WHERE id = (SELECT min(id) FROM agents)""",
    "R4 an offer was made only to who was available": """
        UPDATE agent_intervals p SET state = 'break' FROM agent_intervals i
        WHERE i.state = 'reserved' AND p.agent_id = i.agent_id AND p.ended_at = i.started_at""",
    "R6 no offer was accepted after its deadline": "UPDATE offers SET deadline = accepted_at - interval '1 s' WHERE state = 'accepted'",
    "R6/R9 no offer was made or accepted after its item had ended": """
        UPDATE work_items SET ended_at = now() - interval '1 hour' WHERE state = 'done'""",
    "R7 a queued item has no pending offer, an offering one has": "UPDATE work_items SET state = 'queued' WHERE state = 'offering'",
    "R8/R9 an ended item has a reason and no open offer but wrap-up": """
        UPDATE work_items SET state = 'done', ended_at = now(), end_reason = 'x' WHERE state = 'assigned'""",
    "R8 who was let go was told so, and has a ticket": """
        UPDATE work_items SET state = 'diverted', ended_at = now(), end_reason = 'deflected' WHERE state = 'queued'""",
    "who is at the recorder waits for nobody": "UPDATE calls SET state = 'voicemail' WHERE state = 'queued'",
    "who is at the recorder is waited for": "UPDATE calls SET state = 'voicemail' WHERE state = 'queued'",
    "a call that ended with a message has one": "UPDATE calls SET outcome = 'voicemail' WHERE outcome IS NOT NULL",
    "a message is in a ticket, and told there once": """
        INSERT INTO voicemails (recording_sid, account_sid, call_sid, call_id, duration_s, created_at)
        SELECT 'RE' || id, account_sid, sid, id, 5, now() FROM calls LIMIT 1""",
    "an overflow says why, and is the end of a stay": "UPDATE stints SET overflow_reason = 'full' WHERE left_at IS NULL",
    "no agent was offered more calls than the limit allows in any stretch of its time": "UPDATE agents SET max_calls = 1, max_calls_s = 600",
    "R12 an item has its queue's pool": "UPDATE work_items SET pool_id = 'elsewhere' WHERE state = 'queued'",
    "R12 an open offer has its item's queue and pool": "UPDATE offers SET pool_id = 'elsewhere' WHERE state = 'pending'",
    "R13 nobody was offered what they had just declined, or failed to be connected to": """
        UPDATE offers SET created_at = (SELECT max(ended_at) FROM offers WHERE state = 'rejected') + interval '1 s',
               work_item_id = (SELECT work_item_id FROM offers WHERE state = 'rejected'),
               agent_id = (SELECT agent_id FROM offers WHERE state = 'rejected') WHERE state = 'pending'""",
    "R13 nobody whose phone could not be joined was offered anything for a while": """
        UPDATE offers SET reason = 'connect_failed', ended_at = (SELECT created_at - interval '1 s' FROM offers WHERE state = 'pending'),
               agent_id = (SELECT agent_id FROM offers WHERE state = 'pending') WHERE state = 'rejected'""",
    "R29 a presence chosen for the end of work waits for some": """
        UPDATE agents a SET next_presence = 'break' WHERE NOT EXISTS (SELECT 1 FROM offers o WHERE o.agent_id = a.id)""",
    "a result that nobody chose is the queue's": "UPDATE offers SET disposition_is_default = true WHERE state = 'wrapping'",
    "R15 every offer has its decision": "DELETE FROM decisions WHERE id = (SELECT max(id) FROM decisions)",
    "R15 every decision says of whom it chose that they are chosen": "UPDATE decisions SET verdicts = '[]'",
    "R16 nobody was given an item while one before it, that they may serve, was in line": """
        WITH w AS (UPDATE work_items SET tier = 9, entered_at = now() - interval '1 hour', virtual_start = now() - interval '1 hour'
                   WHERE state = 'queued')
        UPDATE events SET created_at = now() - interval '1 hour'""",
    "R17 virtual start is entry less boost": "UPDATE work_items SET virtual_start = virtual_start - interval '1 s' WHERE state = 'queued'",
    "R18 what nobody has ranked by hand has the rank that its step says": """
        WITH w AS (UPDATE work_items SET steps = '[{"after_s": 0, "tier": 2, "boost_s": 0}]', is_tier_by_hand = true WHERE state = 'queued' RETURNING id)
        INSERT INTO audit_log (actor_kind, action, object_kind, object_id) SELECT 'user', 'work_item.prioritise', 'work_item', id::text FROM w;
        ALTER TABLE work_items DISABLE TRIGGER work_items_rank;
        UPDATE work_items SET is_tier_by_hand = false;
        ALTER TABLE work_items ENABLE TRIGGER work_items_rank""",
    "R18 what is ranked by hand has somebody who did": "UPDATE work_items SET is_boost_by_hand = true WHERE state = 'queued'",
    "R17 the first stint begins with the entry": "UPDATE stints SET entered_at = entered_at - interval '1 s' WHERE left_at IS NULL",
    "R26 every pending offer has its timer": "DELETE FROM timers",
    "R29 every wrap-up that ends by itself has its timer": "DELETE FROM timers",
    "an offer's moments are in order": "UPDATE offers SET accepted_at = created_at - interval '1 s' WHERE state = 'accepted'",
    "state intervals have no gaps": """
        UPDATE agent_intervals SET ended_at = ended_at - interval '1 microsecond'
        WHERE id = (SELECT id FROM agent_intervals WHERE ended_at > started_at ORDER BY id LIMIT 1)""",
    "state intervals do not overlap and each agent has one open": "UPDATE agent_intervals SET ended_at = now() WHERE ended_at IS NULL",
    "an open interval says what the agent does": "UPDATE agent_intervals SET state = 'lunch' WHERE ended_at IS NULL",
    "a waiting item has an open stint, an ended one has none": """
        UPDATE stints SET left_at = now(), outcome = 'closed' WHERE left_at IS NULL""",
    "an answered stint has its connect time inside": "UPDATE stints SET connected_at = NULL WHERE outcome = 'answered'",
    "a connected offer has its talk segment": "DELETE FROM segments",
    "a call on hold has one open hold, any other none": """
        INSERT INTO segments (call_id, agent_id, kind, started_at)
        SELECT call_id, agent_id, 'hold', now() - interval '1 s' FROM offers WHERE state = 'accepted'""",
    "a hold lies inside the talk of its agent": """
        INSERT INTO segments (call_id, agent_id, kind, started_at, ended_at)
        SELECT call_id, agent_id, 'hold', now() - interval '1 hour', now() FROM offers WHERE state = 'wrapping'""",
    "nobody is or should be on hold who does not talk": "UPDATE calls SET hold_wanted = true WHERE state = 'queued'",
    "a transfer is under way while its call says so, and nobody talks meanwhile": """
        UPDATE calls SET transfer_id = 1 WHERE state = 'queued'""",
    "a call at a number outside is nobody's of ours, and was sent there": "UPDATE calls SET state = 'outside' WHERE state = 'queued'",
    "who gave a call away talks in it no more": """
        INSERT INTO transfers (call_id, offer_id, from_agent_id, to_kind, to_queue, at, outcome, ended_at)
        SELECT call_id, id, agent_id, 'queue', 'sales', now(), 'taken', now() FROM offers WHERE state = 'accepted'""",
    "a consultation under way is about a call that who asked has": """
        INSERT INTO consults (call_id, offer_id, from_agent_id, to_kind, to_number, at)
        SELECT call_id, id, agent_id, 'number', '+1', now() FROM offers WHERE state = 'wrapping' LIMIT 1""",
    "who speaks in a consultation has accepted that, and nobody is asked for one that is over": """
        INSERT INTO consults (call_id, offer_id, from_agent_id, to_kind, to_queue, work_item_id, state, outcome, at, ended_at)
        SELECT call_id, id, agent_id, 'queue', 'sales', (SELECT id FROM work_items WHERE state = 'queued' LIMIT 1), 'over', 'returned', now(), now()
        FROM offers WHERE state = 'accepted' LIMIT 1""",
    "a telephone rings for an offer that its agent has accepted, and is nobody's call": """
        INSERT INTO agent_rings (offer_id, call_id, agent_id, address, language, queue_name, dial_at, at)
        SELECT id, call_id, agent_id, '+1', 'en', '{}', now(), now() FROM offers WHERE state = 'pending'""",
    "no telephone rings for a call that is over": """
        INSERT INTO agent_rings (offer_id, call_id, agent_id, address, language, queue_name, dial_at, at)
        SELECT o.id, o.call_id, o.agent_id, '+1', 'en', '{}', now(), now() FROM offers o JOIN calls c ON c.id = o.call_id
        WHERE o.accepted_at IS NOT NULL AND c.ended_at IS NOT NULL LIMIT 1;
        UPDATE calls SET ended_at = now() - interval '1 hour' WHERE ended_at IS NOT NULL""",
    "work of being consulted is no call's own, and no stay of a customer": "UPDATE work_items SET consulted_call_id = call_id",
    "an ended call leaves no item in line": "UPDATE calls SET outcome = 'failed', state = 'closed' WHERE state = 'queued'",
    "I10/R26 no offer pends past its deadline": "UPDATE offers SET deadline = now() - interval '5 s' WHERE state = 'pending'",
    "R29 every timed wrap-up ends": "UPDATE offers SET wrap_ends_at = now() - interval '5 s' WHERE state = 'wrapping'",
    "I9/R24 no caller waits while somebody who may serve is free": """
        WITH w AS (UPDATE work_items SET entered_at = now() - interval '1 hour', virtual_start = now() - interval '1 hour'),
             o AS (UPDATE offers SET ended_at = ended_at - interval '1 hour'),
             x AS (DELETE FROM exclusions)
        UPDATE agents SET presence = 'available', idle_since = now() - interval '1 hour', presence_since = now() - interval '1 hour',
               used_units = 0""",
}  # fmt: skip


async def a_good_history(floor: Floor) -> Waiting:
    """One of each: done, wrapping up, talking, declined and ringing elsewhere, waiting."""
    await floor.open(
        rules="- {name: all, then: {steps: [{after_s: 0, require: [{skill: billing, level: 2}]}, {after_s: 3000}]}}"
    )
    await floor.arrive("ava", "ben")
    done = await floor.ring()
    await floor.dispatch()
    await floor.talk(done, "ava")
    await floor.hang_up(done)
    await floor.finish(done, "ava")
    talking = await floor.ring()
    await floor.dispatch()
    await floor.talk(talking, "ben")
    await floor.hang_up(talking)
    await floor.ring(waited_s=3001)
    await floor.dispatch()
    await floor.reject("ava")
    await floor.arrive("chen")
    await floor.dispatch()
    await floor.accept("chen")
    await floor.ring()
    await floor.dispatch()
    return await floor.ring()


@pytest.mark.parametrize("name", PLANTED)
async def test_what_is_planted_is_found(floor: Floor, name: str) -> None:
    waiting = await a_good_history(floor)
    states = await floor.fetch("SELECT state FROM offers ORDER BY id")
    assert [row["state"] for row in states] == ["completed", "wrapping", "rejected", "accepted", "pending"]
    assert (await floor.item(waiting))["state"] == "queued"
    async with floor.database.acquire() as conn:
        assert await broken(conn, settled=False) == {}
        transaction = conn.transaction()
        await transaction.start()
        try:
            await conn.execute(PLANTED[name])
            found = await broken(conn)
        finally:
            await transaction.rollback()
    assert name in found


def test_every_law_of_routing_has_something_planted() -> None:
    """But for those that the database itself refuses to break."""
    refused = {
        "I3/R1 at most one accepted offer per work item",
        "a stint has one outcome and an item at most one open stint",
    }
    ours = {name for name in SAFETY | SETTLED if any(part.startswith("R") for part in name.split(" ")[0].split("/"))}
    assert ours <= set(PLANTED) | refused
    assert refused <= set(SAFETY)
