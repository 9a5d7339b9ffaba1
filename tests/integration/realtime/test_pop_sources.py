"""A source of the pop that is slow or broken leaves a hole with its name; the pop comes all the same, and can be asked for again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.phone import Number, NumberKind
from core.principal import Role
from customers import service as customers
from infra.outbox import Tx
from realtime.sources import PUSH_WITHIN_S, Sources
from tests.builders import a_customer
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import Desk, Person
from tests.stack import CALLER, Agent, Stack


@pytest.fixture
async def maria(live: Stack) -> int:
    async with live.parts.resources.outbox.transaction() as tx:
        return int((await a_customer(tx, name="Maria Lopez", phone=CALLER)).id)


@asynccontextmanager
async def slow(stack: Stack, table: str) -> AsyncIterator[None]:
    """Whoever reads this table waits."""
    async with stack.parts.resources.database.acquire() as conn:
        locked = conn.transaction()
        await locked.start()
        await conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            await locked.rollback()


@asynccontextmanager
async def broken(stack: Stack, table: str) -> AsyncIterator[None]:
    """Whoever reads this table fails."""
    await stack.rows(f"ALTER TABLE {table} RENAME TO away_{table}")
    try:
        yield
    finally:
        await stack.rows(f"ALTER TABLE away_{table} RENAME TO {table}")


async def rings(stack: Stack, ava: Person, desk: Desk) -> dict[str, Any]:
    """The pop at the desk of the caller who is in line."""
    await Agent(ava.id, "ava", ava.browser, stack).offer()
    return await desk.get("screen_pop")


@asynccontextmanager
async def waiting(stack: Stack, person: People) -> AsyncIterator[tuple[Person, Desk]]:
    """Ava is free and somebody is in line; nothing has been offered yet."""
    ava = await person("ava")
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await ava.ask("PUT", "/presence", {"state": "available"})
        await stack.dial()
        yield ava, desk


async def test_a_whole_pop_has_no_holes(live: Stack, person: People, maria: int) -> None:
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
    assert pop["holes"] == []
    assert (pop["customer"]["match"], pop["customer"]["profile"]["name"]) == ("one", "Maria Lopez")


async def test_a_slow_customer_source_leaves_the_name_and_two_holes(live: Stack, person: People, maria: int) -> None:
    """The name was read when the call entered the queue."""
    async with waiting(live, person) as (ava, desk):
        async with slow(live, "customer_identities"):
            began = asyncio.get_running_loop().time()
            pop = await rings(live, ava, desk)
            assert asyncio.get_running_loop().time() - began < PUSH_WITHIN_S + 0.5
            assert pop["holes"] == [{"source": "identity", "why": "slow"}, {"source": "profile", "why": "slow"}]
            assert (pop["customer"]["match"], pop["customer"]["candidates"][0]["name"]) == ("one", "Maria Lopez")
            assert pop["customer"]["candidates"][0]["evidence"]["value"] == CALLER
            assert pop["customer"]["profile"] is None
            assert pop["ticket"]["number"]
        again = await ava.ask("GET", f"/offers/{pop['offer_id']}/pop")
    assert again["holes"] == []
    assert again["customer"]["profile"]["id"] == maria
    assert again["version"] == pop["version"]


async def test_a_broken_ticket_source_leaves_the_ticket_without_its_words(
    live: Stack, person: People, maria: int
) -> None:
    async with waiting(live, person) as (ava, desk):
        async with broken(live, "ticket_notes"):
            pop = await rings(live, ava, desk)
            assert pop["holes"] == [{"source": "ticket", "why": "failed"}]
            assert (pop["ticket"]["is_new"], pop["ticket"]["last_note"]) == (True, None)
            assert pop["customer"]["profile"]["name"] == "Maria Lopez"
            still = await ava.ask("GET", f"/offers/{pop['offer_id']}/pop")
            assert still["holes"] == pop["holes"]
        again = await ava.ask("GET", f"/offers/{pop['offer_id']}/pop")
    assert again["holes"] == []


async def test_a_hole_inside_a_transaction_does_not_end_it(tx: Tx) -> None:
    """An answer to a command has a pop as well: what the command did is kept although a part of its answer is missing."""
    await a_customer(tx, name="Ann", phone=CALLER)
    sources = Sources(tx.conn, within_s=0.1)
    assert await sources.read("ticket", lambda: tx.conn.fetchval("SELECT 1 / 0"), -1) == -1
    assert await sources.read("repeat", lambda: tx.conn.fetchval("SELECT 2 FROM pg_sleep(5)"), -1) == -1
    assert await sources.read("profile", lambda: tx.conn.fetchval("SELECT 3"), -1) == 3, (
        "after a slow one there is still a little time"
    )
    assert [(hole.source, hole.why) for hole in sources.holes] == [("ticket", "failed"), ("repeat", "slow")]
    assert await tx.conn.fetchval("SELECT count(*) FROM customers") == 1


async def test_only_ones_own_pop_can_be_asked_for(live: Stack, person: People, maria: int) -> None:
    ben = await person("ben")
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
        async with ben.browser.get(f"/api/v1/offers/{pop['offer_id']}/pop") as answer:
            assert answer.status == 404
        await ava.ask("POST", f"/offers/{pop['offer_id']}/reject")
        async with ava.browser.get(f"/api/v1/offers/{pop['offer_id']}/pop") as answer:
            assert answer.status == 404, "over"


async def test_a_doubtful_number_is_doubtful_in_the_pop_too(live: Stack, person: People) -> None:
    """The call's row does not hold that its number may be misread, nor its extension."""
    async with live.parts.resources.outbox.transaction() as tx:
        await a_customer(tx, name="Ann", phone="+14155550100", is_shared=True, extension="41")
        await a_customer(tx, name="Bob", phone="+14155550100", is_shared=True, extension="42")
    ava = await person("ava")
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await ava.ask("PUT", "/presence", {"state": "available"})
        await live.dial("tel:+14155550100;ext=42")
        pop = await rings(live, ava, desk)
    assert (pop["customer"]["match"], pop["customer"]["candidates"][0]["name"]) == ("one", "Bob")
    assert await live.value("SELECT is_suspect FROM call_callers") is False


async def test_who_was_chosen_is_suggested_the_next_time_and_never_taken(live: Stack, person: People) -> None:
    async with live.parts.resources.outbox.transaction() as tx:
        ann = await a_customer(tx, name="Ann", phone=CALLER, is_shared=True)
        bob = await a_customer(tx, name="Bob", phone=CALLER, is_shared=True)
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
        assert [(c["name"], c["chosen"]) for c in pop["customer"]["candidates"]] == [("Ann", None), ("Bob", None)]
        await ava.ask("POST", f"/calls/{pop['call']['id']}/customer", {"customer_id": ann.id})
        corrected = {"customer_id": bob.id, "instead_of": ann.id}
        await ava.ask("POST", f"/calls/{pop['call']['id']}/customer", corrected)
    async with live.parts.resources.database.acquire() as conn:
        again = await customers.identify(conn, Number(NumberKind.E164, CALLER, CALLER))
    assert again.customer is None
    assert [(c.name, c.chosen is not None) for c in again.candidates] == [("Bob", True), ("Ann", False)]
    assert again.candidates[0].chosen is not None
    assert (again.candidates[0].chosen.by, again.candidates[0].chosen.times) == ("Ava", 1)


async def test_a_customer_attached_to_an_unknown_number_is_a_suggestion(live: Stack, person: People) -> None:
    async with live.parts.resources.outbox.transaction() as tx:
        carl = await a_customer(tx, name="Carl", phone="+14155550166")
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
        assert pop["customer"]["match"] == "none"
        now = await ava.ask("POST", f"/calls/{pop['call']['id']}/customer", {"customer_id": carl.id})
        assert (now["customer"]["match"], now["customer"]["chosen_id"]) == ("many", carl.id)
        assert now["customer"]["candidates"][0]["evidence"]["source"] == "choice"


async def test_how_soon_pops_are_painted_is_a_service_level(live: Stack, person: People, maria: int) -> None:
    lead = await person(role=Role.SUPERVISOR)
    empty = await lead.ask("GET", "/pop-level?minutes=5")
    assert [(each["layer"], each["deadline_ms"], each["level"]) for each in empty["layers"]] == [
        ("identity", 300, None), ("reason", 600, None), ("context", 1000, None), ("depth", 2000, None)
    ]  # fmt: skip
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
        for layer, ms in (("identity", 120), ("reason", 700), ("context", 1000), ("reason", 1)):
            await desk.wire.emit("painted", {"offer_id": pop["offer_id"], "layer": layer, "ms": ms})
        async with asyncio.timeout(3):
            while await live.count("pop_layers") < 3:  # noqa: ASYNC110 - asked of the database
                await asyncio.sleep(0.02)
    level = await lead.ask("GET", "/pop-level?minutes=5")
    assert (level["offers"], level["reported"], level["target"]) == (1, 1, 0.95)
    by = {each["layer"]: each for each in level["layers"]}
    assert (by["identity"]["level"], by["identity"]["p95_ms"], by["identity"]["budget_used"]) == (1, 120, 0)
    assert (by["reason"]["level"], by["reason"]["count"], round(by["reason"]["budget_used"])) == (0, 1, 20)
    assert by["context"]["within"] == 1, "on the deadline is in time"
    assert by["depth"]["count"] == 0
    async with (await person("ben")).browser.get("/api/v1/pop-level") as answer:
        assert answer.status == 403


async def test_what_rang_and_went_elsewhere_stays_in_the_list(live: Stack, person: People, maria: int) -> None:
    async with waiting(live, person) as (ava, desk):
        pop = await rings(live, ava, desk)
        await live.fire("routing.offer")
        await live.quiet()
        [lost] = (await ava.ask("GET", "/desk/lost-offers"))["items"]
        assert (lost["offer_id"], lost["outcome"], lost["number"]) == (pop["offer_id"], "timeout", CALLER)
        assert (lost["customer"]["name"], lost["ticket"]["number"]) == ("Maria Lopez", pop["ticket"]["number"])
        assert (await (await person("ben")).ask("GET", "/desk/lost-offers"))["items"] == []
