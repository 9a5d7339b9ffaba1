"""What no callback has told us, the provider's own list does: one pass, and it is true again."""

from typing import Final

import pytest

from core import demo_account
from cti.reconcile import Reconciler
from simulator.config import Faults
from simulator.provider.leg import Leg
from tests.stack import ACCOUNT, NO_CALLBACKS, Fault, Stack

ALL_LOST: Final = Faults(drop=1, wrong_signature=1)
"""From now on we hear nothing of this leg that we could believe."""


@pytest.fixture
def reconciler(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    monkeypatch.setattr("cti.reconcile.MIN_AGE_S", 0)
    return stack.parts.reconciler


async def dial_silently(stack: Stack, number: str = "+14155550123") -> Leg:
    """Nothing but the first webhook arrives."""
    leg = await stack.dial(number, faults=NO_CALLBACKS)
    await stack.rows("UPDATE calls SET created_at = created_at - interval '1 minute', queued_at = queued_at - interval '1 minute' WHERE sid = $1 RETURNING 1", leg.sid)  # fmt: skip
    return leg


async def hang_up_unheard(stack: Stack, leg: Leg) -> None:
    leg.party.faults = ALL_LOST
    leg.leave()
    await stack.quiet()
    assert (await stack.call(leg.sid))["outcome"] is None


async def test_caller_who_hung_up_unheard_is_found_in_one_pass(stack: Stack, reconciler: Reconciler) -> None:
    leg = await dial_silently(stack)
    await hang_up_unheard(stack, leg)
    assert await reconciler.once() == 1
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["source"]) == ("closed", "abandoned_queue", "reconciled")
    assert await stack.value("SELECT state FROM work_items") == "abandoned"
    assert await reconciler.once() == 0


async def test_end_of_a_conversation_that_nobody_reported(stack: Stack, reconciler: Reconciler) -> None:
    ava = await stack.agent("ava")
    leg = await dial_silently(stack)
    await ava.take()
    await stack.fire("cti.connect")
    assert (await stack.call(leg.sid))["state"] == "in_call"
    await stack.clock.advance(5)
    await hang_up_unheard(stack, leg)
    assert await reconciler.once() == 1
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["source"]) == ("wrap_up", "answered", "reconciled")
    assert call["ended_at"] <= await stack.value("SELECT now()"), (
        "never in the future, whatever the provider's clock says"
    )
    assert await stack.value("SELECT state FROM offers") == "wrapping"


async def test_living_calls_are_left_alone(stack: Stack, reconciler: Reconciler) -> None:
    ava = await stack.agent("ava")
    waiting, talking = await dial_silently(stack, "+14155550101"), await stack.dial("+14155550102")
    await ava.take()
    before = [dict(await stack.call(leg.sid)) for leg in (waiting, talking)]
    assert await reconciler.once() == 0
    assert [dict(await stack.call(leg.sid)) for leg in (waiting, talking)] == before
    assert talking.sid != waiting.sid


async def test_fresh_calls_are_not_asked_about(stack: Stack) -> None:
    await stack.dial(faults=NO_CALLBACKS)
    await stack.parts.reconciler.once()
    assert [path for verb, path, _ in stack.wire.asked if "/Calls/CA" in path] == []


async def test_call_that_the_provider_has_forgotten_is_over(stack: Stack, reconciler: Reconciler) -> None:
    leg = await dial_silently(stack)
    await hang_up_unheard(stack, leg)
    del stack.exchange.legs[leg.sid]
    assert await reconciler.once() == 1
    assert (await stack.call(leg.sid))["source"] == "reconciled"


async def test_calls_that_we_never_heard_of_get_a_row(stack: Stack, reconciler: Reconciler) -> None:
    """The database was away: they called, heard the emergency answer and gave up."""
    outside = [stack.exchange.call_in(f"+1415555010{n}", "+4930901820", faults=ALL_LOST) for n in range(3)]
    phone = stack.exchange.connect_phone("agent_7", {"CallId": "1"})
    await stack.pass_time(10)
    assert all(leg.is_over for leg in (*outside, phone)), (
        "refused at the door, so the provider hung up; the phone was sent away"
    )
    assert await stack.count("calls") == 0
    assert await reconciler.once() == 3
    calls = await stack.rows("SELECT * FROM calls ORDER BY from_value")
    assert [call["from_value"] for call in calls] == ["+14155550100", "+14155550101", "+14155550102"]
    assert {(c["state"], c["outcome"], c["source"], c["language"]) for c in calls} == {
        ("closed", "abandoned_ivr", "reconciled", "de")
    }
    assert await reconciler.once() == 0
    assert await stack.count("calls") == 3


async def test_pass_over_many_calls_goes_on_where_the_last_one_stopped(
    stack: Stack, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.reconcile.BATCH", 2)
    legs = [await dial_silently(stack, f"+1415555010{n}") for n in range(5)]
    await hang_up_unheard(stack, legs[4])
    assert [await reconciler.once() for _ in range(3)] == [0, 0, 1]
    await hang_up_unheard(stack, legs[0])
    assert await reconciler.once() == 1


async def test_call_that_cannot_be_looked_up_hides_no_other(stack: Stack, reconciler: Reconciler) -> None:
    strange, gone = await dial_silently(stack, "+14155550101"), await dial_silently(stack, "+14155550102")
    await stack.rows("UPDATE calls SET account_sid = 'ACgone' WHERE sid = $1 RETURNING 1", strange.sid)
    await hang_up_unheard(stack, gone)
    assert await reconciler.once() == 1
    assert (await stack.call(gone.sid))["outcome"] == "abandoned_queue"
    await stack.rows("UPDATE calls SET account_sid = $1 RETURNING 1", ACCOUNT)
    stack.wire.faults.append(Fault("refused", 401, 20003))
    await hang_up_unheard(stack, strange)
    assert await reconciler.once() == 0
    assert await reconciler.once() == 1


async def test_two_reconcilers_find_it_once(stack: Stack, reconciler: Reconciler) -> None:
    leg = await dial_silently(stack)
    await hang_up_unheard(stack, leg)
    telephony = stack.parts.telephony
    other = Reconciler(stack.parts.resources.outbox, reconciler._twilio, telephony.accounts, telephony.lines)
    assert sorted([await reconciler.once(), await other.once()]) == [0, 1]
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1
    assert demo_account.ACCOUNT_SID in telephony.accounts
