"""What a person gives to whom: pushes, picks, what they may overrule, races with the dispatcher, and taking it back."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from core.errors import NotFound, RingdeskError, VersionConflict
from core.principal import Principal, Role
from cti import service as telephony
from cti.model import CallerLeft
from infra.outbox import Tx
from routing import acts, by_hand, service
from routing import queries as sql
from routing.acts import TooLateToUndo
from routing.dispatcher import one_pass
from routing.model import CannotTake, NotWaiting, OfferRow
from tests.api import Api
from tests.integration.routing.floor import DE_POOL, POOL, Floor, Waiting
from tests.integration.routing.racing import race
from tests.integration.routing.test_http import desk, got

MEI = Principal(999_001, Role.SUPERVISOR, "Mei", "mei@example.com")


def pushing(
    floor: Floor, call: Waiting, to: str, *, version: int = 1, anyway: bool = False, who: Principal = MEI
) -> Callable[[Tx], Awaitable[tuple[OfferRow, acts.Act]]]:
    ident = floor.agent(to).user_id
    return lambda tx: by_hand.push(
        tx, item_id=call.item_id, agent_id=ident, version=version, anyway=anyway, reason=None, who=who
    )


async def push(floor: Floor, call: Waiting, to: str, *, version: int = 1, anyway: bool = False) -> acts.Act:
    _, act = await floor.transact(pushing(floor, call, to, version=version, anyway=anyway))
    return act


def picking(
    floor: Floor, call: Waiting, name: str, *, version: int = 1
) -> Callable[[Tx], Awaitable[tuple[OfferRow, acts.Act | None]]]:
    return lambda tx: by_hand.pick(tx, item_id=call.item_id, version=version, who=floor.agent(name))


def accepting(floor: Floor, name: str, offer_id: int) -> Callable[[Tx], Awaitable[OfferRow]]:
    return lambda tx: service.accept(tx, offer_id=offer_id, who=floor.agent(name))


async def undo(floor: Floor, act: acts.Act, *, later_s: float = 0) -> None:
    await floor.transact(lambda tx: acts.undo(tx, act_id=act.id, who=MEI), later_s=later_s)


async def units(floor: Floor, name: str) -> tuple[int, int]:
    row = await floor.agent_row(name)
    return row["used_units"], row["over_by"]


async def verdict_of(floor: Floor, call: Waiting, name: str) -> tuple[str, str]:
    """What the list of candidates says of somebody: why, and whether they can be given it."""
    async with floor.database.acquire() as conn:
        row = await conn.fetchrow(sql.ITEM_DETAIL, call.item_id, None)
        assert row is not None
        now = await conn.fetchval("SELECT now()")
        found = await by_hand.candidates(conn, item=sql.item_of(row), pool=row["pool_id"], now=now, limit=500)
    (one,) = [each for each in found if each.agent_id == floor.agent(name).user_id]
    return one.verdict.value, one.push


# --- pushing ------------------------------------------------------------------------------------------------------------------------


async def test_a_push_is_an_offer_like_any_other_and_says_by_whom(floor: Floor) -> None:
    await floor.open()
    first, second = await floor.ring(waited_s=9), await floor.ring()
    await floor.arrive("ava", "ben")
    await push(floor, second, "ben")
    assert [(name, item) for name, item, _ in await floor.pending()] == [("ben", second.item_id)]
    assert (await floor.item(second))["state"] == "offering"
    assert await units(floor, "ben") == (1, 0)
    decision = await floor.row("SELECT chosen_agent_id, chosen_by, verdicts, counts FROM decisions")
    assert (decision["chosen_agent_id"], decision["chosen_by"]) == (floor.agent("ben").user_id, "push:Mei")
    assert decision["verdicts"][0] == {"agent_id": floor.agent("ben").user_id, "verdict": "chosen"}
    assert decision["counts"] == {"chosen": 1, "eligible": 1, "offline": 1}
    row = await floor.row("SELECT actor_name, object_id, before, after FROM audit_log WHERE action = 'work_item.push'")
    offer_id = await floor.offer_of("ben")
    assert row == {
        "actor_name": "Mei",
        "object_id": str(second.item_id),
        "before": {"version": 1},
        "after": {"offer_id": offer_id, "agent_id": floor.agent("ben").user_id},
    }
    assert len(await floor.events("offer.created")) == 1
    assert set(await floor.dispatch()) == {("ben", second.item_id), ("ava", first.item_id)}
    await floor.talk(second, "ben")
    assert (await floor.item(second))["state"] == "assigned"


HARD = {"offline": "offline", "disconnected": "disconnected", "in_call": "in_call", "offered": "offered", "lost": "not_responding"}  # fmt: skip


async def so(floor: Floor, name: str, how: str) -> None:
    """This agent is so just now."""
    if how == "offline":
        return
    await floor.arrive(name)
    if how == "disconnected":
        await floor.disconnect(name)
    elif how == "on_break":
        await floor.present(name, "break", "lunch")
    elif how == "cooling_down":
        await floor.execute(
            "UPDATE agents SET cooldown_until = now() + interval '1 hour' WHERE id = $1", floor.agent(name).user_id
        )
    elif how in ("in_call", "offered", "wrapping", "lost", "limited"):
        other = await floor.ring()
        await floor.dispatch()
        if how in ("in_call", "wrapping", "limited"):
            await floor.talk(other, name)
        if how in ("wrapping", "limited"):
            await floor.hang_up(other)
        if how == "limited":
            await floor.finish(other, name)
            limit = "UPDATE agents SET max_calls = 1, max_calls_s = 3600 WHERE id = $1"
            await floor.execute(limit, floor.agent(name).user_id)
        if how == "lost":
            await floor.run_out(await floor.offer_of(name))
            await floor.hang_up(other)


@pytest.mark.parametrize(("how", "verdict"), HARD.items())
async def test_nobody_is_given_a_second_telephone_or_called_who_is_not_there(
    floor: Floor, how: str, verdict: str
) -> None:
    await floor.open()
    await so(floor, "ava", how)
    call = await floor.ring()
    assert await verdict_of(floor, call, "ava") == (verdict, "no")
    for anyway in (False, True):
        with pytest.raises(CannotTake, match="Ava cannot take it") as refused:
            await push(floor, call, "ava", anyway=anyway)
        assert (refused.value.fields["verdict"], refused.value.fields["anyway"]) == (verdict, False)
    assert (await floor.item(call))["state"] == "queued"


SOFT = ("on_break", "wrapping", "cooling_down", "limited", "excluded", "skill_missing", "not_in_queue")


@pytest.mark.parametrize("how", SOFT)
async def test_what_a_person_may_overrule_needs_to_be_said(floor: Floor, how: str) -> None:
    skilled = "{skill: german}" if how == "skill_missing" else ""
    await floor.open(rules=f"- {{name: all, then: {{steps: [{{after_s: 0, require: [{skilled}]}}]}}}}")
    await so(floor, "ava", how)
    call = await floor.ring("sales" if how == "not_in_queue" else "support")
    version = 1
    if how == "excluded":
        await floor.dispatch()
        await floor.reject("ava")
        version = (await floor.item(call))["version"]
    assert await verdict_of(floor, call, "ava") == (how, "anyway")
    with pytest.raises(CannotTake) as refused:
        await push(floor, call, "ava", version=version)
    assert (refused.value.fields["verdict"], refused.value.fields["anyway"]) == (how, True)
    assert set(refused.value.fields["reason"]) == {"en", "zh-CN"}  # type: ignore[call-overload]
    await push(floor, call, "ava", version=version, anyway=True)
    offer = await floor.offer(await floor.offer_of("ava"))
    assert (offer["state"], offer["work_item_id"]) == ("pending", call.item_id)
    kept = await floor.row("SELECT verdicts FROM decisions ORDER BY id DESC LIMIT 1")
    assert kept["verdicts"][0] == {"agent_id": floor.agent("ava").user_id, "verdict": "chosen", "detail": how}
    audited = await floor.row("SELECT after FROM audit_log WHERE action = 'work_item.push'")
    assert audited["after"]["overruled"] == how
    await floor.talk(call, "ava")


async def test_what_is_kept_for_another_can_be_given_away_by_a_supervisor_and_not_be_picked(floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {sticky: {agent: ben@example.com, wait_s: 60, if_away: true}}}")
    await floor.arrive("ava")
    call = await floor.ring()
    assert await floor.dispatch() == []
    version = (await floor.item(call))["version"]
    assert await verdict_of(floor, call, "ava") == ("kept_for_another", "anyway")
    with pytest.raises(CannotTake):
        await floor.transact(picking(floor, call, "ava", version=version))
    await floor.present("ava", "break")  # which agents may overrule for themselves, but not what stands behind it
    with pytest.raises(CannotTake):
        await floor.transact(picking(floor, call, "ava", version=version))
    await floor.present("ava", "available")
    await push(floor, call, "ava", version=version, anyway=True)
    await floor.talk(call, "ava")


async def test_whom_a_rule_and_a_break_hold_back_is_not_reached_without_a_desk(floor: Floor) -> None:
    """The first reason is one that can be overruled; a lasting one behind it still counts."""
    await floor.open()
    await floor.connect("ava")
    await floor.present("ava", "break")
    await floor.disconnect("ava")
    call = await floor.ring("sales")
    assert await verdict_of(floor, call, "ava") == ("disconnected", "no")
    with pytest.raises(CannotTake):
        await push(floor, call, "ava", anyway=True)


async def test_zendesk_salesforce_tab_model_more_than_capacity_is_one_persons_act_and_nothing_follows_it(
    floor: Floor,
) -> None:
    """There, a closed tab or an idle chat gives capacity back, and people end up above their limit."""
    await floor.open()
    await so(floor, "ava", "wrapping")
    pushed, third = await floor.ring(), await floor.ring()
    await push(floor, pushed, "ava", anyway=True)
    assert await units(floor, "ava") == (2, 1)
    assert await verdict_of(floor, third, "ava") == ("offered", "no")
    with pytest.raises(CannotTake):
        await push(floor, third, "ava", anyway=True)
    assert await floor.dispatch() == [("ava", pushed.item_id)], "no automatic offer to who is over"

    await floor.disconnect("ava")  # the tab is closed, and opened again
    await floor.connect("ava")
    assert await units(floor, "ava") == (2, 1)
    await floor.talk(pushed, "ava")
    assert await verdict_of(floor, third, "ava") == ("in_call", "no")
    wrapping = await floor.value("SELECT call_id FROM offers WHERE state = 'wrapping'")
    await floor.finish(Waiting(wrapping, 0, 0), "ava")
    assert await units(floor, "ava") == (1, 0), "back under, by the state of the items alone"
    assert await floor.dispatch() == []
    await floor.hang_up(pushed)
    assert await floor.dispatch() == []
    await floor.finish(pushed, "ava")
    assert await units(floor, "ava") == (0, 0)
    assert await floor.dispatch() == [("ava", third.item_id)]


async def test_asterisk_202_priority_change_acts_at_once(floor: Floor) -> None:
    """There, a caller's new priority counted only from the next queue on."""
    await floor.open()
    first, second = await floor.ring(waited_s=60), await floor.ring(waited_s=9)
    await floor.transact(
        lambda tx: acts.prioritise(tx, item_id=second.item_id, tier=1, boost_s=None, version=1, who=MEI)
    )
    await floor.arrive("ava")
    assert await floor.dispatch() == [("ava", second.item_id)]
    assert (await floor.item(first))["state"] == "queued"


async def test_who_misses_a_push_during_a_break_stays_on_the_break(floor: Floor) -> None:
    await floor.open()
    await so(floor, "ava", "on_break")
    call = await floor.ring()
    await push(floor, call, "ava", anyway=True)
    await floor.run_out(await floor.offer_of("ava"))
    assert await floor.presence("ava") == ("break", "lunch")
    assert (await floor.item(call))["state"] == "queued"
    assert await units(floor, "ava") == (0, 0)


async def test_a_held_queue_can_still_be_given_from_by_hand_but_not_be_picked_from(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.hold(who=MEI)
    call = await floor.ring()
    assert await floor.dispatch() == []
    with pytest.raises(CannotTake, match="holds this queue"):
        await floor.transact(picking(floor, call, "ben"))
    await push(floor, call, "ava")
    await floor.talk(call, "ava")


async def test_only_what_waits_and_is_as_it_was_seen_can_be_given(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    with pytest.raises(VersionConflict):
        await push(floor, call, "ava", version=2)
    await push(floor, call, "ava")
    with pytest.raises(NotWaiting):  # the same again changes nothing
        await push(floor, call, "ava")
    assert len(await floor.pending()) == 1
    await floor.hang_up(call)
    with pytest.raises(NotWaiting):
        await push(floor, call, "ben")
    with pytest.raises(NotFound):
        await push(floor, Waiting(call.call_id, 99_999_999, 0), "ben")


# --- taking it back -------------------------------------------------------------------------------------------------------------------


async def test_a_push_is_taken_back_and_the_item_is_where_it_was(floor: Floor) -> None:
    await floor.open()
    first, second = await floor.ring(waited_s=9), await floor.ring()
    await floor.arrive("ava")
    before = await floor.item(first)
    act = await push(floor, first, "ava")
    offer_id = await floor.offer_of("ava")
    await undo(floor, act)
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["reason"]) == ("rescinded", "undone")
    told = (await floor.events("offer.ended"))[-1][1]
    assert (told["outcome"], told["reason"]) == ("rescinded", "undone"), "the desk can say that it was taken back"
    after = await floor.item(first)
    assert {name: after[name] for name in ("state", "virtual_start", "entered_at", "tier")} == {
        name: before[name] for name in ("state", "virtual_start", "entered_at", "tier")
    }
    assert await units(floor, "ava") == (0, 0)
    assert (await floor.agent_row("ava"))["misses"] == 0
    row = await floor.row("SELECT after, purpose FROM audit_log WHERE action = 'work_item.take_back'")
    assert row == {"after": {"offer_id": offer_id}, "purpose": f"undo of {act.id}"}
    assert await floor.dispatch() == [("ava", first.item_id)]
    assert (await floor.item(second))["state"] == "queued"


async def test_what_was_accepted_or_has_ended_is_not_taken_back(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    taken, left = await floor.ring(), await floor.ring()
    act = await push(floor, taken, "ava")
    await floor.accept("ava")
    with pytest.raises(TooLateToUndo, match="answered"):
        await undo(floor, act)
    act = await push(floor, left, "ben")
    await floor.hang_up(left)
    with pytest.raises(TooLateToUndo):
        await undo(floor, act)
    assert (await floor.item(taken))["state"] == "assigned"


async def force(floor: Floor, name: str, state: str, reason: str | None = "meeting") -> acts.Act:
    return await floor.force(name, state, reason, who=MEI)


async def test_a_forced_state_is_undone_with_its_reason_and_the_idle_clock_has_not_noticed(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    idle_since = (await floor.agent_row("ava"))["idle_since"]
    act = await force(floor, "ava", "break")
    assert await floor.presence("ava") == ("break", "meeting")
    await undo(floor, act)
    assert await floor.presence("ava") == ("available", None)
    assert (await floor.agent_row("ava"))["idle_since"] == idle_since
    await floor.present("ava", "break", "lunch")
    await undo(floor, await force(floor, "ava", "offline"))
    assert await floor.presence("ava") == ("break", "lunch")
    rows = await floor.fetch("SELECT before, after, purpose FROM audit_log WHERE action = 'presence.force' ORDER BY id")
    assert rows[1] == {
        "before": {"state": "break", "reason": "meeting"},
        "after": {"state": "available", "reason": None},
        "purpose": f"undo of {act.id}",
    }
    told = (await floor.events("agent.presence_changed"))[-1][1]
    assert (told["state"], told["by"]) == ("break", f"user:{MEI.user_id}")


async def test_what_the_engine_had_set_comes_back_too(floor: Floor) -> None:
    await floor.open()
    await so(floor, "ava", "lost")
    assert (await floor.presence("ava"))[0] == "not_responding"
    await undo(floor, await force(floor, "ava", "available", None))
    assert await floor.presence("ava") == ("not_responding", "missed_offer")
    await floor.disconnect("ava")
    await floor.present("ava", "available")
    await floor.sweep_lost("ava")
    assert (await floor.presence("ava"))[0] == "reconnecting"
    act = await force(floor, "ava", "break")
    await floor.connect("ava")
    await undo(floor, act)
    assert await floor.presence("ava") == ("available", None), "the desk is there again"


async def test_a_state_that_has_changed_since_is_left_alone(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    act = await force(floor, "ava", "break")
    await floor.present("ava", "available")
    await floor.present("ava", "break", "meeting")  # the same again, by her own choice
    with pytest.raises(TooLateToUndo, match="changed since"):
        await undo(floor, act)
    with pytest.raises(TooLateToUndo, match="10 s"):
        await undo(floor, await force(floor, "ava", "offline"), later_s=11)


# --- picking --------------------------------------------------------------------------------------------------------------------------


async def test_an_agent_takes_a_caller_out_of_the_line(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.present("ava", "break")
    first, second = await floor.ring(waited_s=9), await floor.ring()
    offer, _ = await floor.transact(picking(floor, second, "ava"))
    assert (offer.state, offer.call_id) == ("accepted", second.call_id)
    assert [name for name, _ in await floor.events("offer.created", "offer.accepted")] == [
        "offer.created",
        "offer.accepted",
    ]
    await floor.join(second, "ava")
    assert (await floor.row("SELECT chosen_by FROM decisions"))["chosen_by"] == "pick:Ava"
    row = await floor.row("SELECT actor_id, after FROM audit_log WHERE action = 'work_item.pick'")
    assert row["actor_id"] == floor.agent("ava").user_id
    assert row["after"]["overruled"] == "on_break"
    assert (await floor.item(first))["state"] == "queued"
    assert await floor.presence("ava") == ("break", None)
    assert [kind for kind in await floor.intervals("ava") if kind == "talking"] == ["talking"]


async def test_what_an_agent_may_not_pick(floor: Floor) -> None:
    await floor.open(
        rules="- {name: German, when: {field: call.language, op: '==', value: de}, then: {steps: [{after_s: 0, require: [{skill: german}]}]}}\n"
        "- {name: rest}"
    )
    german, plain = await floor.ring(language="de"), await floor.ring(waited_s=60)
    elsewhere, busy = await floor.ring("de"), await floor.ring()
    with pytest.raises(CannotTake, match="offline"):
        await floor.transact(picking(floor, plain, "ava"))
    await floor.arrive("ava")
    with pytest.raises(CannotTake, match="skill"):
        await floor.transact(picking(floor, german, "ava"))
    with pytest.raises(NotFound):
        await floor.transact(picking(floor, elsewhere, "ava"))
    await floor.dispatch()
    await floor.talk(plain, "ava")
    with pytest.raises(CannotTake, match="in a call"):
        await floor.transact(picking(floor, busy, "ava"))
    await floor.hang_up(plain)
    with pytest.raises(CannotTake, match="wrapping up"):
        await floor.transact(picking(floor, busy, "ava"))


async def test_a_supervisor_with_a_desk_takes_from_any_queue_and_one_without_a_desk_from_none(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring("de")
    with pytest.raises(CannotTake, match="offline"):
        await floor.transact(picking(floor, call, "sam"))
    with pytest.raises(NotFound):
        await floor.transact(lambda tx: by_hand.pick(tx, item_id=call.item_id, version=1, who=MEI))
    await floor.arrive("sam")
    offer, _ = await floor.transact(picking(floor, call, "sam"))
    assert (offer.state, offer.pool_id) == ("accepted", DE_POOL)
    await floor.join(call, "sam")


# --- races ----------------------------------------------------------------------------------------------------------------------------


async def test_two_pushes_and_a_pass_at_once_make_one_offer(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben", "chen")
    for _ in range(5):
        call = await floor.ring()
        outcomes = await race(
            floor,
            pushing(floor, call, "ava"),
            pushing(floor, call, "ben"),
            lambda tx: one_pass(tx, POOL),
            picking(floor, call, "chen"),
        )
        offers = await floor.fetch(
            "SELECT id FROM offers WHERE work_item_id = $1 AND state IN ('pending', 'accepted')", call.item_id
        )
        if not offers:  # the pass left it to who held the call, who was refused
            await floor.dispatch()
            offers = await floor.fetch("SELECT id FROM offers WHERE work_item_id = $1", call.item_id)
        assert len(offers) == 1, outcomes
        await floor.hang_up(call)
        for name in ("ava", "ben", "chen"):
            await floor.execute("UPDATE exclusions SET until = now()")
            assert (await units(floor, name))[1] == 0


async def test_a_push_to_who_accepts_another_call_in_the_same_instant(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(5):
        ringing, waiting = await floor.ring(waited_s=5), await floor.ring()
        await floor.dispatch()
        accepted, pushed = await race(
            floor,
            accepting(floor, "ava", await floor.offer_of("ava")),
            pushing(floor, waiting, "ava", anyway=True),
        )
        assert isinstance(accepted, OfferRow)
        assert isinstance(pushed, CannotTake)
        await floor.join(ringing, "ava")
        await floor.hang_up(waiting)
        await floor.hang_up(ringing)
        await floor.finish(ringing, "ava")


async def test_undo_and_accept_in_the_same_instant_have_one_winner(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(5):
        call = await floor.ring()
        act = await push(floor, call, "ava")
        accepted, undone = await race(
            floor,
            accepting(floor, "ava", await floor.offer_of("ava")),
            lambda tx, act=act: acts.undo(tx, act_id=act.id, who=MEI),  # type: ignore[misc]
        )
        assert isinstance(accepted, RingdeskError) != isinstance(undone, RingdeskError)
        if isinstance(accepted, OfferRow):
            await floor.join(call, "ava")
        await floor.hang_up(call)
        if isinstance(accepted, OfferRow):
            await floor.finish(call, "ava")


async def test_a_push_to_a_caller_who_is_just_leaving(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for _ in range(3):
        call = await floor.ring()
        sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
        _, pushed = await race(
            floor,
            lambda tx, sid=sid: telephony.customer_gone(tx, sid=sid, at=tx.now),  # type: ignore[misc]
            pushing(floor, call, "ava"),
        )
        assert isinstance(pushed, (tuple, NotWaiting, CallerLeft))
        assert (await floor.item(call))["state"] == "abandoned"
        assert await units(floor, "ava") == (0, 0)


# --- giving back what was taken ---------------------------------------------------------------------------------------------------------


async def pick(floor: Floor, call: Waiting, name: str) -> acts.Act:
    _, act = await floor.transact(picking(floor, call, name, version=(await floor.item(call))["version"]))
    assert act is not None
    return act


async def give_back(floor: Floor, act: acts.Act, name: str, *, later_s: float = 0) -> None:
    await floor.transact(lambda tx: acts.undo(tx, act_id=act.id, who=floor.agent(name)), later_s=later_s)


async def test_a_pick_is_undone_before_the_two_have_met_and_everything_is_as_before(floor: Floor) -> None:
    await floor.open()
    first, second = await floor.ring(waited_s=9), await floor.ring()
    await floor.arrive("ava")
    before, idle_since = await floor.item(second), (await floor.agent_row("ava"))["idle_since"]
    act = await pick(floor, second, "ava")
    offer_id = await floor.offer_of("ava")
    with pytest.raises(NotFound):  # it is for who did it
        await undo(floor, act)
    await give_back(floor, act, "ava")
    offer = await floor.offer(offer_id)
    assert (offer["state"], offer["reason"]) == ("canceled", "undone")
    after = await floor.item(second)
    kept = ("state", "virtual_start", "entered_at", "tier", "queue", "step")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    agent = await floor.agent_row("ava")
    assert (await units(floor, "ava"), agent["cooldown_until"], agent["idle_since"]) == ((0, 0), None, idle_since)
    assert await floor.value("SELECT state FROM calls WHERE id = $1", second.call_id) == "queued"
    commands = await floor.fetch("SELECT kind FROM provider_commands WHERE call_id = $1 ORDER BY id", second.call_id)
    assert [row["kind"] for row in commands] == ["connect", "requeue"]
    row = await floor.row("SELECT actor_id, object_id, purpose FROM audit_log WHERE action = 'work_item.give_back'")
    assert row == {
        "actor_id": floor.agent("ava").user_id,
        "object_id": str(second.item_id),
        "purpose": f"undo of {act.id}",
    }
    assert await floor.dispatch() == [("ava", first.item_id)]
    await floor.arrive("ben")
    assert ("ben", second.item_id) in await floor.dispatch(), "others are asked for it as before"


async def test_who_gives_back_is_not_asked_for_that_call_again_for_a_while(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await give_back(floor, await pick(floor, call, "ava"), "ava")
    assert await floor.dispatch() == []
    assert (await verdict_of(floor, call, "ava"))[0] == "excluded"
    assert (await floor.item(call))["state"] == "queued"


async def test_a_pick_undone_in_conversation_is_a_place_in_line_and_a_wrap_up(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call, behind = await floor.ring(waited_s=30), await floor.ring(waited_s=10)
    before = await floor.item(call)
    act = await pick(floor, call, "ava")
    await floor.join(call, "ava")
    await give_back(floor, act, "ava")
    item = await floor.item(call)
    assert (item["state"], item["virtual_start"], item["tier"]) == ("queued", before["virtual_start"], before["tier"])
    assert (await floor.agent_row("ava"))["presence"] == "available"
    assert (await floor.offer(await floor.offer_of("ava")))["state"] == "wrapping"
    stints = await floor.fetch("SELECT outcome FROM stints WHERE work_item_id = $1 ORDER BY id", call.item_id)
    assert [row["outcome"] for row in stints] == ["answered", None]
    await floor.finish(call, "ava")
    await floor.arrive("ben")
    assert set(await floor.dispatch()) == {("ben", call.item_id), ("ava", behind.item_id)}


DONE: Final = "UPDATE queues SET wrap_mode = $1, default_disposition = 'done' WHERE key = 'support'"


@pytest.mark.parametrize("mode", ["none", "timed"])
async def test_a_default_result_settles_nothing_while_the_caller_waits_again(floor: Floor, mode: str) -> None:
    await floor.open()
    done = """INSERT INTO dispositions (key, name, resolves_ticket) VALUES ('done', '{"en": "Done"}', true)"""
    await floor.execute(done)
    await floor.execute(DONE, mode)
    await floor.arrive("ava")
    call = await floor.ring()
    act = await pick(floor, call, "ava")
    await floor.join(call, "ava")
    offer_id = await floor.offer_of("ava")
    await give_back(floor, act, "ava")
    if mode == "timed":
        await floor.run_timer(service.WRAP_TIMER, offer_id)
    assert (await floor.offer(offer_id))["state"] == "completed"
    ticket = "SELECT state, assignee_id FROM tickets WHERE id = $1"
    assert await floor.row(ticket, call.ticket_id) == {"state": "new", "assignee_id": None}
    assert await floor.value("SELECT disposition FROM calls WHERE id = $1", call.call_id) is None
    await floor.arrive("ben")
    await floor.dispatch()
    await floor.talk(call, "ben")
    await floor.hang_up(call)
    if mode == "timed":
        await floor.run_timer(service.WRAP_TIMER, await floor.offer_of("ben"))
    assert await floor.row(ticket, call.ticket_id) == {"state": "resolved", "assignee_id": floor.agent("ben").user_id}


async def test_what_was_given_back_does_not_count_against_an_agents_limit_and_no_pause_gets_shorter(
    floor: Floor,
) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.execute("UPDATE agents SET max_calls = 1, max_calls_s = 3600 WHERE id = $1", floor.agent("ava").user_id)
    call, other = await floor.ring(waited_s=9), await floor.ring()
    until = "INSERT INTO exclusions VALUES ($1, $2, now() + interval '1 hour', 'rejected')"
    await floor.execute(until, call.item_id, floor.agent("ava").user_id)
    await give_back(floor, await pick(floor, call, "ava"), "ava")
    assert await floor.dispatch() == [("ava", other.item_id)]
    left = await floor.row("SELECT until > now() + interval '59 minutes' AS is_long, reason FROM exclusions")
    assert left == {"is_long": True, "reason": "rejected"}


@pytest.mark.parametrize(
    ("talks", "said"),
    [
        (False, "Taken from the line by Ava. Ava gave it back before talking."),
        (True, "Taken from the line by Ava. Ava talked, and gave it back."),
    ],
)
async def test_explained_that_it_was_given_back(floor: Floor, api: Api, talks: bool, said: str) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    act = await pick(floor, call, "ava")
    if talks:
        await floor.join(call, "ava")
    await give_back(floor, act, "ava")
    sam = await desk(api, floor, "sam")
    explained = await got(await sam.get(f"/api/v1/work-items/{call.item_id}/explain"))
    assert explained["decisions"][0]["sentence"]["en"] == said


async def test_what_is_over_or_given_away_is_not_given_back(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    act = await pick(floor, call, "ava")
    with pytest.raises(TooLateToUndo, match="10 s"):
        await give_back(floor, act, "ava", later_s=11)
    await floor.join(call, "ava")
    await floor.hang_up(call)
    with pytest.raises(TooLateToUndo):
        await give_back(floor, act, "ava")
    await floor.finish(call, "ava")
    other = await floor.ring()
    act = await pick(floor, other, "ben")
    await give_back(floor, act, "ben")
    with pytest.raises(TooLateToUndo, match="any more"):
        await give_back(floor, act, "ben")
    assert (await floor.item(other))["state"] == "queued"


async def test_giving_back_and_the_callers_goodbye_in_the_same_instant(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    for talks in (False, True, False, True):
        call = await floor.ring()
        act = await pick(floor, call, "ava")
        if talks:
            await floor.join(call, "ava")
        sid = await floor.value("SELECT sid FROM calls WHERE id = $1", call.call_id)
        _, undone = await race(
            floor,
            lambda tx, sid=sid: telephony.customer_gone(tx, sid=sid, at=tx.now),  # type: ignore[misc]
            lambda tx, act=act: acts.undo(tx, act_id=act.id, who=floor.agent("ava")),  # type: ignore[misc]
        )
        assert isinstance(undone, tuple | TooLateToUndo), undone
        assert (await floor.item(call))["state"] in ("abandoned", "wrapping")
        if talks:
            await floor.finish(call, "ava")
        assert await units(floor, "ava") == (0, 0)


# --- over HTTP ------------------------------------------------------------------------------------------------------------------------


async def test_a_supervisor_looks_pushes_and_takes_back(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    await floor.present("ben", "break", "lunch")
    older, newer = await floor.ring(waited_s=30), await floor.ring(from_=None)
    sam = await desk(api, floor, "sam")
    line: list[dict[str, Any]] = (await got(await sam.get("/api/v1/queues/support/waiting")))["items"]
    assert [row["id"] for row in line] == [older.item_id, newer.item_id]
    assert (line[0]["caller"], line[0]["customer"], line[0]["state"], line[0]["version"]) == (
        "+14155550100",
        None,
        "queued",
        1,
    )
    assert line[0]["waited_s"] >= 30
    assert line[1]["caller"] is None
    path = f"/api/v1/work-items/{newer.item_id}"
    who = (await got(await sam.get(f"{path}/candidates")))["items"]
    assert [(each["name"], each["verdict"], each["push"]) for each in who] == [
        ("Ben", "on_break", "anyway"),
        ("Ava", "offline", "no"),
        ("Chen", "offline", "no"),
    ]
    ben = floor.agent("ben").user_id
    refused = await got(await sam.post(f"{path}/push", json={"agent_id": ben, "version": 1}), 409)
    assert (refused["code"], refused["verdict"], refused["anyway"]) == ("cannot_take", "on_break", True)
    assert refused["reason"] == {"en": "Ben cannot take it: on break.", "zh-CN": "Ben无法接听：休息中。"}
    pushed = await got(
        await sam.post(f"{path}/push", json={"agent_id": ben, "version": 1, "anyway": True, "reason": "VIP"})
    )
    assert pushed["offer"] == {"id": await floor.offer_of("ben"), "state": "pending"}
    explained = await got(await sam.get(f"{path}/explain"))
    assert explained["decisions"][0]["sentence"]["en"] == (
        "Pushed by Sam to Ben. At that time: on break. Ben has not answered yet."
    )
    line = (await got(await sam.get("/api/v1/queues/support/waiting")))["items"]
    assert [(row["id"], row["state"]) for row in line] == [(older.item_id, "queued"), (newer.item_id, "offering")]
    undone = await got(await sam.post(f"/api/v1/acts/{pushed['undo']['id']}/undo", json={}))
    assert undone == {"object_kind": "work_item", "object_id": str(newer.item_id)}
    await got(await sam.post(f"{path}/push", json={"agent_id": 0, "version": 1}), 422)
    await got(await sam.post(f"{path}/push", json={"agent_id": 99_999_999, "version": 3}), 404)
    await got(await sam.get("/api/v1/work-items/9999999/candidates"), 404)
    await got(await sam.get("/api/v1/queues/nowhere/waiting"), 404)
    await got(await sam.get("/api/v1/queues/a%00b/waiting"), 404)


async def test_what_the_board_counts_as_in_call_can_be_looked_at(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    sam = await desk(api, floor, "sam")
    path = "/api/v1/queues/support/in-hand"
    assert (await got(await sam.get(path)))["items"] == []
    first, second = await floor.ring(), await floor.ring(from_=None)
    await floor.dispatch()
    assert (await got(await sam.get(path)))["items"] == [], "they ring"
    calls = {first.item_id: first, second.item_id: second}
    for who, item, _ in await floor.pending():
        await floor.talk(calls[item], who)
    items = (await got(await sam.get(path)))["items"]
    (support,) = [q for q in (await got(await sam.get("/api/v1/queues/live")))["queues"] if q["key"] == "support"]
    assert len(items) == support["in_call"] == 2
    assert [(each["id"], each["caller"]) for each in items] == [(first.item_id, "+14155550100"), (second.item_id, None)]
    assert {each["agent"]["name"] for each in items} == {"Ava", "Ben"}
    await floor.hang_up(first)
    assert [each["id"] for each in (await got(await sam.get(path)))["items"]] == [second.item_id]
    await got(await sam.get("/api/v1/queues/nowhere/in-hand"), 404)
    await got(await sam.get("/api/v1/queues/a%00b/in-hand"), 404)


async def test_an_agent_sees_own_queues_without_who_calls_and_picks(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    ava = await desk(api, floor, "ava")
    (row,) = (await got(await ava.get("/api/v1/queues/support/waiting")))["items"]
    assert (row["caller"], row["customer"]) == ("+14*******00", None)
    await got(await ava.get("/api/v1/queues/sales/waiting"), 404)
    path = f"/api/v1/work-items/{call.item_id}/pick"
    assert (await got(await ava.post(path, json={"version": 7}), 409))["code"] == "version_conflict"
    taken = await got(await ava.post(path, json={"version": 1}))
    assert taken["offer"] == {"id": await floor.offer_of("ava"), "state": "accepted"}
    assert taken["call"] == {"id": call.call_id, "conference": f"call_{call.call_id}", "is_on_telephone": False}
    assert (await got(await ava.post(path, json={"version": 1}), 409))["code"] == "not_waiting"
    undone = await got(await ava.post(f"/api/v1/acts/{taken['undo']['id']}/undo", json={}))
    assert undone == {"object_kind": "work_item", "object_id": str(call.item_id)}
    assert (await floor.item(call))["state"] == "queued"


async def test_a_forced_state_can_be_undone_over_http(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    sam, ava = await desk(api, floor, "sam"), floor.agent("ava").user_id
    (row,) = [each for each in (await got(await sam.get("/api/v1/agents")))["items"] if each["id"] == ava]
    rest = {"state": "break", "reason": "rest"}
    await got(await sam.put(f"/api/v1/agents/{ava}/presence", json=rest), 422)
    forced = await got(
        await sam.put(f"/api/v1/agents/{ava}/presence", json=rest | {"version": row["presence_version"]})
    )
    assert (forced["state"], forced["undo"]["id"] > 0) == ("break", True)
    older = {"state": "available", "version": row["presence_version"]}
    refused = await got(await sam.put(f"/api/v1/agents/{ava}/presence", json=older), 409)
    assert (refused["code"], await floor.presence("ava")) == ("version_conflict", ("break", "rest"))
    await got(await sam.post(f"/api/v1/acts/{forced['undo']['id']}/undo", json={}))
    assert await floor.presence("ava") == ("available", None)
