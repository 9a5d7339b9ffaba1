"""The list of tickets and the search of tickets and customers with a million tickets, for a supervisor and for an agent, with the plans.

python3 dev.py bench ticket_list [--quick] [--only list | search | customers | plans]
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from bench.kit.report import Report, latencies, options, quantile, run, say
from bench.kit.servers import servers
from core.ids import CustomerId
from core.principal import Principal, Role
from customers import queries as customers
from customers.model import like_patterns, search_form
from infra.postgres import Connection, open_database
from ticketing import lists
from ticketing.lists import TicketFilter
from ticketing.model import OPEN_STATES, Priority, TicketState

TICKETS: Final = 1_000_000
QUICK: Final = 3_000
QUEUES: Final = 12
AGENTS: Final = 200
LOOKS: Final = 12
GOAL_MS: Final = 300.0
CHINESE: Final = ("王小明", "发票", "吊灯玻璃", "退款")
"""A name, two words that many hold, one of the notes that few hold."""

# 4 % are open, most of them young; each tenth ticket of 2023 is about a storm that nobody speaks of any more.
FILL: Final = (
    """INSERT INTO queues (key, name, pool_id) SELECT 'queue' || n, '{"en": "Queue"}', 'main' FROM generate_series(0, $1::integer - 1) n""",
    """INSERT INTO users (id, email, name, role) OVERRIDING SYSTEM VALUE
       SELECT n, 'agent' || n || '@bench.example', 'Agent ' || n, 'agent' FROM generate_series(1, $1::integer) n""",
    "INSERT INTO agents (id, name, pool_id) SELECT id, name, 'main' FROM users",
    "INSERT INTO agent_queues (agent_id, queue_key) SELECT id, 'queue' || (id + q) % 12 FROM users, generate_series(0, 2) q",
    """INSERT INTO customers (id, name, company, search_text) OVERRIDING SYSTEM VALUE
       SELECT n, CASE WHEN n % 1000 = 0 THEN $2 ELSE 'Customer ' || n END, 'Company ' || n % 5000,
              CASE WHEN n % 1000 = 0 THEN $3 ELSE 'customer ' || n END || ' company ' || n % 5000 || ' +1415' || (5000000 + n)
       FROM generate_series(1, $1::integer) n""",
    """INSERT INTO customer_identities (customer_id, kind, value, source)
       SELECT id, 'phone', '+1415' || (5000000 + id), 'bench' FROM customers""",
)
TICKET_ROWS: Final = """
INSERT INTO tickets (id, year, seq, subject, state, priority, queue, assignee_id, customer_id, close_reason, tags, opened_at, updated_at,
                     resolved_at, closed_at)
SELECT n, extract(year FROM at)::integer, n, subject, CASE WHEN is_open THEN (ARRAY['new', 'open', 'pending_customer'])[n % 3 + 1] ELSE 'closed' END,
       CASE WHEN n % 50 = 0 THEN 'urgent' WHEN n % 10 = 0 THEN 'high' ELSE 'normal' END, 'queue' || n % 12,
       CASE WHEN n % 5 = 0 THEN NULL ELSE n % 200 + 1 END, n % $2::integer + 1, CASE WHEN is_open THEN NULL ELSE 'by_hand' END,
       CASE WHEN n * 7919::bigint % 1000003 % 20 = 0 THEN ARRAY['billing'] WHEN n % 5000 = 0 THEN ARRAY['recall'] ELSE '{}'::text[] END,
       at, least(now(), at + make_interval(mins => n % 4000)), NULL, CASE WHEN is_open THEN NULL ELSE at + interval '3 days' END
FROM (SELECT n, now() - make_interval(secs => ($1::integer - n) * (1500 * 86400.0 / $1::integer)) AS at FROM generate_series(1, $1::integer) n) t
CROSS JOIN LATERAL (SELECT CASE WHEN n > $1::integer * 0.9 THEN n % 3 = 0 ELSE n % 120 = 0 END AS is_open) o
CROSS JOIN LATERAL (SELECT CASE
    WHEN n BETWEEN $1::integer * 0.1 AND $1::integer * 0.3 THEN 'Blackout in district ' || n % 40
    WHEN n % 7 = 0 THEN 'Invoice charged twice ' || n
    WHEN n % 9001 = 0 THEN 'Chandelier broken ' || n
    ELSE 'Call about order ' || n END AS subject) s
"""
SEARCHABLE: Final = (
    "INSERT INTO ticket_search (ticket_id, body) SELECT id, lower(number) || ' ' || lower(subject) FROM tickets",
    """INSERT INTO ticket_notes (id, ticket_id, body, author_id, created_at) OVERRIDING SYSTEM VALUE
       SELECT id, id, CASE WHEN id % 20011 = 0 THEN $1 WHEN id * 7919 % 1000003 % 6 = 0 THEN $2 WHEN id % 5003 = 0 THEN 'The zebra was delivered' ELSE
              'Asked when the order arrives; promised an answer by the end of the day and kept it.' END, id % 200 + 1, updated_at
       FROM tickets""",
    """INSERT INTO ticket_note_search (note_id, ticket_id, body)
       SELECT id, ticket_id, CASE WHEN id % 20011 = 0 THEN $1 WHEN id * 7919 % 1000003 % 6 = 0 THEN $2 ELSE lower(body) END FROM ticket_notes""",
)

Look = Callable[[Connection], Awaitable[int]]


async def main() -> int:
    report = Report("ticket_list", options(__doc__ or ""))
    count = QUICK if report.options.quick else TICKETS
    looks = 2 if report.options.quick else LOOKS
    async with servers(report) as running:
        url = await running.create_migrated("product")
        async with open_database(url, size=2, application="ringdesk") as database, database.acquire() as conn:
            await _fill(conn, count)
            size = await conn.fetchval("SELECT pg_database_size(current_database()) / 1048576")
            report.note(
                f"{count} tickets and notes, {count // 5} customers, {QUEUES} queues, {AGENTS} agents: {size} MB"
            )
            times: list[float] = []
            for part, name, look in _looks():
                if report.options.wants(part):
                    times += await _measure(report, conn, part, name, look, looks)
            if times:
                report.add(
                    "all of them", looks=len(times), p95=round(quantile(times, 0.95), 1), most=round(max(times), 1)
                )
                report.ratio("p95 of all looks to the goal of 300 ms", quantile(times, 0.95) / GOAL_MS)
            if report.options.wants("plans"):
                await _plans(report, conn)
    say(f"written: {report.write().name}")
    return 0


async def _fill(conn: Connection, count: int) -> None:
    await conn.execute("SET synchronous_commit = off")
    await conn.execute("SET statement_timeout = 0")  # filling takes minutes
    people = count // 5
    name, words = CHINESE[0], f"客户要求补开{CHINESE[1]}，金额不对。"
    rare = f"{CHINESE[2]}碎了，要求{CHINESE[3]}。"
    given: list[list[Any]] = [[QUEUES], [AGENTS], [], [], [people, name, search_form(name)], []]
    for statement, args in zip(FILL, given, strict=True):
        await conn.execute(statement, *args, timeout=600)
    await conn.execute(TICKET_ROWS, count, people, timeout=1200)
    forms: list[list[str]] = [[], [rare, words], [search_form(rare), search_form(words)]]
    for statement, args in zip(SEARCHABLE, forms, strict=True):
        await conn.execute(statement, *args, timeout=1200)
    for table in ("tickets", "ticket_search", "ticket_notes", "ticket_note_search", "customers", "customer_identities"):
        await conn.execute(f"VACUUM ANALYZE {table}", timeout=600)
    await conn.execute("CHECKPOINT", timeout=600)
    await conn.execute("RESET statement_timeout")


def _looks() -> list[tuple[str, str, Look]]:
    lead = Principal(1, Role.SUPERVISOR, "Lead", "lead@bench.example")
    agent = Principal(7, Role.AGENT, "Agent 7", "agent7@bench.example")
    open_ = frozenset(OPEN_STATES)
    filters = {
        "everything": TicketFilter(),
        "open": TicketFilter(states=open_),
        "closed": TicketFilter(states=frozenset({TicketState.CLOSED})),
        "one queue, open": TicketFilter(states=open_, queue="queue3"),
        "one queue": TicketFilter(queue="queue3"),
        "mine": TicketFilter(states=open_, assignee=7),
        "nobody's": TicketFilter(states=open_, assignee="none"),
        "of a customer": TicketFilter(customer_id=CustomerId(77)),
        "urgent": TicketFilter(priorities=frozenset({Priority.URGENT})),
        "urgent, open, one queue": TicketFilter(states=open_, priorities=frozenset({Priority.URGENT}), queue="queue3"),
        "low, which there is none": TicketFilter(priorities=frozenset({Priority.LOW})),
        "a common tag": TicketFilter(tag="billing"),
        "a seldom tag": TicketFilter(tag="recall"),
        "a tag that nothing has": TicketFilter(tag="nothing"),
    }
    words = {
        "a common word": "order",
        "a common word of notes": "promised",
        "two common words": "invoice twice",
        "a seldom word": "chandelier",
        "a seldom word of notes": "zebra",
        "Chinese, in each sixth note": CHINESE[1],
        "Chinese, in few notes": CHINESE[2],
        "a number": "T-2026",
        "part of a number": "4711",
        "a word of 200,000 old tickets": "blackout",
        "the numbers of an old year": "t-2023",
        "a word that nothing has": "xylophone",
        "two letters that nothing has": "qx",
        "a common and a seldom word": "promised zebra",
    }
    looks = [
        ("list", f"{name}, {who}", _list(principal, wanted, deep))
        for name, wanted in filters.items()
        for who, principal, deep in (("supervisor", lead, 1), ("agent", agent, 1))
    ]
    looks += [("list", "everything, ten pages one after the other, supervisor", _list(lead, TicketFilter(), 10))]
    looks += [
        ("search", f"{name}, {who}", _list(principal, TicketFilter(q=q), 1))
        for name, q in words.items()
        for who, principal in (("supervisor", lead), ("agent", agent))
    ]
    people = {
        "part of a name": "customer 12",
        "a Chinese name": "小明",
        "one character": "王",
        "part of a number": "50001",
        "nobody": "xylophone",
    }
    return looks + [("customers", name, _customers(q)) for name, q in people.items()]


def _list(principal: Principal, wanted: TicketFilter, pages: int) -> Look:
    async def look(conn: Connection) -> int:
        cursor, found = None, 0
        for _ in range(pages):
            page = await lists.list_tickets(conn, principal=principal, wanted=wanted, limit=50, cursor=cursor)
            found, cursor = len(page.items), page.next_cursor
            if cursor is None:
                break
        return found

    return look


def _customers(q: str) -> Look:
    async def look(conn: Connection) -> int:
        items, _ = await customers.search_customers(conn, patterns=like_patterns(q), after=customers.Place(), limit=50)
        return len(items)

    return look


async def _measure(report: Report, conn: Connection, part: str, name: str, look: Look, looks: int) -> list[float]:
    """Pages as the list shows them, each look the whole of it: rights, page, notes that say why."""
    times, found = [], 0
    for _ in range(looks):
        began = time.perf_counter()
        found = await look(conn)
        times.append((time.perf_counter() - began) * 1000)
    report.add(part, of=name, found=found, p95=round(quantile(times, 0.95), 1), **latencies([times]))
    return times


class _Asked:
    """Lets everything through and remembers the statements of one look."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    async def fetch(self, statement: str, *args: Any) -> Any:
        self.statements.append((statement, args))
        return await self._conn.fetch(statement, *args)


async def _plans(report: Report, conn: Connection) -> None:
    """What Postgres does for each kind of look; one that reads the tickets as a whole is a fault."""
    for _, name, look in _looks():
        asked = _Asked(conn)
        await look(cast("Connection", asked))
        plan: list[str] = []
        async with conn.transaction():
            await conn.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            for statement, args in asked.statements:
                rows = await conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {statement}", *args)
                plan += [row[0] for row in rows]
        report.rows.append({"what": "plan", "of": name, "plan": plan})
        if not report.options.quick and (
            faults := [line for line in plan if "Seq Scan on ticket" in line or "Seq Scan on customers" in line]
        ):
            report.note(f"{name}: {faults}")


if __name__ == "__main__":
    run(main())
