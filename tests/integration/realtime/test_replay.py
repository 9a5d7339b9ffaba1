"""Nothing is lost between log and desk: tickets, replay, acknowledgements, repeats, and sockets that end with their sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from accounts import service as accounts
from core.events import AgentPresenceChanged
from core.ids import AgentId
from core.principal import Role
from infra.outbox import Tx
from realtime import desk_log, pop
from realtime import server as server_module
from realtime.push import MAX_REPLAY
from tests.builders import TESTER
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import Desk, Person
from tests.link import Mode, link_to_postgres
from tests.stack import Agent, Stack, running_stack


@pytest.fixture
async def ava(person: People) -> Person:
    return await person("ava")


async def on_breaks(person: Person, *reasons: str) -> None:
    """Each leaves one row in the person's log."""
    for reason in reasons:
        await person.ask("PUT", "/presence", {"state": "break", "reason": reason})
    await person.stack.quiet()


async def head(stack: Stack, person: Person) -> tuple[int, int]:
    rows = await stack.rows("SELECT last_seq, acked_seq FROM desk_heads WHERE agent_id = $1", person.id)
    return (0, 0) if not rows else (rows[0]["last_seq"], rows[0]["acked_seq"])


async def acked(stack: Stack, person: Person, seq: int) -> None:
    async with asyncio.timeout(3):
        while (await head(stack, person))[1] != seq:  # noqa: ASYNC110 - asked of the database
            await asyncio.sleep(0.02)


# --- the link ------------------------------------------------------------------------------------------------------


async def test_ticket_is_good_once(ava: Person) -> None:
    ticket = await ava.ticket()
    first, second = await ava.wire(), await ava.wire()
    assert (await first.connect({"ticket": ticket}))[0] == "connected"
    outcome, answer = await second.connect({"ticket": ticket})
    assert (outcome, answer["data"]) == ("refused", {"code": "ticket_used"})
    await first.close()
    await second.close()


async def test_ticket_is_good_once_also_at_the_same_moment(ava: Person) -> None:
    ticket = await ava.ticket()
    wires = [await ava.wire() for _ in range(5)]
    answers = await asyncio.gather(*(wire.connect({"ticket": ticket}) for wire in wires))
    assert sorted(outcome for outcome, _ in answers) == ["connected", *["refused"] * 4]
    for wire in wires:
        await wire.close()


@pytest.mark.parametrize(
    "auth",
    [None, {}, [], "x", 1, {"ticket": None}, {"ticket": 1}, {"ticket": ["x"]}, {"ticket": ""}, {"ticket": "é"}, {"ticket": "x" * 5000}],
)  # fmt: skip
async def test_no_ticket_no_desk(ava: Person, auth: Any) -> None:
    wire = await ava.wire()
    outcome, answer = await wire.connect(auth)
    assert (outcome, answer["data"]) == ("refused", {"code": "ticket_invalid"})
    await wire.close()


async def test_ticket_expires_and_dies_with_its_session(live: Stack, ava: Person) -> None:
    expired = await ava.ticket()
    await live.rows("UPDATE realtime_tickets SET expires_at = now() - interval '1 second' RETURNING 1")
    orphaned = await ava.ticket()
    await live.rows("DELETE FROM sessions WHERE user_id = $1 RETURNING 1", ava.id)
    for ticket, code in ((expired, "ticket_invalid"), (orphaned, "forbidden")):
        wire = await ava.wire()
        outcome, answer = await wire.connect({"ticket": ticket})
        assert (outcome, answer["data"]) == ("refused", {"code": code})
        await wire.close()


async def test_cookie_opens_no_socket(live: Stack, ava: Person) -> None:
    cookie = ava.browser.headers["Cookie"]
    wire = await ava.wire(Cookie=cookie)
    assert (await wire.connect({}))[0] == "refused"
    await wire.close()


async def test_database_away_asks_the_page_to_come_again(database_url: str, redis_url: str, clean: None) -> None:
    """`forbidden` would be the last word: the page would never try again."""
    async with link_to_postgres(database_url) as (link, url), running_stack(url, redis_url) as stack:
        import aiohttp

        from tests.integration.realtime.desks import PATH, Wire

        async with aiohttp.ClientSession() as session:
            wire = Wire(await session.ws_connect(stack.url + PATH))
            await wire.next()
            await link.set(Mode.RESET)
            outcome, answer = await wire.connect({"ticket": "whatever"})
            assert (outcome, answer["data"]) == ("refused", {"code": "ticket_invalid"})
            await link.set(Mode.PASS)
            await wire.close()


async def test_desk_keeps_its_place_while_the_database_is_busy(live: Stack, ava: Person) -> None:
    """Cut, it would come back with another ticket and make a busy database busier."""
    async with live.parts.resources.database.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE dispositions IN ACCESS EXCLUSIVE MODE")
        with capture_logs() as logs:
            async with ava.desk() as desk:
                async with asyncio.timeout(10):
                    while not any(entry["event"] == "desk not greeted yet" for entry in logs):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                assert not desk.of("snapshot")
                await conn.execute("ROLLBACK")
                await desk.get("snapshot")
                assert not desk.is_lost
                assert desk.sid in live.parts.server.desks
                await conn.execute("BEGIN")


# --- replay --------------------------------------------------------------------------------------------------------


async def test_what_was_missed_comes_again_in_order_and_once(live: Stack, ava: Person) -> None:
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await on_breaks(ava, "one", "two")
        await desk.until(lambda desk: desk.seq == 2)
        await acked(live, ava, 2)
    await on_breaks(ava, "three", "four", "five")
    async with ava.desk(last_seq=2) as again:
        await again.until(lambda desk: desk.seq == 5)
        await asyncio.sleep(1.3)  # a round of repeats
        assert [event["seq"] for event in again.events if event["seq"] is not None] == [3, 4, 5]
        assert not again.of("snapshot")
    async with ava.desk(last_seq=5) as current:
        await on_breaks(ava, "six")
        await current.until(lambda desk: desk.seq == 6)
        assert not current.of("snapshot")


@pytest.mark.parametrize("last_seq", [None, 10**6, -1, "3", True, 2.5, [1]])
async def test_page_without_a_good_place_starts_from_a_snapshot(live: Stack, ava: Person, last_seq: Any) -> None:
    await on_breaks(ava, "one", "two")
    async with ava.desk(last_seq=last_seq) as desk:
        assert (await desk.get("snapshot"))["seq"] == 2


async def test_place_too_long_ago_gets_a_snapshot(live: Stack, ava: Person) -> None:
    async with live.parts.resources.outbox.transaction() as tx:
        for _ in range(MAX_REPLAY + 5):
            await desk_log.on_presence_changed(tx, changed(ava))
    async with ava.desk(last_seq=4, acks=False) as desk:
        assert (await desk.get("snapshot"))["seq"] == MAX_REPLAY + 5
    async with ava.desk(last_seq=5) as desk:
        await desk.until(lambda desk: desk.seq == MAX_REPLAY + 5)
        assert not desk.of("snapshot")


@pytest.mark.parametrize("gone", ["seq <= 3", "seq = 4", "seq >= 5"])
async def test_place_whose_rows_are_purged_gets_a_snapshot(live: Stack, ava: Person, gone: str) -> None:
    await on_breaks(ava, "one", "two", "three", "four", "five")
    await live.rows(f"DELETE FROM desk_log WHERE {gone} RETURNING 1")
    async with ava.desk(last_seq=2) as desk:
        assert (await desk.get("snapshot"))["seq"] == 5
    await live.rows("DELETE FROM desk_log RETURNING 1")
    await live.rows("DELETE FROM desk_heads RETURNING 1")


def changed(person: Person) -> AgentPresenceChanged:
    return AgentPresenceChanged(agent_id=AgentId(person.id), version=1, state="break", reason=None, pool=None)


async def test_offer_that_is_over_comes_as_a_noop_with_its_number(live: Stack, ava: Person) -> None:
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await ava.ask("PUT", "/presence", {"state": "available"})
        await desk.until(lambda desk: desk.seq == 1)
    leg = await live.dial()
    await live.rows("UPDATE desk_connections SET lease_until = now() + interval '1 hour', closed_at = NULL RETURNING 1")
    await live.dispatch()
    leg.hang_up()
    await live.quiet()
    async with ava.desk(last_seq=1) as desk:
        await desk.until(lambda desk: desk.of("offer_ended"))
        assert [(event["type"], event["seq"]) for event in desk.numbered] == [("noop", 2), ("offer_ended", 3)]


async def test_events_of_the_moment_of_connecting_follow_the_snapshot(
    live: Stack, ava: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something happens after the snapshot was read and before the socket hears its agent's room."""
    push, build = live.parts.push, pop.desk

    async def slowly(*args: Any, **named: Any) -> Any:
        snapshot = await build(*args, **named)
        await on_breaks(ava, "in between")
        await push.send(ava.id)
        return snapshot

    monkeypatch.setattr(pop, "desk", slowly)
    async with ava.desk() as desk:
        await desk.until(lambda desk: desk.seq == 1)
        assert [event["type"] for event in desk.events if event["type"] != "queue_stats"] == [
            "snapshot",
            "presence_changed",
        ]


# --- acknowledgements ----------------------------------------------------------------------------------------------


async def test_acks_are_cumulative_and_never_beyond_what_was_given_out(live: Stack, ava: Person) -> None:
    async with ava.desk(acks=False) as desk:
        await desk.get("snapshot")
        await on_breaks(ava, "one", "two", "three")
        for sent, kept in ((2, 2), (1, 2), (0, 2), (10**9, 3), (3, 3)):
            await desk.wire.emit("ack", {"seq": sent})
            await asyncio.sleep(0.05)
            await acked(live, ava, kept)


async def test_one_agent_cannot_acknowledge_for_another(live: Stack, ava: Person, person: People) -> None:
    ben = await person("ben")
    async with ben.desk() as desk:
        await desk.get("snapshot")
        await on_breaks(ava, "one")
        await desk.wire.emit("ack", {"seq": 1})
        await asyncio.sleep(0.1)
    assert (await head(live, ava))[1] == 0


async def test_unacknowledged_rows_come_again_each_second(live: Stack, ava: Person) -> None:
    async with ava.desk(acks=False) as desk:
        await desk.get("snapshot")
        await on_breaks(ava, "one", "two")
        await desk.until(lambda desk: [e["seq"] for e in desk.events if e["seq"]].count(2) >= 3, within_s=6)
        seqs = [event["seq"] for event in desk.events if event["seq"] is not None]
        repeats = seqs[seqs.index(2) + 1 :]
        assert repeats[:2] == [1, 2], "each round in order"
        await desk.wire.emit("ack", {"seq": 2})
        await acked(live, ava, 2)
        before = len(desk.numbered), len(seqs)
        await asyncio.sleep(1.3)
        assert len([e for e in desk.events if e["seq"] is not None]) <= before[1] + 2


async def test_row_that_cannot_be_shown_holds_up_nobody(live: Stack, ava: Person, person: People) -> None:
    ben = await person("ben")
    await live.rows(
        "INSERT INTO desk_log (agent_id, seq, type, offer_id, data) VALUES ($1, 1, 'offer_ended', 1, '{\"odd\": true}') RETURNING 1",
        ava.id,
    )
    await live.rows("INSERT INTO desk_heads (agent_id, last_seq) VALUES ($1, 1) RETURNING 1", ava.id)
    async with ava.desk(last_seq=0) as desk, ben.desk() as other:
        await on_breaks(ava, "after")
        await desk.until(lambda desk: desk.seq == 2)
        assert [event["type"] for event in desk.numbered] == ["noop", "presence_changed"]
        await other.get("snapshot")


async def test_log_is_dense_under_twenty_writers(live: Stack, ava: Person) -> None:
    async def write(tx: Tx) -> None:
        for _ in range(3):
            await desk_log.on_presence_changed(tx, changed(ava))

    async def write_and_regret(tx: Tx) -> None:
        await write(tx)
        raise KeyError

    bodies: list[Callable[[Tx], Awaitable[None]]] = [write, write_and_regret] * 20
    await asyncio.gather(*(live.parts.resources.outbox.transact(body) for body in bodies), return_exceptions=True)
    rows = await live.rows("SELECT seq FROM desk_log WHERE agent_id = $1 ORDER BY seq", ava.id)
    assert [row["seq"] for row in rows] == list(range(1, 61))
    assert (await head(live, ava))[0] == 60


async def test_painted_is_kept_once_and_only_for_ones_own_offer(live: Stack, ava: Person, person: People) -> None:
    ben = await person("ben")
    async with ava.desk(acks=False) as desk, ben.desk() as other:
        await desk.get("snapshot")
        await ava.ask("PUT", "/presence", {"state": "available"})
        await live.dial()
        offer_id = await Agent(ava.id, "ava", ava.browser, live).offer()
        await other.wire.emit("painted", {"offer_id": offer_id, "ms": 1})
        for ms in (120, 5):
            await desk.wire.emit("painted", {"offer_id": offer_id, "ms": ms})
        await desk.wire.emit("ack", {"seq": 2})  # handled in order: when this is kept, those are
        await acked(live, ava, 2)
        assert [tuple(row) for row in await live.rows("SELECT agent_id, ms FROM pop_layers")] == [(ava.id, 120)]


# --- the end of a session ------------------------------------------------------------------------------------------


async def _log_out(ava: Person) -> None:
    await ava.ask("DELETE", "/session")


async def _disable(ava: Person) -> None:
    async with ava.stack.parts.resources.outbox.transaction() as tx:
        await accounts.disable_user(tx, ava.id, actor=TESTER)


async def _demote(ava: Person) -> None:
    async with ava.stack.parts.resources.outbox.transaction() as tx:
        await accounts.update_user(tx, ava.id, role=Role.AUDITOR, actor=TESTER)


async def _new_password(ava: Person) -> None:
    async with ava.stack.parts.resources.outbox.transaction() as tx:
        await accounts.set_password(tx, ava.id, "correct-horse-battery-43", actor=TESTER)


async def test_socket_of_a_disabled_user_is_cut_within_seconds(live: Stack, ava: Person, person: People) -> None:
    ben = await person("ben")
    async with ava.desk() as desk, ben.desk() as other:
        await desk.get("snapshot")
        await _disable(ava)
        await desk.until(lambda desk: desk.is_lost, within_s=server_module.RENEW_S + 1)
        assert not other.is_lost
        assert not await live.rows("SELECT 1 FROM desk_connections WHERE agent_id = $1 AND lease_until > now()", ava.id)


@pytest.mark.parametrize("end", [_log_out, _demote, _new_password], ids=lambda end: end.__name__)
async def test_socket_is_cut_with_its_rights(
    live: Stack, ava: Person, end: Callable[[Person], Awaitable[None]]
) -> None:
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await end(ava)
        await live.parts.server._renew()
        await desk.until(lambda desk: desk.is_lost)


async def test_open_socket_keeps_its_session_from_idling_out(live: Stack, ava: Person) -> None:
    await live.rows("UPDATE sessions SET last_seen_at = now() - interval '10 minutes' RETURNING 1")
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await live.parts.server._renew()
    assert await live.value(
        "SELECT last_seen_at > now() - interval '1 minute' FROM sessions WHERE user_id = $1", ava.id
    )


async def test_leases_outlive_a_short_absence_of_the_database(live: Stack, ava: Person) -> None:
    async with ava.desk() as desk:
        await desk.get("snapshot")
        before = await live.value("SELECT max(lease_until) FROM desk_connections")
        await asyncio.sleep(0.05)
        await live.parts.server._renew()
        assert await live.value("SELECT max(lease_until) FROM desk_connections") > before
        assert isinstance(desk, Desk)
