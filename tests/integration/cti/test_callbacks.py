"""Callbacks: hints that may be doubled, late, reordered or lost. Only the customer's leg ends a call."""

import random
from typing import Any, Final

from tests.integration.cti.payloads import conference_event, new_sid, of_leg, queue_done, standard, status_callback
from tests.stack import NO_CALLBACKS, Agent, Stack

ROOM: Final = "CF" + "a" * 32
NEXT_ROOM: Final = "CF" + "b" * 32


async def tell(stack: Stack, *events: dict[str, str]) -> None:
    for fields in events:
        answer = await stack.hook("/twilio/conference", fields)
        assert (answer.status, answer.text) == (204, "")


async def connecting(stack: Stack, ava: Agent) -> tuple[str, str, int]:
    """A call that ava has accepted and her phone asked for; the provider tells us nothing by itself."""
    leg = await stack.dial(faults=NO_CALLBACKS)
    call_id = await ava.accept(await ava.offer())
    phone = new_sid()
    fields = standard(phone, from_=f"client:{ava.identity}", to="", CallId=str(call_id))
    answer = await stack.hook("/twilio/agent", fields)
    assert f">call_{call_id}</Conference>" in answer.text
    return leg.sid, phone, call_id


async def test_callbacks_in_any_order_end_the_call(stack: Stack) -> None:
    """Everything that is told about one answered call, shuffled and doubled: over in the end, once, and never open again."""
    ava = await stack.agent("ava")
    shuffle = random.Random(7)
    for round_ in range(4):
        customer, phone, call_id = await connecting(stack, ava)
        room = f"CF{round_:032x}"
        joins = [
            conference_event(call_id, "participant-join", sid=customer, label="customer", sequence=1, room=room),
            conference_event(call_id, "participant-join", sid=phone, label=ava.identity, sequence=2, room=room),
        ]
        ends: list[tuple[str, dict[str, str]]] = [
            ("/twilio/conference", conference_event(call_id, "participant-leave", sid=phone, label=ava.identity, sequence=4, room=room, ParticipantCallStatus="in-progress")),
            ("/twilio/conference", conference_event(call_id, "participant-leave", sid=customer, label="customer", sequence=3, room=room, ParticipantCallStatus="completed")),
            ("/twilio/conference", conference_event(call_id, "conference-end", sequence=5, room=room)),
            ("/twilio/status", status_callback(customer)),
            ("/twilio/status", status_callback(phone)),
            ("/twilio/dial/done", standard(customer, status="completed", DialCallStatus="answered")),
        ]  # fmt: skip
        told = [("/twilio/conference", join) for join in joins]
        if round_ % 2:
            everything = [*told, *ends] * 2
            shuffle.shuffle(everything)
        else:  # both had joined before anything ended: then it was answered, in whatever order the rest comes
            shuffle.shuffle(told)
            rest = ends * 2
            shuffle.shuffle(rest)
            everything = [*told, *rest, *told]
        for path, fields in everything:
            assert (await stack.hook(path, fields)).status in (200, 204)
        await stack.quiet()
        call = await stack.call(customer)
        assert call["state"] in ("wrap_up", "closed")
        assert call["outcome"] in (("answered",) if round_ % 2 == 0 else ("answered", "abandoned_ringing"))
        assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == round_ + 1
        await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})


async def test_leave_that_overtakes_its_join_counts(stack: Stack) -> None:
    ava = await stack.agent("ava")
    customer, phone, call_id = await connecting(stack, ava)
    agents: dict[str, Any] = {"sid": phone, "label": ava.identity, "room": ROOM}
    await tell(
        stack,
        conference_event(call_id, "participant-leave", sequence=4, ParticipantCallStatus="in-progress", **agents),
        conference_event(call_id, "participant-join", sequence=2, **agents),
        conference_event(call_id, "participant-join", sid=customer, label="customer", sequence=1, room=ROOM),
    )
    call = await stack.call(customer)
    assert (call["state"], call["agent_joined"], call["caller_joined"]) == ("connecting", False, True)


async def test_customers_leave_that_overtakes_the_joins_ends_the_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    customer, phone, call_id = await connecting(stack, ava)
    await tell(
        stack,
        conference_event(
            call_id, "participant-leave", sid=customer, sequence=3, room=ROOM, ParticipantCallStatus="completed"
        ),
        conference_event(call_id, "participant-join", sid=customer, sequence=1, room=ROOM),
        conference_event(call_id, "participant-join", sid=phone, label=ava.identity, sequence=2, room=ROOM),
    )
    assert (await stack.call(customer))["outcome"] == "abandoned_ringing"


async def test_second_conference_of_a_caller_counts_from_one_again(stack: Stack) -> None:
    """The name stays, the numbering does not: a caller whose first connection failed must be able to join the next."""
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial(faults=NO_CALLBACKS)
    call_id = await ava.accept(await ava.offer())
    await tell(
        stack,
        conference_event(call_id, "conference-start", sequence=7, room=ROOM),
        conference_event(call_id, "participant-join", sid=leg.sid, label="customer", sequence=8, room=ROOM),
        conference_event(call_id, "participant-leave", sid=leg.sid, sequence=9, room=ROOM, ParticipantCallStatus="in-progress"),
        conference_event(call_id, "conference-end", sequence=10, room=ROOM),
    )  # fmt: skip
    left = of_leg(leg, "in-progress", DialCallStatus="answered")
    offer_id = (await stack.call(leg.sid))["offer_id"]
    assert "<Enqueue" in (await stack.hook(f"/twilio/dial/done?o={offer_id}", left)).text
    assert (await stack.call(leg.sid))["state"] == "queued"
    assert await ben.accept(await ben.offer()) == call_id
    phone = new_sid()
    await stack.hook("/twilio/agent", standard(phone, from_=f"client:{ben.identity}", to="", CallId=str(call_id)))
    await tell(
        stack,
        conference_event(call_id, "participant-join", sid=phone, label=ben.identity, sequence=1, room=NEXT_ROOM),
        conference_event(call_id, "participant-join", sid=leg.sid, label="customer", sequence=2, room=NEXT_ROOM),
        conference_event(call_id, "participant-leave", sid=leg.sid, sequence=9, room=ROOM, ParticipantCallStatus="in-progress"),
    )  # fmt: skip
    call = await stack.call(leg.sid)
    assert (call["state"], call["agent_id"]) == ("in_call", ben.id)


async def test_events_of_the_conference_itself_are_taken_without_a_call_sid(stack: Stack) -> None:
    ava = await stack.agent("ava")
    _, _, call_id = await connecting(stack, ava)
    for event in ("conference-start", "conference-end", "announcement-end", "something-new", ""):
        await tell(stack, conference_event(call_id, event, sequence=1))
    await tell(stack, conference_event(call_id, "participant-join", sequence=1))
    assert (await stack.value("SELECT state FROM calls")) == "connecting"


async def test_events_of_unknown_conferences_are_acknowledged(stack: Stack) -> None:
    for name in ("call_999", "call_", "room", "", "call_1; DROP", "call_99999999999999999999"):
        fields = conference_event(1, "participant-join", sid=new_sid(), label="agent_1", sequence=1)
        await tell(stack, fields | {"FriendlyName": name})
    assert await stack.count("calls") == 0


async def test_events_without_numbers_are_taken_as_they_come(stack: Stack) -> None:
    ava = await stack.agent("ava")
    customer, phone, call_id = await connecting(stack, ava)
    await tell(
        stack,
        conference_event(call_id, "participant-join", sid=phone, label=ava.identity, room=ROOM),
        conference_event(call_id, "participant-join", sid=customer, label="customer", room=ROOM, SequenceNumber="x"),
    )
    assert (await stack.call(customer))["state"] == "in_call"


async def test_joins_of_strangers_do_not_connect_the_call(stack: Stack) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    customer, _, call_id = await connecting(stack, ava)
    await tell(
        stack,
        conference_event(call_id, "participant-join", sid=customer, label="customer", sequence=1, room=ROOM),
        conference_event(call_id, "participant-join", sid=new_sid(), label=ava.identity, sequence=2, room=ROOM),
        conference_event(call_id, "participant-join", sid=new_sid(), label=ben.identity, sequence=3, room=ROOM),
    )
    assert (await stack.call(customer))["state"] == "connecting"


async def test_page_loaded_again_joins_before_the_old_leg_is_given_up(stack: Stack) -> None:
    """The new leg of the same agent is in, then the old one is reported gone: nobody has left."""
    ava = await stack.agent("ava")
    customer, old, call_id = await connecting(stack, ava)
    new = new_sid()
    await stack.hook("/twilio/agent", standard(new, from_=f"client:{ava.identity}", to="", CallId=str(call_id)))
    me = ava.identity
    await tell(
        stack,
        conference_event(call_id, "participant-join", sid=customer, label="customer", sequence=1, room=ROOM),
        conference_event(call_id, "participant-join", sid=old, label=me, sequence=2, room=ROOM),
        conference_event(call_id, "participant-join", sid=new, label=me, sequence=3, room=ROOM),
        conference_event(call_id, "participant-leave", sid=old, label=me, sequence=4, room=ROOM, ParticipantCallStatus="completed"),
    )  # fmt: skip
    await stack.hook("/twilio/status", status_callback(old))
    call = await stack.call(customer)
    assert (call["state"], call["agent_joined"]) == ("in_call", True)
    assert await stack.value("SELECT count(*) FROM timers WHERE kind = 'cti.agent_gone'") == 0
    await stack.hook("/twilio/status", status_callback(new))
    assert (await stack.call(customer))["agent_joined"] is False
    assert await stack.value("SELECT count(*) FROM timers WHERE kind = 'cti.agent_gone'") == 1


async def test_end_that_is_told_before_the_beginning_leaves_nobody_in_line(stack: Stack) -> None:
    """Two requests of a caller who hung up at once may arrive in the wrong order."""
    sid = new_sid()
    assert (await stack.hook("/twilio/status", status_callback(sid))).status == 204
    assert await stack.count("calls") == 0
    assert (await stack.hook("/twilio/voice", standard(sid))).status == 200
    call = await stack.call(sid)
    assert (call["state"], call["outcome"]) == ("closed", "abandoned_queue")
    assert await stack.count("tickets") == 1
    await stack.quiet()
    assert await stack.value("SELECT close_reason FROM tickets") == "short_abandon"


async def test_progress_of_a_leg_that_nobody_knows_is_kept_and_acknowledged(stack: Stack) -> None:
    sid = new_sid()
    for status in ("initiated", "ringing", "in-progress", "completed"):
        assert (await stack.hook("/twilio/status", status_callback(sid, status))).status == 204
    assert await stack.value("SELECT count(*) FROM provider_events WHERE call_sid = $1", sid) == 4


async def test_progress_that_is_no_end_changes_nothing(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    before = dict(await stack.call(leg.sid))
    for status in ("initiated", "ringing", "in-progress", "queued", "", "unheard-of"):
        await stack.hook("/twilio/status", status_callback(leg.sid, status))
    assert dict(await stack.call(leg.sid)) == before


async def test_end_of_an_agents_leg_is_not_the_end_of_the_call(stack: Stack) -> None:
    ava = await stack.agent("ava")
    customer, phone, call_id = await connecting(stack, ava)
    await tell(
        stack,
        conference_event(call_id, "participant-join", sid=customer, label="customer", sequence=1, room=ROOM),
        conference_event(call_id, "participant-join", sid=phone, label=ava.identity, sequence=2, room=ROOM),
    )
    for status in ("completed", "failed", "no-answer"):
        await stack.hook("/twilio/status", status_callback(phone, status))
    call = await stack.call(customer)
    assert (call["state"], call["outcome"], call["agent_joined"]) == ("in_call", None, False)
    assert await stack.count("calls") == 1


async def test_late_callback_tells_when_it_happened(stack: Stack) -> None:
    leg = await stack.dial(faults=NO_CALLBACKS)
    await stack.rows("UPDATE calls SET created_at = created_at - interval '5 minutes', queued_at = queued_at - interval '5 minutes' RETURNING 1")  # fmt: skip
    said = await stack.value("SELECT date_trunc('second', now() - interval '1 minute')")
    fields = status_callback(leg.sid) | {"Timestamp": said.strftime("%a, %d %b %Y %H:%M:%S +0000")}
    await stack.hook("/twilio/status", fields)
    assert (await stack.call(leg.sid))["ended_at"] == said


async def test_outcome_of_a_waiting_caller_whose_leg_ends(stack: Stack) -> None:
    for status in ("failed", "busy", "no-answer", "canceled", "completed"):
        sid = new_sid()
        await stack.hook("/twilio/voice", standard(sid))
        await stack.hook("/twilio/status", status_callback(sid, status))
        assert (await stack.call(sid))["outcome"] == ("failed" if status == "failed" else "abandoned_queue")
        assert await stack.value("SELECT state FROM legs WHERE sid = $1", sid) == status


async def test_caller_who_leaves_while_it_rings_takes_the_offer_along(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS)
    offer_id = await ava.offer()
    await stack.hook("/twilio/queue/done", queue_done(leg.sid, "hangup", status="completed"))
    status, problem = await ava.ask("POST", f"/offers/{offer_id}/accept")
    assert (status, problem["code"]) == (409, "caller_left")
    assert await stack.value("SELECT (state, reason) = ('canceled', 'caller_left') FROM offers")
    assert await stack.value("SELECT misses FROM agents WHERE id = $1", ava.id) == 0
