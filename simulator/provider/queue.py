"""A provider queue: a parking place with positions. Order and choice are the service's business."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from simulator.provider import fields
from simulator.provider.leg import Leg


@dataclass(eq=False)
class Queue:
    sid: str
    name: str
    max_size: int
    members: dict[str, datetime] = field(default_factory=dict)
    """CallSid → since when, in order."""
    waits: deque[int] = field(default_factory=lambda: deque(maxlen=50))
    """Of those who left lately, in seconds."""

    @property
    def is_full(self) -> bool:
        return len(self.members) >= self.max_size

    def join(self, leg: Leg, now: datetime) -> None:
        self.members[leg.sid] = now
        leg.queue_name = self.name

    def waited_s(self, leg: Leg, now: datetime) -> int:
        return int((now - self.members[leg.sid]).total_seconds())

    def leave(self, leg: Leg, now: datetime) -> int:
        """Seconds waited."""
        waited_s = self.waited_s(leg, now)
        del self.members[leg.sid]
        self.waits.append(waited_s)
        leg.queue_name = None
        return waited_s

    def fields(self, leg: Leg, now: datetime) -> dict[str, str]:
        """What the wait document's request says."""
        return dict(
            fields.queue(
                position=list(self.members).index(leg.sid) + 1,
                sid=self.sid,
                waited_s=self.waited_s(leg, now),
                average_s=sum(self.waits) // len(self.waits) if self.waits else 0,
                size=len(self.members),
                max_size=self.max_size,
            )
        )
