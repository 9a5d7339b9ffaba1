"""The customer as the pop and the customer page show them: card, open tickets, last contacts, timeline.

A profile is one query, always of this moment: a cache of cards was measured and left out (ADR 0007). Everything is for one
reader: tickets they may not see are counted, and calls and notes of those are left out.
"""
# ruff: noqa: S608 - statements are put together from constants of this package only

from typing import Final

from core.ids import CustomerId
from core.principal import Principal
from customers.model import CustomerNotFound
from customers.queries import CARD_COLUMNS, card_of
from infra.postgres import Connection
from ticketing.lists import read_cursor, write_cursor
from ticketing.model import IdentityShown, LastContact, Profile, TimelineItem, TimelinePage
from ticketing.queries import COLUMNS, NAMES, VISIBLE, rights, summary_of
from ticketing.writes import IS_OPEN

OPEN_TICKETS: Final = 20
CONTACTS: Final = 10
TICKETS_LOOKED_AT: Final = 100
"""Contacts are looked for in the tickets with the latest activity: a call makes its ticket one of those."""

PROFILE: Final = f"""
SELECT {CARD_COLUMNS},
    (SELECT jsonb_agg(s ORDER BY s.updated_at DESC, s.id DESC) FROM (
        SELECT {COLUMNS} FROM tickets t {NAMES} WHERE t.customer_id = $3 AND t.{IS_OPEN} AND {VISIBLE}
        ORDER BY t.updated_at DESC, t.id DESC LIMIT {OPEN_TICKETS}) s) AS open_tickets,
    (SELECT count(*) FROM (
        SELECT FROM tickets t WHERE t.customer_id = $3 AND t.{IS_OPEN} AND ({VISIBLE}) IS NOT true LIMIT 100) r) AS restricted_tickets,
    (SELECT jsonb_agg(l ORDER BY l.at DESC, l.call_id DESC) FROM (
        SELECT tc.call_id, coalesce(k.created_at, tc.attached_at) AS at, coalesce(k.direction, 'inbound') AS direction,
               coalesce(k.outcome, tc.outcome) AS outcome, k.queue, a.name AS agent, k.disposition, k.talk_s
        FROM (SELECT t.id FROM tickets t WHERE t.customer_id = $3 AND {VISIBLE}
              ORDER BY t.updated_at DESC, t.id DESC LIMIT {TICKETS_LOOKED_AT}) t
        JOIN ticket_calls tc ON tc.ticket_id = t.id
        LEFT JOIN calls k ON k.id = tc.call_id
        LEFT JOIN users a ON a.id = k.agent_id
        ORDER BY at DESC, tc.call_id DESC LIMIT {CONTACTS}) l) AS last_contacts
FROM customers c WHERE c.id = $3
"""

WHY: Final = f"""
SELECT CASE
    WHEN EXISTS (
        SELECT FROM calls k JOIN ticket_calls tc ON tc.call_id = k.id JOIN tickets t ON t.id = tc.ticket_id
        WHERE k.agent_id = $1 AND k.state <> 'closed' AND t.customer_id = $2
    ) THEN 'call'
    WHEN EXISTS (SELECT FROM tickets t WHERE t.customer_id = $2 AND t.assignee_id = $1 AND t.{IS_OPEN}) THEN 'ticket'
    ELSE 'lookup'
END
"""

TIMELINE: Final = f"""
WITH theirs AS MATERIALIZED (
    SELECT t.id, t.number, t.subject, t.opened_at, t.state, t.queue FROM tickets t WHERE t.customer_id = $3 AND {VISIBLE}
), happened AS (
    SELECT opened_at AS at, id * 4 AS place, 'ticket' AS kind, subject AS title,
           jsonb_build_object('ticket_id', id, 'number', number, 'state', state, 'queue', queue) AS data
    FROM theirs
    UNION ALL
    SELECT coalesce(k.created_at, tc.attached_at), tc.call_id * 4 + 1, 'call', t.subject,
           jsonb_build_object('ticket_id', t.id, 'number', t.number, 'call_id', tc.call_id,
               'direction', coalesce(k.direction, 'inbound'), 'outcome', coalesce(k.outcome, tc.outcome), 'queue', k.queue,
               'agent', a.name, 'disposition', k.disposition, 'talk_s', k.talk_s)
    FROM theirs t JOIN ticket_calls tc ON tc.ticket_id = t.id
    LEFT JOIN calls k ON k.id = tc.call_id LEFT JOIN users a ON a.id = k.agent_id
    UNION ALL
    SELECT n.created_at, n.id * 4 + 2, 'note', left(split_part(n.body, E'\\n', 1), 120),
           jsonb_build_object('ticket_id', t.id, 'number', t.number, 'note_id', n.id, 'call_id', n.call_id, 'author', u.name)
    FROM theirs t JOIN ticket_notes n ON n.ticket_id = t.id LEFT JOIN users u ON u.id = n.author_id
)
SELECT at, place, kind, title, data FROM happened
WHERE $4::timestamptz IS NULL OR (at, place) < ($4, $5)
ORDER BY at DESC, place DESC LIMIT $6
"""


async def profile(conn: Connection, *, customer_id: CustomerId, principal: Principal) -> Profile:
    """The profile as `principal` may see it. Raises CustomerNotFound."""
    row = await conn.fetchrow(PROFILE, *rights(principal), customer_id)
    if row is None:
        raise CustomerNotFound
    card = card_of(row)
    return Profile(
        id=card.id,
        name=card.name,
        tier=card.tier,
        language=card.language,
        company=card.company,
        note=card.note,
        version=card.version,
        identities=[IdentityShown.model_validate(each, from_attributes=True) for each in card.identities],
        open_tickets=[summary_of(each) for each in row["open_tickets"] or ()],
        restricted_tickets=row["restricted_tickets"],
        last_contacts=[LastContact(**each) for each in row["last_contacts"] or ()],
    )


async def purpose(conn: Connection, *, customer_id: CustomerId, user_id: int) -> str:
    """Why somebody reads a customer, for the audit: an unfinished call of theirs, an open ticket of theirs, or a look-up."""
    reason: str = await conn.fetchval(WHY, user_id, customer_id)
    return reason


async def timeline(
    conn: Connection, *, customer_id: CustomerId, principal: Principal, limit: int, cursor: str | None
) -> TimelinePage:
    """What happened with the customer, latest first. Empty for a customer who does not exist."""
    at, place = (None, None) if cursor is None else read_cursor(cursor)
    rows = await conn.fetch(TIMELINE, *rights(principal), customer_id, at, place, limit + 1)
    items = [TimelineItem(at=row["at"], kind=row["kind"], title=row["title"], data=row["data"]) for row in rows[:limit]]
    more = len(rows) > limit
    next_cursor = write_cursor(items[-1].at, rows[limit - 1]["place"]) if more else None
    return TimelinePage(items=items, next_cursor=next_cursor)
