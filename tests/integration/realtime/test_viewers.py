"""Who else looks at a ticket or a customer: told within a second, gone with the page, the socket or the process."""

import asyncio
from time import monotonic
from typing import Any

from core.principal import Role
from realtime import viewers
from tests.crowd import crowd
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import Desk
from tests.stack import Stack

SOON_S = 1.0
"""The promise, on a machine that does nothing else."""


async def _told(desk: Desk, *names: str, is_editing: bool = False) -> float:
    """Seconds until this desk was told that exactly these people look."""
    began = monotonic()

    def is_told(desk: Desk) -> bool:
        told = desk.of("viewers")
        if not told:
            return False
        shown = told[-1]["data"]["viewers"]
        return {v["name"] for v in shown} == set(names) and any(v["is_editing"] for v in shown) == is_editing

    await desk.until(is_told)
    return monotonic() - began


async def _nobody_views(live: Stack) -> bool:
    """Within a second: a socket's end is noticed after it."""
    end = monotonic() + SOON_S * crowd()
    while monotonic() < end:
        if await live.rows("SELECT FROM desk_viewings") == []:
            return True
        await asyncio.sleep(0.01)
    return False


async def _ticket(person: Any) -> int:
    return int((await person.ask("POST", "/tickets", {"subject": "Broken lamp", "queue": "support"}))["id"])


async def test_who_views_a_ticket_is_told_to_the_others_and_leaves_with_the_page(live: Stack, person: People) -> None:
    lead, ava = await person(role=Role.SUPERVISOR), await person("ava")
    ticket = await _ticket(lead)
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with ava.desk() as one, lead.desk() as two:
        await one.wire.emit("viewing", {"ticket_id": ticket})
        await _told(one, names[ava.id])
        await two.wire.emit("viewing", {"ticket_id": ticket, "is_editing": True})
        assert await _told(one, names[ava.id], names[lead.id], is_editing=True) < SOON_S * crowd()
        await two.wire.emit("viewing", {"ticket_id": ticket})
        assert await _told(one, names[ava.id], names[lead.id]) < SOON_S * crowd()
        await two.wire.emit("viewing", {"ticket_id": None})
        assert await _told(one, names[ava.id]) < SOON_S * crowd()
    assert await _nobody_views(live)


async def test_a_tab_that_dies_is_gone_at_once(live: Stack, person: People) -> None:
    lead, ava = await person(role=Role.SUPERVISOR), await person("ava")
    ticket = await _ticket(lead)
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with ava.desk() as one:
        await one.wire.emit("viewing", {"ticket_id": ticket})
        async with lead.desk() as two:
            await two.wire.emit("viewing", {"ticket_id": ticket})
            await _told(one, names[ava.id], names[lead.id])
            await two.wire.vanish()
            assert await _told(one, names[ava.id]) < SOON_S * crowd()


async def test_two_windows_of_one_person_are_one_viewer(live: Stack, person: People) -> None:
    ava, lead = await person("ava"), await person(role=Role.SUPERVISOR)
    ticket = await _ticket(ava)
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with ava.desk() as one, ava.desk() as two, lead.desk() as third:
        for desk in (one, two):
            await desk.wire.emit("viewing", {"ticket_id": ticket})
            await _told(desk, names[ava.id])
        assert len(await live.rows("SELECT FROM desk_viewings")) == 2
        await third.wire.emit("viewing", {"ticket_id": ticket})
        await _told(one, names[ava.id], names[lead.id])  # whatever was told before has come before
        told = [[viewer["id"] for viewer in each["data"]["viewers"]] for each in one.of("viewers")]
        assert told[:-1] == [[ava.id]] * (len(told) - 1)
        assert sorted(told[-1]) == sorted([ava.id, lead.id])


async def test_what_a_dead_process_left_behind_ends_with_its_lease(live: Stack, person: People) -> None:
    ava, lead = await person("ava"), await person(role=Role.SUPERVISOR)
    ticket = await _ticket(ava)
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with ava.desk() as one:
        await one.wire.emit("viewing", {"ticket_id": ticket})
        await _told(one, names[ava.id])
        # What another replica has written, whose hint was lost.
        await live.rows(viewers.VIEW, "another", "sid", lead.id, "ticket", ticket, False, viewers.LEASE_S)
        assert await _told(one, names[ava.id], names[lead.id]) < viewers.LOOK_S + SOON_S * crowd()
        await live.rows("UPDATE desk_viewings SET lease_until = now() WHERE replica = 'another'")
        assert await _told(one, names[ava.id]) < viewers.LOOK_S + SOON_S * crowd()


async def test_a_customer_on_the_screen_is_followed(live: Stack, person: People) -> None:
    ava, lead = await person("ava"), await person(role=Role.SUPERVISOR)
    customer = await lead.ask("POST", "/customers", {"name": "Wang Xiaoming", "phone": "+14155550177"})
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with ava.desk() as one:
        await one.wire.emit("viewing", {"customer_id": customer["id"]})
        await _told(one, names[ava.id])
        await lead.ask("PATCH", f"/customers/{customer['id']}", {"version": customer["version"], "company": "Acme"})
        assert (await one.get("customer_changed")) == {"id": customer["id"]}
        heard = len(one.of("customer_changed"))
        await lead.ask("POST", "/tickets", {"subject": "x", "queue": "support", "customer_id": customer["id"]})
        await live.quiet()
        await one.until(lambda desk: len(desk.of("customer_changed")) > heard or None)


async def test_who_may_not_see_a_ticket_is_told_nothing_and_seen_by_nobody(live: Stack, person: People) -> None:
    lead, ava = await person(role=Role.SUPERVISOR), await person("ava")
    ticket = await _ticket(lead)
    customer = await lead.ask("POST", "/customers", {"name": "Wang Xiaoming", "phone": "+14155550178"})
    await live.rows("DELETE FROM agent_queues WHERE agent_id = $1", ava.id)
    names = {row["id"]: row["name"] for row in await live.rows("SELECT id, name FROM users")}
    async with lead.desk() as two, ava.desk() as one:
        await one.wire.emit("viewing", {"ticket_id": ticket})
        await two.wire.emit("viewing", {"ticket_id": ticket})
        await _told(two, names[lead.id])
        # What ava was told of the ticket would have come before what she is told of the customer.
        await one.wire.emit("viewing", {"customer_id": customer["id"]})
        await _told(one, names[ava.id])
        assert {each["data"]["kind"] for each in one.of("viewers")} == {"customer"}
