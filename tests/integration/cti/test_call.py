"""One call from the first webhook to the end, over HTTP and with the simulator as the provider."""

from tests.stack import Stack


async def test_a_call_is_answered_talked_and_wrapped_up(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    assert (await stack.call(leg.sid))["state"] == "queued"
    call_id, phone = await ava.take()
    assert leg.is_talking
    assert phone.is_talking
    assert (await stack.call(leg.sid))["state"] == "in_call"
    leg.leave()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("wrap_up", "answered", "customer")
    status, body = await ava.ask("POST", f"/calls/{call_id}/wrap-up", {"disposition": None, "note": "done"})
    assert (status, body["call"]["state"]) == (200, "closed")
    assert (await stack.call(leg.sid))["state"] == "closed"
