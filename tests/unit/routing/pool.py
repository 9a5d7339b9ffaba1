"""A pool to decide over: items and agents with one line to say what matters."""

from datetime import UTC, datetime, timedelta
from typing import Any

from core.ids import AgentId, CallId, TicketId, WorkItemId
from routing.model import AgentView, PresenceState, SkillNeed, Step, WaitingItem

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NAMES = ("Ava", "Ben", "Chen", "Dana", "Emil", "Franka")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def an_item(
    ident: int = 1,
    *,
    queue: str = "support",
    tier: int = 0,
    waited_s: float = 10,
    boost_s: float = 0,
    steps: tuple[Step, ...] = (Step(0.0),),
    excluded: tuple[int, ...] = (),
    rule: str = "everybody",
    pick: str = "longest_idle",
) -> WaitingItem:
    entered_at = ago(waited_s)
    return WaitingItem(
        id=WorkItemId(ident),
        call_id=CallId(ident),
        ticket_id=TicketId(ident),
        queue=queue,
        tier=tier,
        virtual_start=entered_at - timedelta(seconds=boost_s),
        entered_at=entered_at,
        steps=steps,
        rule=rule,
        ruleset_version=1,
        offer_timeout_s=20,
        excluded=frozenset(AgentId(agent) for agent in excluded),
        pick=pick,
    )


def an_agent(ident: int = 1, *, idle_s: float = 60, **fields: Any) -> AgentView:
    values: dict[str, Any] = {
        "id": AgentId(ident),
        "name": NAMES[(ident - 1) % len(NAMES)],
        "skills": {},
        "queues": frozenset({"support"}),
        "presence": PresenceState.AVAILABLE,
        "is_connected": True,
        "work": "idle",
        "free_units": 1,
        "idle_since": ago(idle_s),
        "last_offered_at": ago(idle_s),
    }
    return AgentView(**(values | fields))


def busy(work: str) -> dict[str, Any]:
    return {"work": work, "free_units": 0}


def need(skill: str, level: int = 1) -> SkillNeed:
    return SkillNeed(skill, level)
