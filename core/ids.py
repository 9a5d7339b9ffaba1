"""The kinds of id. All are bigints in SQL and numbers in JSON; the types keep them from being mixed up."""

from typing import NewType

UserId = NewType("UserId", int)
AgentId = NewType("AgentId", int)
"""An agent is a user who answers calls: `AgentId(user.id)`."""
CustomerId = NewType("CustomerId", int)
TicketId = NewType("TicketId", int)
CallId = NewType("CallId", int)
WorkItemId = NewType("WorkItemId", int)
StintId = NewType("StintId", int)
OfferId = NewType("OfferId", int)
EventId = NewType("EventId", int)


def agent_identity(agent_id: int) -> str:
    """The agent's name at the telephony provider: letters, digits and underscore only (Voice SDK rule)."""
    return f"agent_{agent_id}"


def agent_of_identity(identity: str) -> AgentId | None:
    """`client:agent_7` or `agent_7` → 7; anything else → None."""
    name = identity.removeprefix("client:")
    digits = name.removeprefix("agent_")
    if name == digits or not digits.isdecimal() or not digits.isascii() or len(digits) > 18:
        return None
    return AgentId(int(digits))


def conference_name(call_id: int) -> str:
    return f"call_{call_id}"


def call_of_conference(name: str) -> CallId | None:
    digits = name.removeprefix("call_")
    if name == digits or not digits.isdecimal() or not digits.isascii() or len(digits) > 18:
        return None
    return CallId(int(digits))
