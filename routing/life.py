"""What follows from what in the life of an offer, an item and a presence: pure rules, which `routing.service` applies under locks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import Conflict
from cti.model import CallerLeft
from routing.model import (
    ItemState,
    OfferExpired,
    OfferRescinded,
    OfferRow,
    OfferState,
    OfferTaken,
    PresenceState,
)


def refusal(state: OfferState, reason: str | None, item_state: str | None) -> type[Conflict] | None:
    """Why an offer cannot be answered any more; None while it pends."""
    if state is OfferState.PENDING:
        return None
    if item_state == ItemState.ABANDONED:
        return CallerLeft
    if state is OfferState.TIMEOUT:
        return OfferExpired
    if state is OfferState.RESCINDED and reason == "taken":
        return OfferTaken
    if state is OfferState.CANCELED and reason == "caller_left":
        return CallerLeft
    return OfferRescinded


def is_missed(presence: str | None) -> bool:
    """Who has no connection just then has not missed anything: the offer could not be seen."""
    return presence != PresenceState.RECONNECTING


def is_benched(misses: int, threshold: int = 1) -> bool:
    """So many misses in a row: not responding, until a person says otherwise."""
    return misses >= threshold


def waits_again(item_state: str | None, offers: Iterable[OfferState]) -> bool:
    """Is the item back in line? Once nobody is being asked for it and nobody has it. `offers`: those of the item that are open."""
    if any(state in (OfferState.PENDING, OfferState.ACCEPTED) for state in offers):
        return False
    return item_state in (ItemState.OFFERING, ItemState.ASSIGNED)


@dataclass(frozen=True, slots=True)
class CallEnd:
    """What the end of a call means for its item and the offers that are open: `withdrawn` without a miss, `talking` to wrap up."""

    withdrawn: tuple[OfferRow, ...]
    talking: tuple[OfferRow, ...]
    stint: str
    state: ItemState
    reason: str | None


_UNANSWERED: Final = {
    "deflected": ("abandoned", ItemState.DIVERTED),  # the stint of who is let go has its end already
    "forwarded": ("transferred_out", ItemState.DIVERTED),
    "failed": ("failed", ItemState.ABANDONED),
    "unknown": ("failed", ItemState.ABANDONED),
}


TRIED: Final = frozenset({"unanswered", "busy", "failed"})
"""How a call of our own ends that nobody answered: it was tried, which is noted like any other."""


def call_end(outcome: str, offers: Sequence[OfferRow], *, is_outbound: bool = False) -> CallEnd:
    answered = outcome == "answered" or (is_outbound and outcome in TRIED)
    pending = [o for o in offers if o.state is OfferState.PENDING]
    accepted = [o for o in offers if o.state is OfferState.ACCEPTED]
    if not answered:
        unfinished = tuple(o for o in offers if o in pending or o in accepted)
        stint, state = _UNANSWERED.get(outcome, ("abandoned", ItemState.ABANDONED))
        return CallEnd(unfinished, (), stint, state, outcome)
    if accepted:
        return CallEnd(tuple(pending), tuple(accepted), "closed", ItemState.WRAPPING, None)
    return CallEnd(tuple(pending), (), "closed", ItemState.DONE, "answered")


@dataclass(frozen=True, slots=True)
class Absence:
    """What happens to somebody without a live socket: the next presence, and whether what rings there goes to others."""

    presence: PresenceState | None = None
    reason: str | None = None
    gives_back: bool = False


def absence(
    presence: PresenceState, gone_s: float, unseen_s: float | None, *, offer_grace_s: float, reconnect_grace_s: float
) -> Absence:
    """`gone_s` in this presence, `unseen_s` since the last lease ended (None: never seen)."""
    if presence is PresenceState.AVAILABLE:
        return Absence(PresenceState.RECONNECTING)
    is_long = gone_s >= reconnect_grace_s
    if presence is PresenceState.RECONNECTING:
        if is_long:
            return Absence(PresenceState.UNREACHABLE, "connection_lost", gives_back=gone_s >= offer_grace_s)
        return Absence(gives_back=gone_s >= offer_grace_s)
    if is_long and (unseen_s is None or unseen_s >= reconnect_grace_s):
        return Absence(PresenceState.OFFLINE, "connection_lost")
    return Absence()
