"""The desk of a scripted agent: what a screen would show, kept by the rules of the desk protocol.

Events with a `seq` are dense per agent. What was seen is dropped, a gap means: reconnect with the last seq; the ack is
cumulative; a snapshot replaces everything. The screen also remembers which pops it has shown, to find any shown twice.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

Data = dict[str, Any]


class Verdict(Enum):
    APPLIED = "applied"
    SEEN = "seen"
    GAP = "gap"


@dataclass(eq=False)
class Desk:
    last_seq: int | None = None
    presence: Data = field(default_factory=dict)
    offers: dict[int, Data] = field(default_factory=dict)
    """Pending ones, by offer id."""
    calls: dict[int, Data] = field(default_factory=dict)
    """By call id; a call whose wrap-up is done is gone."""
    shown: dict[int, int] = field(default_factory=dict)
    """Offer id → version last painted."""
    shown_twice: list[int] = field(default_factory=list)
    pop_ms: list[float] = field(default_factory=list)
    """From the offer to the screen, for pops that came over the socket."""

    def receive(self, kind: str, envelope: Data, now: datetime) -> Verdict:
        data: Data = envelope.get("data") or {}
        if kind == "snapshot":
            self._replace(data)
            return Verdict.APPLIED
        seq = envelope.get("seq")
        if seq is not None:
            if self.last_seq is None or seq <= self.last_seq:
                return Verdict.SEEN  # before the first snapshot: the snapshot has it, or the next event shows a gap
            if seq > self.last_seq + 1:
                return Verdict.GAP
            self.last_seq = seq
        self._apply(kind, data, now)
        return Verdict.APPLIED

    def see_presence(self, presence: Data) -> None:
        """From an event or an answer, whichever is newer."""
        if presence["version"] >= self.presence.get("version", 0):
            self.presence = presence

    def call_state(self, call_id: int) -> str:
        call = self.calls.get(call_id)
        return str(call["state"]) if call is not None else "closed"

    def _replace(self, data: Data) -> None:
        self.last_seq = data["seq"]
        self.presence = data["presence"]
        self.offers = {pop["offer_id"]: pop for pop in data["offers"] if pop["state"] == "pending"}
        self.calls = {call["pop"]["call"]["id"]: call for call in data["calls"]}
        for offer_id, pop in self.offers.items():
            self.shown.setdefault(offer_id, pop["version"])

    def _apply(self, kind: str, data: Data, now: datetime) -> None:
        match kind:
            case "screen_pop":
                self._pop(data, now)
            case "offer_ended":
                self.offers.pop(data["offer_id"], None)
            case "call_changed":
                self._call(data)
            case "presence_changed":
                self.see_presence(data)

    def _pop(self, pop: Data, now: datetime) -> None:
        offer_id, version = pop["offer_id"], pop["version"]
        shown = self.shown.get(offer_id)
        if shown is None:
            self.pop_ms.append(max((now - moment(pop["offered_at"])).total_seconds() * 1000, 0))
        elif version <= shown:
            self.shown_twice.append(offer_id)
        self.shown[offer_id] = version if shown is None else max(version, shown)
        if pop["state"] == "pending":
            self.offers[offer_id] = pop
        else:
            self.offers.pop(offer_id, None)

    def _call(self, data: Data) -> None:
        if data["state"] == "closed":
            self.calls.pop(data["call_id"], None)
            return
        call_id = data["pop"]["call"]["id"]
        known = self.calls.get(call_id)
        if known is None or data["version"] >= known["version"]:
            self.calls[call_id] = data
        self.offers.pop(data["pop"]["offer_id"], None)


def moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
