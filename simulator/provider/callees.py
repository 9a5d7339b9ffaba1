"""Who is rung by an outgoing leg, and what they do: answer after a while, are busy, do not answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.people.person import Person, Seconds, Step, live
from simulator.provider.leg import Leg


class Callee(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["answer", "busy", "reject", "no-answer", "failed"] = "answer"
    """`reject`: the person declines, which the caller hears as busy."""
    after_s: Seconds = 2
    then: Person = Person()
    """What the person does after answering."""


ASKED = Person(script=(Step(until_asked_s=10), Step(wait_s=1), Step(press="1")))
"""Somebody who takes a call where a key is asked for, as agents are on their telephones; who is not asked presses it unheard."""
ANYBODY = Callee(then=ASKED)
BOX = Callee(after_s=4)
"""A box for messages: it answers and presses nothing."""
UNREGISTERED = Callee(outcome="no-answer", after_s=0)


class Callees:
    """By address. A telephone nobody described answers after two seconds and takes the call where that is asked; a client without a device does not answer."""

    def __init__(self) -> None:
        self._known: dict[str, Callee] = {}

    def describe(self, address: str, callee: Callee) -> None:
        self._known[address] = callee

    def known(self, address: str) -> Callee:
        return self._known.get(address) or (ANYBODY if address.startswith(("+", "sip:")) else UNREGISTERED)

    async def ring(self, leg: Leg) -> None:
        callee = self.known(leg.to)
        if await leg.watch(lambda: leg.is_over, callee.after_s):
            return
        if callee.outcome != "answer":
            leg.hang_up("busy" if callee.outcome == "reject" else callee.outcome)
            return
        leg.answer()
        await live(callee.then, leg)
