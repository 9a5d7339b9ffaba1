"""Conferences: who sits in them, and the events they send.

Only the callback of the first participant counts. A conference starts when two are in it and one of them may start
it; until then, and on hold, a participant hears music. The REST resource of a participant lives as long as the seat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from simulator.config import Target
from simulator.provider import fields
from simulator.provider.leg import Leg, StatusCallback
from simulator.provider.webhooks import Party

Emit = Callable[["Conference", str, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class SeatOptions:
    label: str | None = None
    is_muted: bool = False
    starts_conference: bool = True
    ends_conference: bool = False
    coach_sid: str | None = None
    max_participants: int = 250
    wait: Target | None = None
    callback: StatusCallback | None = None


@dataclass(eq=False)
class Seat:
    conference: "Conference"
    leg: Leg
    label: str | None
    is_muted: bool
    starts_conference: bool
    ends_conference: bool
    coach_sid: str | None
    is_coaching: bool
    wait: Target | None
    joined_at: datetime
    is_held: bool = False
    hold: Target | None = None
    broken_music: Target | None = None
    """Music that failed: silence instead, nobody is thrown out for it."""
    left_because: str | None = None

    @property
    def has_left(self) -> bool:
        return self.left_because is not None

    @property
    def music(self) -> Target | None:
        """The document to be played to this participant now; None: it hears the others (or silence)."""
        due = self.hold if self.is_held else (None if self.conference.is_started else self.wait)
        return None if due == self.broken_music else due


@dataclass(frozen=True, slots=True)
class Invitation:
    leg: Leg
    label: str | None


@dataclass(eq=False)
class Conference:
    party: Party
    name: str
    account_sid: str
    emit: Emit
    now: Callable[[], datetime]
    created_at: datetime
    seats: dict[str, Seat] = field(default_factory=dict)
    """By CallSid, in the order of joining."""
    invited: dict[str, "Invitation"] = field(default_factory=dict)
    status: str = "init"
    callback: StatusCallback | None = None
    has_had_participants: bool = False
    ended_because: str | None = None
    ended_by: str | None = None
    updated_at: datetime | None = None
    sequence: int = 0

    @property
    def sid(self) -> str:
        return self.party.sid

    @property
    def is_started(self) -> bool:
        return self.status == "in-progress"

    @property
    def is_over(self) -> bool:
        return self.status == "completed"

    def seat(self, sid_or_label: str) -> Seat | None:
        if sid_or_label in self.seats:
            return self.seats[sid_or_label]
        return next((s for s in reversed(self.seats.values()) if s.label == sid_or_label), None)

    def join(self, leg: Leg, options: SeatOptions) -> Seat:
        if not self.has_had_participants:
            self.has_had_participants = True
            self.callback = options.callback
            self.party.faults = leg.party.faults
        seat = Seat(
            conference=self,
            leg=leg,
            label=options.label,
            is_muted=options.is_muted,
            starts_conference=options.starts_conference,
            ends_conference=options.ends_conference,
            coach_sid=options.coach_sid,
            is_coaching=options.coach_sid is not None,
            wait=options.wait,
            joined_at=self.now(),
        )
        self.invited.pop(leg.sid, None)
        self.seats[leg.sid] = seat
        leg.seat = seat
        self._tell("participant-join", seat)
        if self.status == "init" and len(self.seats) > 1 and any(s.starts_conference for s in self.seats.values()):
            self.status = "in-progress"
            self._changed()
            self._tell("conference-start")
        return seat

    def leave(self, seat: Seat, reason: str, *, is_kicked: bool = False) -> None:
        """`reason` is the provider's ReasonParticipantLeft. Ends the conference when it was the last or has to."""
        if seat.has_left:
            return
        self._stand_up(seat, reason)
        manner = "kicked" if is_kicked else "left"
        if seat.ends_conference and not self.is_over:
            self._end(f"participant-with-end-conference-on-exit-{manner}", "moderator_ended_conference", seat)
        elif not self.seats and not self.is_over:
            self._end(f"last-participant-{manner}", "participant_hung_up", seat)

    def end(self) -> None:
        """Over REST."""
        if not self.is_over:
            self._end("conference-ended-via-api", "conference_ended_via_api", None)

    def invite(self, leg: Leg, label: str | None) -> None:
        """A participant created over REST: it has a resource from now on, a seat once it has answered."""
        self.invited[leg.sid] = Invitation(leg, label)

    def add_failed(self, leg: Leg) -> None:
        """An invited participant did not come."""
        label = self.invited.pop(leg.sid).label
        facts = {"CallSid": leg.sid, "ParticipantCallStatus": leg.status}
        if label:
            facts["ParticipantLabel"] = label
        self.emit(self, "participant-leave", facts | {"ReasonParticipantLeft": "participant_add_failed"})

    def set_muted(self, seat: Seat, is_muted: bool) -> None:
        if seat.is_muted != is_muted:
            seat.is_muted = is_muted
            self._tell("participant-mute" if is_muted else "participant-unmute", seat)

    def set_held(self, seat: Seat, is_held: bool, music: Target | None) -> None:
        was_held, seat.is_held, seat.hold = seat.is_held, is_held, music if is_held else None
        if was_held != is_held:
            self._tell("participant-hold" if is_held else "participant-unhold", seat)
        seat.leg.notify()

    def modify(self, seat: Seat, *, coach_sid: str | None, is_coaching: bool, ends_conference: bool) -> None:
        new = (coach_sid, is_coaching, ends_conference)
        if (seat.coach_sid, seat.is_coaching, seat.ends_conference) != new:
            seat.coach_sid, seat.is_coaching, seat.ends_conference = new
            self._tell("participant-modify", seat)

    def announced(self, url: str, *, seat: Seat | None = None, error: str | None = None) -> None:
        facts = {"AnnounceUrl": url} | ({"CallSid": seat.leg.sid} if seat is not None else {})
        if error is not None:
            facts["ReasonAnnouncementFailed"] = error
        self.emit(self, "announcement-fail" if error is not None else "announcement-end", facts)

    def _end(self, reason: str, others_reason: str, by: Seat | None) -> None:
        self.status = "completed"
        self.ended_because = reason
        self.ended_by = by.leg.sid if by is not None else None
        self._changed()
        for seat in list(self.seats.values()):
            self._stand_up(seat, others_reason)
        facts = {"ReasonConferenceEnded": reason, "Reason": reason.replace("-", " ")}
        if by is not None:
            facts["CallSidEndingConference"] = by.leg.sid
            if by.label:
                facts["ParticipantLabelEndingConference"] = by.label
        self.emit(self, "conference-end", facts)

    def _stand_up(self, seat: Seat, reason: str) -> None:
        self.seats.pop(seat.leg.sid, None)
        seat.left_because = reason
        if seat.leg.seat is seat:
            seat.leg.seat = None
        facts = {"ParticipantCallStatus": seat.leg.status, "ReasonParticipantLeft": reason}
        self._tell("participant-leave", seat, facts)
        for other in self.seats.values():
            other.leg.notify()
        seat.leg.notify()

    def _tell(self, event: str, seat: Seat | None = None, more: Mapping[str, str] | None = None) -> None:
        facts = {} if seat is None else _participant(seat)
        self.emit(self, event, facts | dict(more or {}))
        for other in self.seats.values():
            other.leg.notify()

    def _changed(self) -> None:
        self.updated_at = self.now()


def _participant(seat: Seat) -> dict[str, str]:
    facts = {
        "CallSid": seat.leg.sid,
        "Muted": _word(seat.is_muted),
        "Hold": _word(seat.is_held),
        "Coaching": _word(seat.is_coaching),
        "EndConferenceOnExit": _word(seat.ends_conference),
        "StartConferenceOnEnter": _word(seat.starts_conference),
    }
    if seat.label:
        facts["ParticipantLabel"] = seat.label
    if seat.coach_sid:
        facts["CallSidToCoach"] = seat.coach_sid
    return facts


def event_fields(conference: Conference, event: str, facts: Mapping[str, str]) -> dict[str, str]:
    """The callback about one event, with the next number of the conference."""
    conference.sequence += 1
    return {
        "StatusCallbackEvent": event,
        "ConferenceSid": conference.sid,
        "FriendlyName": conference.name,
        "AccountSid": conference.account_sid,
        "SequenceNumber": str(conference.sequence),
        "Timestamp": fields.rfc2822(conference.now()),
        **facts,
    }


def _word(flag: bool) -> str:
    return "true" if flag else "false"
