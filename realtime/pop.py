"""Builds what an agent sees, for that agent's rights and as things are now: pops, active calls, the whole desk."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from accounts.model import Me
from core.ids import CallId, CustomerId, conference_name
from core.phone import Number, NumberKind
from core.principal import Principal, Role
from customers import service as customers
from customers.model import Match
from infra.postgres import Connection
from realtime import queries as sql
from realtime.messages import (
    ActiveCall,
    ClosedCall,
    Desk,
    Disposition,
    NoteDraft,
    OfferEndedData,
    PopCall,
    PopCustomer,
    PopReason,
    PopTransfer,
    PresenceChangedData,
    ScreenPop,
    WrapUp,
)
from routing.explain import why_agent
from routing.live import board, presence_of
from routing.messages import QueueStats
from routing.model import By
from ticketing import queries as tickets
from ticketing.model import OPEN_STATES, Profile, TicketOfCall, TicketSummary
from ticketing.profile import profile as profile_of

OTHER_TICKETS = 5
NOT_OVER = ("pending", "accepted", "wrapping")


async def screen_pop(conn: Connection, *, offer_id: int) -> ScreenPop | None:
    """The pop of an offer for its agent; None when there is no such offer."""
    row = await conn.fetchrow(sql.POP, offer_id)
    return None if row is None else await _pop(conn, row)


async def active_call(conn: Connection, *, offer_id: int) -> ActiveCall | ClosedCall | None:
    """The call of an accepted offer as it stands on the desk."""
    row = await conn.fetchrow(sql.POP, offer_id)
    if row is None:
        return None
    if row["state"] not in ("accepted", "wrapping"):
        return ClosedCall(call_id=row["call_id"])
    is_current = row["call_offer_id"] == row["offer_id"]
    state: Literal["connecting", "in_call", "on_hold", "wrapping"] = "connecting"
    if row["state"] == "wrapping":
        state = "wrapping"
    elif is_current and row["call_state"] in ("in_call", "on_hold"):
        state = row["call_state"]
    return ActiveCall(
        pop=await _pop(conn, row),
        state=state,
        conference=conference_name(row["call_id"]),
        connected_at=row["connected_at"],
        dial_at=row["dial_at"] if state == "connecting" else None,
        held_since=row["held_at"] if is_current else None,
        hold_wanted=bool(is_current and row["hold_wanted"]),
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


async def _pop(conn: Connection, row: Any) -> ScreenPop:
    viewer = Principal(row["agent_id"], Role(row["role"]), row["agent_name"], row["email"])
    ticket = await tickets.ticket_of_call(conn, call_id=CallId(row["call_id"]))
    assert ticket is not None  # by construction: no queued call without its ticket
    chosen = None if ticket.customer is None else ticket.customer.id
    customer = await _customer(conn, row, chosen, viewer)
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
            from_=_shown_number(row),
            from_kind=row["from_kind"],
            to=row["to_number"],
            queue=row["queue"],
            queue_name=row["queue_name"],
            waited_s=round(max(0.0, (row["created_at"] - row["entered_at"]).total_seconds()), 1),
            language=row["language"],
            calls_24h=max(1, row["calls_24h"]),
            is_external=row["is_external"],
            direction=row["direction"],
        ),
        ticket=ticket,
        other_tickets=others,
        restricted_tickets=restricted,
        customer=customer,
        reason=PopReason(rule=row["rule"], step=row["step"], why=why_agent(row["rule"], row["step"], by, counts)),
        transfer=None
        if row["transferred_by"] is None
        else PopTransfer(by=row["transferred_by"], note=row["transfer_note"], at=row["transferred_at"]),
    )


def _other_tickets(ticket: TicketOfCall, profile: Profile | None) -> tuple[list[TicketSummary], int]:
    """The customer's open tickets beside the call's own, latest activity first, and how many more this agent may not see. The call's
    own is shown to whom the call is offered; where their rights alone would not show it, the profile counts it as restricted."""
    if profile is None:
        return [], 0
    others = [each for each in profile.open_tickets if each.id != ticket.id]
    is_restricted = len(others) == len(profile.open_tickets) and ticket.state in OPEN_STATES
    return others[:OTHER_TICKETS], max(0, profile.restricted_tickets - is_restricted)


def _shown_number(row: Any) -> str | None:
    if row["from_kind"] == NumberKind.WITHHELD:
        return None
    return row["from_value"] or row["from_raw"] or None


async def _customer(conn: Connection, row: Any, chosen: int | None, viewer: Principal) -> PopCustomer:
    """What the number says, with evidence; and the profile of the one match or of who was chosen."""
    number = Number(NumberKind(row["from_kind"]), row["from_raw"], row["from_value"])
    found = await customers.identify(conn, number)
    profile = None
    if chosen is not None:
        profile = await profile_of(conn, customer_id=CustomerId(chosen), principal=viewer)
        earlier = [contact for contact in profile.last_contacts if contact.call_id != row["call_id"]]
        profile = profile.model_copy(update={"last_contacts": earlier})
    match = found.match if found.match is not Match.NONE or chosen is None else Match.NONE
    return PopCustomer(match=match.value, candidates=list(found.candidates), profile=profile, chosen_id=chosen)


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
