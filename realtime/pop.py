"""Builds what an agent sees, for that agent's rights and as things are now: pops, active calls, the whole desk."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from accounts.model import Me
from core.ids import CallId, CustomerId, conference_name
from core.phone import Number, NumberKind, attestation_of
from core.principal import Principal, Role
from cti import telephone
from customers import service as customers
from customers.model import Candidate, Identification, Match
from infra.postgres import Connection
from realtime import queries as sql
from realtime.messages import (
    ActiveCall,
    CallConsult,
    CallRecording,
    CallTelephone,
    ClosedCall,
    Desk,
    Disposition,
    NoteDraft,
    OfferEndedData,
    PopCall,
    PopConsult,
    PopCustomer,
    PopReason,
    PopTransfer,
    PresenceChangedData,
    ScreenPop,
    WrapUp,
)
from realtime.sources import PUSH_WITHIN_S, Sources
from routing.explain import why_agent
from routing.live import board, presence_of
from routing.messages import QueueStats
from routing.model import By
from ticketing import queries as tickets
from ticketing.model import OPEN_STATES, Profile, TicketOfCall, TicketSummary
from ticketing.profile import profile as profile_of

OTHER_TICKETS = 5
CANDIDATES: Final = TypeAdapter(tuple[Candidate, ...])
NOT_OVER = ("pending", "accepted", "wrapping")
TICKET_FIELDS = (
    *("id", "number", "subject", "state", "priority", "queue", "version", "opened_at", "updated_at", "closed_at"),
    *("tags", "is_new"),
)


async def screen_pop(conn: Connection, *, offer_id: int, within_s: float = PUSH_WITHIN_S) -> ScreenPop | None:
    """The pop of an offer for its agent; None when there is no such offer. What cannot be read `within_s` is a hole in it."""
    row = await conn.fetchrow(sql.POP, offer_id)
    return None if row is None else await _pop(conn, row, within_s)


async def active_call(
    conn: Connection, *, offer_id: int, within_s: float = PUSH_WITHIN_S
) -> ActiveCall | ClosedCall | None:
    """The call of an accepted offer as it stands on the desk."""
    row = await conn.fetchrow(sql.POP, offer_id)
    if row is None:
        return None
    if row["state"] not in ("accepted", "wrapping"):
        return ClosedCall(call_id=row["call_id"])
    is_current = row["call_offer_id"] == row["offer_id"]
    state: Literal["connecting", "in_call", "on_hold", "consulted", "wrapping"] = "connecting"
    if row["state"] == "wrapping":
        state = "wrapping"
    elif row["is_consulted"]:
        state = "consulted"
    elif is_current and row["call_state"] in ("in_call", "on_hold"):
        state = row["call_state"]
    return ActiveCall(
        pop=await _pop(conn, row, within_s),
        state=state,
        conference=conference_name(row["call_id"]),
        connected_at=row["connected_at"],
        dial_at=row["dial_at"] if state == "connecting" else None,
        held_since=row["held_at"] if is_current else None,
        hold_wanted=bool(is_current and row["hold_wanted"]),
        consult=_consult(row),
        recording=None
        if row["recording_state"] is None
        else CallRecording(
            state=row["recording_state"], is_pause_wanted=row["recording_paused"], problem=row["recording_problem"]
        ),
        telephone=None if state == "wrapping" else _telephone(row),
        ended_at=row["ended_at"] if state == "wrapping" else None,
        wrap_up=WrapUp(
            mode=row["wrap_mode"],
            extension_s=row["wrap_extension_s"] if row["wrap_ends_at"] and not row["wrap_extended_s"] else 0,
            is_requested=row["wrap_requested"],
        ),
        wrap_up_ends_at=row["wrap_ends_at"],
        note=NoteDraft(body=row["note_body"] or "", version=row["note_version"] or 0, saved_at=row["note_saved_at"]),
        disposition=row["disposition"],
        version=row["call_version"] + row["version"],
    )


def _telephone(row: Any) -> CallTelephone | None:
    if row["telephone"] is None:
        return None
    state: Literal["waiting", "ringing", "answered", "taken", "over"] = "waiting"
    if row["telephone_over"]:
        state = "over"
    elif row["telephone_taken"]:
        state = "taken"
    elif row["telephone_answered"]:
        state = "answered"
    elif row["telephone_rings"]:
        state = "ringing"
    return CallTelephone(
        shown=telephone.shown(row["telephone"]),
        state=state,
        is_mute_wanted=row["mute_wanted"],
        is_muted=row["is_muted"],
    )


def _consult(row: Any) -> CallConsult | None:
    if row["consult_id"] is None or row["state"] == "wrapping":
        return None
    is_asker = not row["is_consulted"]
    return CallConsult(
        id=row["consult_id"],
        is_asker=is_asker,
        state=row["consult_state"],
        outcome=row["consult_outcome"],
        to=row["consult_to"],
        who=row["asked_whom"] if is_asker else row["asked_by"],
        queue_name=row["asked_queue"] if is_asker else None,
        since=row["consult_since"],
    )


async def _pop(conn: Connection, row: Any, within_s: float) -> ScreenPop:
    viewer = Principal(row["agent_id"], Role(row["role"]), row["agent_name"], row["email"])
    sources, call_id = Sources(conn, within_s=within_s), CallId(row["call_id"])
    customer = await _customer(conn, row, viewer, sources)
    calls_24h = await sources.read("repeat", lambda: _calls_24h(conn, call_id), 1)
    ticket = await sources.read("ticket", lambda: _ticket(conn, call_id), None) or _bare_ticket(row)
    others, restricted = _other_tickets(ticket, customer.profile)
    counts, by = row["counts"] or {}, row["chosen_by"] or By.LONGEST_IDLE
    return ScreenPop(
        offer_id=row["offer_id"],
        work_item_id=row["work_item_id"],
        state=row["state"],
        offered_at=row["created_at"],
        deadline=row["deadline"],
        version=row["version"],
        call=PopCall(
            id=row["call_id"],
            from_=shown_number(row),
            from_kind=row["from_kind"],
            to=row["to_number"],
            queue=row["queue"],
            queue_name=row["queue_name"],
            waited_s=round(max(0.0, (row["created_at"] - row["entered_at"]).total_seconds()), 1),
            language=row["language"],
            calls_24h=max(1, calls_24h),
            is_external=row["is_external"],
            attestation=attestation_of(row["attestation"]),
            direction=row["direction"],
        ),
        ticket=ticket,
        other_tickets=others,
        restricted_tickets=restricted,
        customer=customer,
        reason=PopReason(rule=row["rule"], step=row["step"], why=why_agent(row["rule"], row["step"], by, counts)),
        consult=None
        if not row["is_consulted"] or row["consult_id"] is None
        else PopConsult(by=row["asked_by"], note=row["consult_note"], at=row["consult_at"]),
        transfer=None
        if row["transferred_by"] is None or row["is_consulted"]
        else PopTransfer(by=row["transferred_by"], note=row["transfer_note"], at=row["transferred_at"]),
        holes=sources.holes,
    )


async def _calls_24h(conn: Connection, call_id: CallId) -> int:
    found: int = await conn.fetchval(sql.CALLS_24H, call_id)
    return found


async def _ticket(conn: Connection, call_id: CallId) -> TicketOfCall | None:
    return await tickets.ticket_of_call(conn, call_id=call_id)


def _bare_ticket(row: Any) -> TicketOfCall:
    """What the ticket's own row says, without the names and the words that stand elsewhere."""
    plain = {name: row[f"ticket_{name}"] for name in TICKET_FIELDS}
    return TicketOfCall(**plain, assignee=None, customer=None, last_note=None)


def _other_tickets(ticket: TicketOfCall, profile: Profile | None) -> tuple[list[TicketSummary], int]:
    """The customer's open tickets beside the call's own, latest activity first, and how many more this agent may not see. The call's
    own is shown to whom the call is offered; where their rights alone would not show it, the profile counts it as restricted."""
    if profile is None:
        return [], 0
    others = [each for each in profile.open_tickets if each.id != ticket.id]
    is_restricted = len(others) == len(profile.open_tickets) and ticket.state in OPEN_STATES
    return others[:OTHER_TICKETS], max(0, profile.restricted_tickets - is_restricted)


def shown_number(row: Any) -> str | None:
    """Of a call: what may be shown and dialled."""
    if row["from_kind"] == NumberKind.WITHHELD:
        return None
    return row["from_value"] or row["from_raw"] or None


async def _customer(conn: Connection, row: Any, viewer: Principal, sources: Sources) -> PopCustomer:
    """What the number says, with evidence; and the profile of the one match or of who was chosen."""
    number = Number(
        NumberKind(row["from_kind"]),
        row["from_raw"],
        row["from_value"],
        row["from_extension"],
        row["from_is_suspect"],
        attestation=attestation_of(row["attestation"]),
    )
    found = await sources.read("identity", lambda: _identify(conn, number), None) or _when_queued(row, number)
    chosen: int | None = row["ticket_customer_id"]
    profile = None
    if chosen is not None:
        profile = await sources.read("profile", lambda: _profile(conn, row["call_id"], chosen, viewer), None)
    if found is None:
        return PopCustomer(match="unread", candidates=[], profile=profile, chosen_id=chosen)
    return PopCustomer(match=found.match.value, candidates=list(found.candidates), profile=profile, chosen_id=chosen)


async def _identify(conn: Connection, number: Number) -> Identification | None:
    return await customers.identify(conn, number)


def _when_queued(row: Any, number: Number) -> Identification | None:
    """What was found when the call entered the queue: the hole stays, so that the desk asks again."""
    if row["queued_match"] is None:
        return None
    return Identification(Match(row["queued_match"]), CANDIDATES.validate_python(row["queued_candidates"]), number)


async def _profile(conn: Connection, call_id: int, customer_id: int, viewer: Principal) -> Profile | None:
    """As the viewer may see it, without the call itself among the contacts."""
    found = await profile_of(conn, customer_id=CustomerId(customer_id), principal=viewer)
    earlier = [contact for contact in found.last_contacts if contact.call_id != call_id]
    return found.model_copy(update={"last_contacts": earlier})


@dataclass(frozen=True, slots=True)
class Seen:
    """`seq`: the last number given out. `queues`: figures of the queues this person may see, read a moment ago."""

    is_agent: bool
    seq: int
    queues: list[QueueStats] | None


async def desk(conn: Connection, *, me: Me, principal: Principal, now: datetime, seen: Seen | None = None) -> Desk:
    """A fresh snapshot. Its `seq` is read first: what happens meanwhile has a higher number and comes again.

    `seen`: what the caller has just read, so that it is not read again."""
    if seen is None:
        last, _ = await sql.head(conn, agent_id=principal.user_id)
        seen = Seen(bool(await conn.fetchval(sql.IS_AGENT, principal.user_id)), last, None)
    queues = seen.queues
    offers: list[ScreenPop] = []
    calls: list[ActiveCall] = []
    for row in await conn.fetch(sql.OPEN_OFFERS, principal.user_id):
        if row["state"] == "pending":
            pop = await screen_pop(conn, offer_id=row["id"])
            offers += [] if pop is None else [pop]
        else:
            call = await active_call(conn, offer_id=row["id"])
            calls += [call] if isinstance(call, ActiveCall) else []
    ticket_ids = [row["id"] for row in await conn.fetch(sql.MY_TICKETS, principal.user_id)]
    return Desk(
        me=me,
        presence=await presence_of(conn, principal.user_id) if seen.is_agent else None,
        offers=offers,
        calls=calls,
        tickets=await tickets.ticket_summaries(conn, ids=ticket_ids, principal=principal) if ticket_ids else [],
        queues=queues
        if queues is not None
        else await board(conn, now=now, agent_id=None if principal.is_lead else principal.user_id),
        dispositions=[Disposition(**dict(row)) for row in await conn.fetch(sql.DISPOSITIONS)],
        seq=seen.seq,
        server_time=now,
    )


async def payload(conn: Connection, *, agent_id: int, row: Any) -> tuple[str, Any]:
    """(type, data) of one log row as it may be shown now; `noop` for what is over or gone."""
    kind = row["type"]
    if kind == "screen_pop":
        pop = await screen_pop(conn, offer_id=row["offer_id"])
        if pop is not None and pop.state == "pending":
            return kind, pop
    elif kind == "call_changed":
        call = await active_call(conn, offer_id=row["offer_id"])
        if call is not None:
            return kind, call
    elif kind == "offer_ended":
        data = row["data"]
        by = None if data.get("by") is None else await conn.fetchval(sql.USER_NAME, data["by"])
        return kind, OfferEndedData(
            offer_id=row["offer_id"], call_id=row["call_id"], outcome=data["outcome"], reason=data["reason"], by=by
        )
    elif kind == "presence_changed":
        presence = await presence_of(conn, agent_id)
        return kind, PresenceChangedData(**presence.model_dump(), by=await _by(conn, row["data"].get("by")))
    return "noop", {}


async def _by(conn: Connection, by: str | None) -> str | None:
    """`user:7` → that person's name; the agent's own doing → None."""
    if by is None or not by.startswith("user:"):
        return by if by == "system" else None
    name: str | None = await conn.fetchval(sql.USER_NAME, int(by.removeprefix("user:")))
    return name
