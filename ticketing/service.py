"""What can be done with tickets. Every function works in the caller's transaction and writes the ticket's history.

Policy. A call has exactly one ticket, whoever delivers its event how often: `ticket_calls.call_id` is the key, and the
statement that claims it opens or attaches the ticket. Two calls of one customer at the same moment: the transaction first
takes the customer's advisory lock, so that the second call finds the ticket that the first one opened. Callers nobody
identified have no such lock; their calls never share a ticket by themselves.

Rights are checked by whoever lets a person in (`queries.visible_ticket_id`); `attach_call` also checks its target. What a person
does is audited here, so every road to a function leaves its row; what follows from a call is in the ticket's history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from accounts.audit import audit
from core.errors import Conflict, Invalid, NotFound
from core.events import CallAttached, CallEnded, CallQueued, TicketBound, TicketChanged, WrapUpEnded
from core.ids import AgentId, CallId, CustomerId, TicketId
from core.phone import Attestation, Number, NumberKind
from core.principal import SYSTEM, Actor
from core.texts import in_language
from cti import queries as calls
from customers import service as customers
from customers.model import Candidate, Identification, Match, search_form
from infra.outbox import Tx, publish
from infra.postgres import Connection
from infra.timers import cancel_timer, set_timer
from ticketing import model, queries, writes
from ticketing.model import (
    OPEN_STATES,
    BoundCall,
    CloseReason,
    Note,
    Priority,
    TicketNotFound,
    TicketRow,
    TicketState,
    TicketVersionConflict,
)

HEARD_FROM: Final = (TicketState.NEW, TicketState.PENDING_CUSTOMER)
"""A conversation with the customer makes a ticket in one of these an open one."""
DUE_TIMER: Final = "ticketing.due"


class TicketClosed(Conflict):
    code, title = "ticket_closed", "This ticket is closed"


class CallHasNoTicket(NotFound):
    code, title = "call_has_no_ticket", "This call has no ticket"


class CallIsMoving(Conflict):
    code, title, retryable = "call_is_moving", "Somebody else is moving this call right now", True


# --- calls ---------------------------------------------------------------------------------------------------------


async def bind(tx: Tx, event: CallQueued) -> None:
    """Give a queued call its ticket (inline). A call that queues again keeps the one it has.

    Exactly one customer matched: their open ticket in this queue with the latest activity, else a new one. Several, none or a
    withheld number: a new one without a customer. Publishes TicketBound for the routing, TicketChanged for an attached ticket.
    """
    caller = event.caller or Number(NumberKind.WITHHELD, "")
    found, bound = await bind_call(tx, event.call_id, caller=caller, queue=event.queue, language=event.language)
    await publish(
        tx,
        TicketBound(
            call_id=event.call_id,
            ticket_id=bound.ticket_id,
            version=bound.version,
            is_new=bound.is_new,
            queue=event.queue,
            entered_at=event.entered_at,
            customer_id=bound.customer_id,
            match=found.match,
            facts=_facts(event, caller, bound, found.customer),
            is_external=event.is_external,
        ),
    )
    if not bound.is_new and not bound.was_bound:
        await publish(tx, TicketChanged(ticket_id=bound.ticket_id, version=bound.version, call_id=event.call_id))


async def bind_call(
    tx: Tx, call_id: CallId, *, caller: Number, queue: str, language: str
) -> tuple[Identification, BoundCall]:
    """Who calls, and the ticket of the call: the one it has, the customer's open one in this queue, or a new one."""
    found = await customers.identify(tx.conn, caller)
    customer = found.customer
    if customer is not None:
        await writes.lock_customer(tx.conn, customer_id=customer.id)
    bound = await writes.bind_call(
        tx.conn,
        call_id=call_id,
        customer_id=None if customer is None else customer.id,
        queue=queue,
        now=tx.now,
        subject=_subject(found, language),
        match=found.match,
    )
    # Read beforehand for the pop (realtime/pop.py): whoever is offered the call sees a name even if nobody can be looked up then.
    await tx.conn.execute(
        writes.KEEP_CALLER, call_id, caller.extension, caller.is_suspect, found.match, _plain(found.candidates), tx.now
    )
    return found, bound


def _plain(candidates: Sequence[Candidate]) -> Any:
    return orjson.loads(orjson.dumps(candidates))


async def bind_outbound(
    tx: Tx, call_id: CallId, *, ticket_id: TicketId | None, callee: Number, queue: str, language: str
) -> TicketId:
    """The ticket of a call that an agent makes: this one, which they may see and which is open, else as for a call that comes in.

    Raises TicketNotFound, TicketClosed."""
    if ticket_id is None:
        _, bound = await bind_call(tx, call_id, caller=callee, queue=queue, language=language)
        return bound.ticket_id
    row = await tx.conn.fetchrow(writes.ATTACH_OUTBOUND, call_id, ticket_id, tx.now)
    if row is None:
        raise TicketClosed
    await publish(tx, TicketChanged(ticket_id=ticket_id, version=row["version"], call_id=call_id))
    return ticket_id


def _subject(found: Identification, language: str) -> str:
    if found.match is Match.WITHHELD:
        return in_language(model.CALL_FROM_WITHHELD, language)
    is_unproven = found.number.attestation is Attestation.FAILED and len(found.candidates) == 1
    if found.match is Match.MANY and not is_unproven:
        return in_language(model.CALL_FROM_SHARED, language)
    return model.subject_of_call(None if found.customer is None else found.customer.name, language)


def _facts(event: CallQueued, caller: Number, bound: BoundCall, customer: Candidate | None) -> dict[str, Any]:
    """What routing rules may look at. Never serialised."""
    facts: dict[str, Any] = {
        "call": {
            "from": caller.value or caller.raw,
            "from_kind": str(caller.kind),
            "to": event.to_number,
            "language": event.language,
        }
        | ({} if event.menu_choice is None else {"menu_choice": event.menu_choice}),
        "ticket": {
            "id": bound.ticket_id,
            "is_new": bound.is_new,
            "priority": str(bound.priority),
            "state": str(bound.state),
            "tags": list(bound.tags),
            "queue": bound.queue,
        },
        "customer": {},
    }
    if customer is not None:
        facts["customer"] = {
            "id": customer.id,
            "tier": customer.tier,
            "language": customer.language,
            "company": customer.company,
        }
    return facts


async def attach_call(tx: Tx, call_id: CallId, ticket_id: TicketId | None, *, actor: Actor) -> TicketId:
    """Move a call to another ticket (None: to a new one of the same customer and queue). Returns the ticket it has then.

    A ticket that this call had opened and nobody has touched is closed as merged_into. Raises CallHasNoTicket, TicketNotFound
    (also for a target the actor may not see), TicketClosed.
    """
    if ticket_id is not None and actor.kind == "user":
        await queries.check_user_may_see(tx.conn, user_id=actor.id, ticket_id=ticket_id)
    for _ in range(3):
        source_id = await tx.conn.fetchval(writes.TICKET_ID_OF_CALL, call_id)
        if source_id is None:
            raise CallHasNoTicket
        if source_id == ticket_id:
            return TicketId(source_id)
        moved = await _move_call(tx, call_id, TicketId(source_id), ticket_id, actor)
        if moved is not None:
            return moved
    raise CallIsMoving


async def _move_call(
    tx: Tx, call_id: CallId, source_id: TicketId, target_id: TicketId | None, actor: Actor
) -> TicketId | None:
    """None: somebody else moved the call before the tickets were locked."""
    locked = await writes.lock_tickets(tx.conn, ids=[source_id, *([] if target_id is None else [target_id])])
    source = locked[source_id]
    if await tx.conn.fetchval(writes.TICKET_ID_OF_CALL, call_id) != source_id:
        return None
    is_fresh = await _is_fresh(tx, source, call_id)
    if target_id is None:
        if is_fresh:
            return source_id
        target = await _open_for_call(tx, call_id, source, actor)
    elif (found := locked.get(target_id)) is None:
        raise TicketNotFound
    elif found.state not in (*OPEN_STATES, TicketState.RESOLVED):
        raise TicketClosed(f"Ticket {found.number} is {found.state}.", ticket=found.number)
    else:
        target = found
    outcome = await tx.conn.fetchval(writes.MOVE_CALL, call_id, target.id, target_id is None, tx.now)
    opens = target.state is TicketState.RESOLVED or (outcome == "answered" and target.state in HEARD_FROM)
    changes = model.enter_state(target.state, TicketState.OPEN, now=tx.now, due_at=None) if opens else {}
    if target_id is not None or opens:
        told = None if target_id is None else _told("call_moved_here", call_id=call_id, from_ticket_id=source_id)
        version = await save(
            tx, target, changes, actor=SYSTEM if target_id is None else actor, told=told, call_id=call_id
        )
    else:
        version = target.version
    changes = _closing(source, CloseReason.MERGED_INTO, tx.now) if is_fresh else {}
    told = _told("call_moved_away", call_id=call_id, to_ticket_id=target.id)
    await save(tx, source, changes, actor=actor, told=told, call_id=call_id)
    await _audit(
        tx,
        actor,
        "ticket.move_call",
        target.id,
        before={"ticket_id": source_id},
        after={"ticket_id": target.id, "call_id": call_id},
    )
    await publish(tx, CallAttached(call_id=call_id, ticket_id=target.id, from_ticket_id=source_id, version=version))
    return target.id


async def _open_for_call(tx: Tx, call_id: CallId, source: TicketRow, actor: Actor) -> TicketRow:
    """A new ticket beside `source`, named after the caller in the call's language."""
    language = await tx.conn.fetchval(writes.LANGUAGE_OF_CALL, call_id)
    names = {} if source.customer_id is None else await writes.names_of_customers(tx.conn, ids=[source.customer_id])
    ticket = await writes.open_ticket(
        tx.conn,
        subject=model.subject_of_call(names.get(source.customer_id or 0), language),
        queue=source.queue,
        customer_id=source.customer_id,
        priority=Priority.NORMAL,
        channel="voice",
        actor=actor,
        data={"call_id": call_id, "from_ticket_id": source.id},
        now=tx.now,
    )
    await publish(tx, TicketChanged(ticket_id=ticket.id, version=ticket.version, call_id=call_id))
    return ticket


async def _is_fresh(tx: Tx, ticket: TicketRow, call_id: CallId) -> bool:
    """Opened by this call, and nobody has done anything with it: no note, no other call, nothing changed by a person."""
    if ticket.state not in (TicketState.NEW, TicketState.OPEN) or ticket.assignee_id is not None:
        return False
    return bool(await tx.conn.fetchval(writes.IS_UNTOUCHED, ticket.id, call_id))


async def on_call_ended(tx: Tx, event: CallEnded) -> None:
    """State consumer: a caller who gave up at once leaves no work; an answered call's ticket is open. Once per call.

    Exactly the limit is not short (reporting counts by the same rule); whom we sent to the recorder has not given up at once."""
    ticket = await lock_of_call(tx, event.call_id)
    if ticket is None:
        return  # gave up in the menu, before any queue
    ended = await tx.conn.fetchrow(writes.END_CALL, event.call_id, ticket.id, event.outcome, event.at)
    if ended is not None:  # else it is delivered again
        await _settle(tx, event, ticket, short_abandon_s=0 if ended["was_at_recorder"] else ended["short_abandon_s"])


async def _settle(tx: Tx, event: CallEnded, ticket: TicketRow, *, short_abandon_s: int) -> None:
    is_abandoned = event.outcome.startswith("abandoned")
    is_short = is_abandoned and event.wait_s is not None and event.wait_s < short_abandon_s
    changes: dict[str, Any] = {}
    if is_short and await _is_fresh(tx, ticket, event.call_id):
        changes = _closing(ticket, CloseReason.SHORT_ABANDON, tx.now)
    elif event.outcome == "answered" and ticket.state in HEARD_FROM:
        changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
    told = _told("call_ended", call_id=event.call_id, outcome=event.outcome, wait_s=event.wait_s)
    version = await save(tx, ticket, changes, actor=SYSTEM, told=told, call_id=event.call_id)
    after = {
        "call_id": event.call_id,
        "outcome": event.outcome,
        "state": changes.get("state", ticket.state),
        "version": version,
    }
    await audit(tx, SYSTEM, "ticket.call_ended", "ticket", ticket.id, before={"state": ticket.state}, after=after)


async def lock_of_call(tx: Tx, call_id: CallId) -> TicketRow | None:
    """The call's ticket, held until the transaction ends. Raises CallIsMoving."""
    for _ in range(3):
        ticket_id = await tx.conn.fetchval(writes.TICKET_ID_OF_CALL, call_id)
        if ticket_id is None:
            return None
        ticket = (await writes.lock_tickets(tx.conn, ids=[ticket_id]))[ticket_id]
        if await tx.conn.fetchval(writes.TICKET_ID_OF_CALL, call_id) == ticket_id:
            return ticket
    raise CallIsMoving


async def on_wrap_up_ended(tx: Tx, event: WrapUpEnded) -> None:
    """Inline: who spoke with the customer keeps the ticket if nobody has it, and it is resolved when the result says that
    nothing is left to do. Without this an answered call would leave a ticket that is nobody's. While the customer waits for
    somebody else, or talks with them, only a result that a person has chosen counts."""
    if event.call_id is None:
        return
    if event.is_default or event.disposition is None:
        call = await calls.call_by_id(tx.conn, call_id=event.call_id)
        if call is not None and not call.is_over and call.offer_id != event.offer_id:
            return
    ticket = await lock_of_call(tx, event.call_id)
    if ticket is not None:
        await _after_call(tx, ticket, event.call_id, event.agent_id, event.disposition)


async def result_given(
    tx: Tx, *, call_id: CallId, agent_id: AgentId, before: str | None, disposition: str | None
) -> None:
    """The result of a call came late, or was corrected: its ticket is as if it had come at the end of wrap-up. What only the result
    before had resolved is open again."""
    ticket = await lock_of_call(tx, call_id)
    if ticket is None:
        return
    found = await tx.conn.fetchrow(writes.AGENT_AND_RESULT, agent_id, before)
    if ticket.state is TicketState.RESOLVED and found is not None and found["resolves_ticket"]:
        changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
        actor = Actor("user", agent_id, found["name"])
        await save(tx, ticket, changes, actor=actor, call_id=call_id)
        await audit(
            tx, actor, "ticket.after_call", "ticket", ticket.id, before={"state": ticket.state}, after={"state": TicketState.OPEN}
        )  # fmt: skip
        ticket = await lock_of_call(tx, call_id)
        assert ticket is not None
    await _after_call(tx, ticket, call_id, agent_id, disposition)


async def _after_call(tx: Tx, ticket: TicketRow, call_id: CallId, agent_id: AgentId, disposition: str | None) -> None:
    if ticket.state not in OPEN_STATES:
        return
    found = await tx.conn.fetchrow(writes.AGENT_AND_RESULT, agent_id, disposition)
    assert found is not None
    changes: dict[str, Any] = {}
    if found["resolves_ticket"]:
        changes = model.enter_state(ticket.state, TicketState.RESOLVED, now=tx.now, due_at=None)
    elif ticket.state is TicketState.NEW:
        changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
    if ticket.assignee_id is None:
        changes["assignee_id"] = agent_id
    if not changes:
        return
    actor = Actor("user", agent_id, found["name"])
    version = await save(tx, ticket, changes, actor=actor, call_id=call_id)
    before = {"state": ticket.state, "assignee_id": ticket.assignee_id}
    after = {**before, **{name: changes[name] for name in before if name in changes}, "version": version}
    await audit(tx, actor, "ticket.after_call", "ticket", ticket.id, before=before, after=after)


# --- people (and rules) ------------------------------------------------------------------------------------------


async def create(
    tx: Tx,
    *,
    subject: str,
    queue: str,
    customer_id: CustomerId | None,
    priority: Priority,
    actor: Actor,
    channel: str = "manual",
) -> TicketRow:
    """Open a ticket by hand. Raises Invalid for a queue or customer that does not exist."""
    await _check_references(tx, {"queue": queue})
    if customer_id is not None and not await writes.names_of_customers(tx.conn, ids=[customer_id]):
        raise _invalid("customer_id", "There is no such customer.")
    ticket = await writes.open_ticket(
        tx.conn,
        subject=subject,
        queue=queue,
        customer_id=customer_id,
        priority=priority,
        channel=channel,
        actor=actor,
        data={},
        now=tx.now,
    )
    await publish(tx, TicketChanged(ticket_id=ticket.id, version=ticket.version))
    after = {"queue": queue, "customer_id": customer_id, "priority": priority}
    await _audit(tx, actor, "ticket.create", ticket.id, after=after)
    return ticket


async def change(tx: Tx, ticket_id: TicketId, wanted: Mapping[str, Any], *, version: int, actor: Actor) -> None:
    """Change fields of a ticket: state (with due_at), priority, queue, subject, tags, customer_id, assignee_id.

    Others may have changed the ticket since `version`: other fields than these merge, the same field raises
    TicketVersionConflict with the ticket as it is. Raises TicketNotFound, IllegalTransition, Invalid.
    """
    ticket = (await writes.lock_tickets(tx.conn, ids=[ticket_id])).get(ticket_id)
    if ticket is None:
        raise TicketNotFound
    differing = {field: value for field, value in wanted.items() if _differs(ticket, field, value)}
    if not differing:
        return
    await _check_version(tx, ticket, version, set(differing))
    await _check_references(tx, differing)
    due_at: datetime | None = differing.pop("due_at", ticket.due_at)
    changes = dict(differing)
    if differing.get("customer_id") is not None and "subject" not in differing:
        changes |= await _renamed(tx, ticket, differing["customer_id"])
    if "state" in differing or due_at != ticket.due_at:
        new_state = differing.get("state", ticket.state)
        changes |= model.enter_state(ticket.state, new_state, now=tx.now, due_at=due_at)
    await save(tx, ticket, changes, actor=actor)
    before = {field: getattr(ticket, field) for field in changes}
    await _audit(tx, actor, "ticket.update", ticket_id, before=before, after=changes)


async def assign(tx: Tx, ticket_id: TicketId, agent_id: int | None, *, version: int, actor: Actor) -> None:
    """Give the ticket to somebody (None: to nobody). Raises as `change` does."""
    await change(tx, ticket_id, {"assignee_id": agent_id}, version=version, actor=actor)


async def lock(tx: Tx, ticket_id: TicketId) -> TicketRow | None:
    """Held until the transaction ends."""
    return (await writes.lock_tickets(tx.conn, ids=[ticket_id])).get(ticket_id)


async def lock_unassigned(tx: Tx, ids: Sequence[TicketId]) -> Mapping[TicketId, TicketRow]:
    """Those that are to be done, that nobody has, and that nobody else is changing just now."""
    return await writes.lock_unassigned(tx.conn, ids=ids)


async def give(tx: Tx, ticket: TicketRow, agent_id: int) -> None:
    """Routing has found somebody for a ticket, which is locked."""
    await save(tx, ticket, {"assignee_id": agent_id}, actor=SYSTEM)


async def facts_of(conn: Connection, ticket: TicketRow) -> dict[str, Any]:
    """What routing rules may look at, of a ticket without a call. Never serialised."""
    customer = None
    if ticket.customer_id is not None:
        customer = await conn.fetchrow(writes.CUSTOMER_FACTS, ticket.customer_id)
    return {
        "ticket": {
            "id": ticket.id,
            "is_new": ticket.version == 1,
            "priority": str(ticket.priority),
            "state": str(ticket.state),
            "tags": list(ticket.tags),
            "queue": ticket.queue,
        },
        "customer": {} if customer is None else dict(customer),
    }


async def attach_customer(tx: Tx, ticket_id: TicketId, customer_id: CustomerId | None, *, actor: Actor) -> None:
    """Say whose ticket this is: an agent chose among candidates, or made the customer; None takes that back. The last word counts, so no
    version."""
    ticket = (await writes.lock_tickets(tx.conn, ids=[ticket_id])).get(ticket_id)
    if ticket is None:
        raise TicketNotFound
    if ticket.customer_id == customer_id:
        return
    changes = {"customer_id": customer_id, **await _renamed(tx, ticket, customer_id)}
    await save(tx, ticket, changes, actor=actor)
    before = {"customer_id": ticket.customer_id}
    await _audit(tx, actor, "ticket.attach_customer", ticket_id, before=before, after={"customer_id": customer_id})


async def _renamed(tx: Tx, ticket: TicketRow, customer_id: CustomerId | None) -> dict[str, str]:
    """A subject that the call gave follows the customer. Raises Invalid when there is no such customer."""
    names = await writes.names_of_customers(tx.conn, ids=[customer_id or 0, ticket.customer_id or 0])
    if customer_id is not None and customer_id not in names:
        raise _invalid("customer_id", "There is no such customer.")
    language = model.language_of_subject(ticket.subject, names.get(ticket.customer_id or 0))
    name = None if customer_id is None else names[customer_id]
    return {} if language is None else {"subject": model.subject_of_call(name, language)}


async def set_queue(tx: Tx, ticket_id: TicketId, queue: str, *, actor: Actor) -> int | None:
    """Put the ticket into a queue, one round trip. Returns its new version, None when it is there already (or gone)."""
    version: int | None = await tx.conn.fetchval(writes.SET_QUEUE, ticket_id, queue, tx.now, actor.kind, actor.id)
    if version is not None:
        await publish(tx, TicketChanged(ticket_id=ticket_id, version=version))
        await _audit(tx, actor, "ticket.update", ticket_id, after={"queue": queue})
    return version


async def add_note(tx: Tx, ticket_id: TicketId, *, body: str, call_id: CallId | None, actor: Actor) -> Note:
    """Raises TicketNotFound."""
    author_id = actor.id if actor.kind == "user" else None
    row = await tx.conn.fetchrow(writes.ADD_NOTE, ticket_id, body, author_id, call_id, tx.now, search_form(body))
    if row is None:
        raise TicketNotFound
    await publish(tx, TicketChanged(ticket_id=ticket_id, version=row["version"], call_id=call_id))
    await _audit(tx, actor, "ticket.note", ticket_id, after={"note_id": row["id"], "call_id": call_id})
    author = None if author_id is None else model.Named(id=author_id, name=actor.name or "")
    return Note(id=row["id"], body=body, author=author, created_at=tx.now, call_id=call_id)


async def reopen_due(tx: Tx, ticket_id: int, version: int) -> None:
    """Timer `ticketing.due`: a ticket put off until now is open again. Nothing when it has moved on or the date has changed."""
    ticket = (await writes.lock_tickets(tx.conn, ids=[ticket_id])).get(ticket_id)
    if ticket is None or ticket.state is not TicketState.PENDING_UNTIL:
        return
    if ticket.due_at is None or ticket.due_at > tx.now:
        return
    changes = model.enter_state(ticket.state, TicketState.OPEN, now=tx.now, due_at=None)
    await save(tx, ticket, changes, actor=SYSTEM)
    after = {"state": TicketState.OPEN, "timer_version": version}
    await audit(tx, SYSTEM, "ticket.due", "ticket", ticket_id, before={"state": ticket.state}, after=after)


TIMERS: Final = {DUE_TIMER: reopen_due}


async def set_time_zone(tx: Tx, time_zone: str, *, actor: Actor) -> None:
    """The organisation's zone, in which a ticket's year begins."""
    if not await tx.conn.fetchval(writes.ZONE_EXISTS, time_zone):
        raise _invalid("time_zone", "This is not the name of a time zone.")
    if await tx.conn.fetchval(writes.SET_TIME_ZONE, time_zone):
        await audit(tx, actor, "organisation.set_time_zone", "organisation", None, after={"time_zone": time_zone})


# --- shared --------------------------------------------------------------------------------------------------------


def _told(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "data": data}


def _closing(ticket: TicketRow, reason: CloseReason, now: datetime) -> dict[str, Any]:
    return model.enter_state(ticket.state, TicketState.CLOSED, now=now, due_at=None, reason=reason)


def _differs(ticket: TicketRow, field: str, value: Any) -> bool:
    return bool(getattr(ticket, field) != (tuple(value) if field == "tags" else value))


async def _check_version(tx: Tx, ticket: TicketRow, version: int, fields: set[str]) -> None:
    if version == ticket.version:
        return
    others: set[str] = fields
    if version < ticket.version:
        others = await writes.fields_changed_since(tx.conn, ticket_id=ticket.id, version=version)
    both = sorted(fields & others)
    if both:
        current = await queries.summary(tx.conn, ticket_id=ticket.id)
        raise TicketVersionConflict(
            f"Somebody else changed {', '.join(both)} meanwhile.",
            conflicting=both,
            current=current.model_dump(mode="json"),
        )


async def _check_references(tx: Tx, values: Mapping[str, Any]) -> None:
    for field, statement, message in (
        ("queue", writes.QUEUE_EXISTS, "There is no such queue."),
        ("assignee_id", writes.ASSIGNABLE, "Nobody with this id can have tickets."),
    ):
        value = values.get(field)
        if value is not None and not await tx.conn.fetchval(statement, value):
            raise _invalid(field, message)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[{"field": field, "message": message}])


async def save(
    tx: Tx,
    ticket: TicketRow,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    told: Mapping[str, Any] | None = None,
    call_id: CallId | None = None,
) -> int:
    """Write a locked ticket with `changes`, tell it in the history and to the others. Returns the new version."""
    values = {**changes, "tags": tuple(changes.get("tags", ticket.tags))}
    changed = replace(ticket, **values)
    history = [*([] if told is None else [told]), *model.told_changes(ticket, changed)]
    is_renamed = changed.subject != ticket.subject
    version = await writes.save_ticket(
        tx.conn, changed, history=history, is_renamed=is_renamed, actor=actor, now=tx.now
    )
    if changed.due_at != ticket.due_at:
        if changed.due_at is not None:
            await set_timer(tx, DUE_TIMER, ticket.id, version=version, due_at=changed.due_at)
        else:
            await cancel_timer(tx, DUE_TIMER, ticket.id)
    await publish(tx, TicketChanged(ticket_id=ticket.id, version=version, call_id=call_id))
    return version


async def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    ticket_id: TicketId,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """What people do. What rules and calls do is in the history, and in the audit of the command that caused it."""
    if actor.kind in ("system", "provider"):
        return
    await audit(
        tx,
        actor,
        action,
        "ticket",
        ticket_id,
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
    )
