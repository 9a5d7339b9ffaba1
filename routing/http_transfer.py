"""The API of transfers: whom a call may be given to, and giving it."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from core.ids import CallId
from core.principal import STAFF
from core.texts import Text
from cti import queries as calls
from cti.http import TELEPHONY
from infra.openapi import ApiModel, ApiQuery, Call, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from routing import explain, transfer
from routing.live import board

ROUTES = Routes("routing")


class TransferIn(ApiModel):
    """Exactly one of `queue`, `agent_id` and `number`."""

    queue: str | None = Field(default=None, max_length=80)
    agent_id: int | None = Field(default=None, ge=1, lt=2**63)
    number: str | None = Field(default=None, max_length=60)
    note: str | None = Field(default=None, max_length=1000, description="for whoever takes the call next")

    @model_validator(mode="after")
    def _one(self) -> "TransferIn":
        if sum(given is not None for given in (self.queue, self.agent_id, self.number)) != 1:
            raise ValueError("give exactly one of queue, agent_id and number")
        return self


class TransferredCall(BaseModel):
    id: int
    state: str


class Transferred(BaseModel):
    call: TransferredCall


@ROUTES.command("POST", "/api/v1/calls/{id}/transfer", roles=STAFF, body=TransferIn, returns=Transferred)
async def transfer_call(tx: Tx, call: Call[TransferIn]) -> Transferred:
    """Give the call in hand to a queue, an agent or a number outside; one's own part of it goes into wrap-up.

    409 with not_in_call, at_the_phone, cannot_take (the agent cannot take it now) or not_allowed_outside. Whoever does not take it loses nobody:
    the caller waits on at the head of the line."""
    data = call.data
    target = transfer.Target(data.queue, data.agent_id, data.number)
    lines = call.request.config_dict[TELEPHONY].lines
    moved = await transfer.blind(tx, call_id=CallId(call.id()), to=target, note=data.note, who=call.who, lines=lines)
    return Transferred(call=TransferredCall(id=moved.id, state=moved.state.value))


class TargetAgent(BaseModel):
    agent_id: int
    name: str
    can: bool
    """Whether the call can be given to this agent now."""
    reason: Text


class TargetQueue(BaseModel):
    key: str
    name: Text
    waiting: int
    agents_available: int


class Targets(BaseModel):
    agents: list[TargetAgent]
    queues: list[TargetQueue]
    outside: list[str]
    """What numbers may begin with; empty: calls are not transferred outside."""


class TargetParams(ApiQuery):
    q: str = Field(default="", max_length=80, description="part of an agent's name")
    kind: Literal["all", "agents"] = "all"


@ROUTES.query("/api/v1/calls/{id}/transfer-targets", roles=STAFF, params=TargetParams, returns=Targets)
async def list_transfer_targets(conn: Connection, call: Call[TargetParams]) -> Targets:
    """To whom the call in hand can be transferred: up to 50 agents, who is free first, and all queues of calls."""
    now = call.resources.clock.now()
    agents = await transfer.colleagues(conn, call_id=call.id(), query=call.data.q.strip(), who=call.who, now=now)
    queues = await board(conn, now=now, agent_id=None) if call.data.kind == "all" else []
    prefixes = [row["prefix"] for row in await conn.fetch(calls.OUTSIDE_PREFIXES)]
    return Targets(
        agents=[
            TargetAgent(agent_id=each.agent_id, name=each.name, can=each.can, reason=explain.REASONS[each.verdict])
            for each in agents
        ],
        queues=[
            TargetQueue(key=q.key, name=q.name, waiting=q.waiting, agents_available=q.agents_available)
            for q in queues
            if q.channel == "voice"
        ],
        outside=prefixes,
    )
