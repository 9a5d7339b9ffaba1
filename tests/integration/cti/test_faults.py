"""Calls from end to end while the provider doubles, reorders, delays and loses what it sends."""

import pytest

from simulator.config import Faults
from tests.stack import Stack

EVERYTHING_TWICE = Faults(duplicate=0.5, concurrent_duplicate=0.5)
OUT_OF_ORDER = Faults(reorder=0.6, delay=0.3, delay_s=3)
HALF_IS_LOST = Faults(drop=0.5, duplicate=0.3, reorder=0.3, delay_s=2)


@pytest.mark.parametrize("faults", [EVERYTHING_TWICE, OUT_OF_ORDER, HALF_IS_LOST], ids=["twice", "order", "lost"])
async def test_calls_are_answered_talked_and_ended_through_faults(
    stack: Stack, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.reconcile.MIN_AGE_S", 0)
    ava = await stack.agent("ava")
    for n in range(3):
        leg = await stack.dial(f"+1415555010{n}", faults=faults)
        call_id, _ = await ava.take()
        assert await stack.until(lambda leg=leg: leg.is_talking, 30)  # type: ignore[misc]
        await stack.pass_time(10)
        await stack.fire("cti.connect")
        assert (await stack.call(leg.sid))["state"] == "in_call"
        if n % 2:
            await ava.ask("POST", f"/calls/{call_id}/hangup")
        else:
            leg.leave()
        await stack.pass_time(10)
        await stack.parts.reconciler.once()
        call = await stack.call(leg.sid)
        assert (call["outcome"], call["ended_by"]) == ("answered", "agent" if n % 2 else "customer")
        await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": None})
        assert (await stack.call(leg.sid))["state"] == "closed"
    assert await stack.count("calls") == await stack.count("tickets") == await stack.count("work_items") == 3
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 3
    assert await stack.value("SELECT count(*) FROM segments WHERE kind = 'talk'") == 3


async def test_callers_who_give_up_are_counted_once_through_faults(stack: Stack) -> None:
    faults = [EVERYTHING_TWICE, OUT_OF_ORDER, Faults(duplicate=1, concurrent_duplicate=1, reorder=1, delay_s=1)]
    legs = [await stack.dial(f"+1415555010{n}", faults=fault) for n, fault in enumerate(faults * 2)]
    await stack.pass_time(15)
    for leg in legs:
        leg.leave()
    await stack.pass_time(15)
    calls = await stack.rows("SELECT state, outcome FROM calls")
    assert [tuple(call) for call in calls] == [("closed", "abandoned_queue")] * 6
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 6
    assert await stack.count("tickets") == 6
