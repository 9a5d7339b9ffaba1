"""What carriers say of the caller's number: kept with the call, shown with the pop, and a forged number is served but is nobody's."""

import pytest

from customers.model import Tier
from tests.builders import a_customer
from tests.integration.cti.payloads import new_sid, standard
from tests.stack import CALLER, NO_CALLBACKS, Agent, Stack


async def popped(agent: Agent) -> dict[str, object]:
    await agent.offer()
    _, desk = await agent.ask("GET", "/desk")
    (pop,) = desk["offers"]
    return dict(pop)


async def maria(stack: Stack) -> int:
    async with stack.parts.resources.outbox.transaction() as tx:
        return (await a_customer(tx, phone=CALLER, tier=Tier.VIP)).id


@pytest.mark.parametrize(
    ("words", "kept", "shown"),
    [
        ("TN-Validation-Passed-A", "TN-Validation-Passed-A", "verified"),
        ("TN-Validation-Passed-C", "TN-Validation-Passed-C", "unknown"),
        ("No-TN-Validation", "No-TN-Validation", "unknown"),
        ("NULL", None, None),
        (None, None, None),
    ],
)
async def test_what_carriers_say_is_kept_and_shown_and_the_caller_is_known(
    stack: Stack, words: str | None, kept: str | None, shown: str | None
) -> None:
    customer_id, ava = await maria(stack), await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS, **({} if words is None else {"StirVerstat": words}))
    assert (await stack.call(leg.sid))["attestation"] == kept
    pop = await popped(ava)
    assert pop["call"]["attestation"] == shown  # type: ignore[index]
    assert pop["customer"]["match"] == "one"  # type: ignore[index]
    assert pop["ticket"]["customer"]["id"] == customer_id  # type: ignore[index]


async def test_edge_case_42_a_forged_number_is_served_and_warned_of_and_never_identified_silently(stack: Stack) -> None:
    customer_id, ava = await maria(stack), await stack.agent("ava")
    leg = await stack.dial(faults=NO_CALLBACKS, StirVerstat="TN-Validation-Failed-B")
    call = await stack.call(leg.sid)
    assert (call["state"], call["attestation"]) == ("queued", "TN-Validation-Failed-B")
    pop = await popped(ava)
    assert pop["call"]["attestation"] == "failed"  # type: ignore[index]
    customer = pop["customer"]
    assert (customer["match"], customer["profile"], customer["chosen_id"]) == ("many", None, None)  # type: ignore[index]
    assert [each["id"] for each in customer["candidates"]] == [customer_id]  # type: ignore[index]
    assert pop["ticket"]["customer"] is None  # type: ignore[index]
    assert pop["ticket"]["subject"] == "Call from unknown number"  # type: ignore[index]
    assert await stack.value("SELECT customer_id FROM tickets") is None


async def test_edge_case_42_a_forged_number_does_not_reach_into_the_owners_open_ticket(stack: Stack) -> None:
    """The real one calls, then somebody with her number: another ticket, and no head start of hers."""
    await maria(stack)
    real = await stack.dial(faults=NO_CALLBACKS, StirVerstat="TN-Validation-Passed-A")
    forged = await stack.dial(faults=NO_CALLBACKS, StirVerstat="TN-Validation-Failed")
    again = await stack.dial(faults=NO_CALLBACKS, StirVerstat="TN-Validation-Passed-A")
    tickets = {
        row["sid"]: (row["ticket_id"], row["customer_id"])
        for row in await stack.rows(
            "SELECT c.sid, t.id AS ticket_id, t.customer_id FROM calls c JOIN ticket_calls b ON b.call_id = c.id JOIN tickets t ON t.id = b.ticket_id"
        )
    }
    assert tickets[real.sid] == tickets[again.sid]
    assert tickets[forged.sid][0] != tickets[real.sid][0]
    assert tickets[forged.sid][1] is None


async def test_a_choice_of_the_agent_stands_also_for_a_forged_number(stack: Stack) -> None:
    customer_id, ava = await maria(stack), await stack.agent("ava")
    await stack.dial(faults=NO_CALLBACKS, StirVerstat="TN-Validation-Failed-A")
    call_id, _ = await ava.take()
    status, pop = await ava.ask("POST", f"/calls/{call_id}/customer", {"customer_id": customer_id})
    assert status == 200, pop
    assert pop["customer"]["chosen_id"] == customer_id
    assert pop["call"]["attestation"] == "failed"


async def test_words_of_any_length_are_taken(stack: Stack) -> None:
    fields = standard(new_sid(), StirVerstat="x" * 5000)
    assert (await stack.hook("/twilio/voice", fields)).status == 200
    assert len((await stack.call(fields["CallSid"]))["attestation"]) == 100
