"""The call log and the list of missed contacts, through the API: what is found, by whom, and what becomes of it."""

import asyncio
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession

from core.principal import Role
from cti.missed import record
from cti.model import Outcome
from tests.integration.app.people import People, ask
from tests.stack import CALLER, GERMAN, SUPPORT, Agent, Stack

OTHER = "+14155550188"


async def log(client: ClientSession, query: str = "") -> list[dict[str, Any]]:
    status, answer, _ = await ask(client, "GET", f"/api/v1/calls{query}")
    assert status == 200, answer
    items: list[dict[str, Any]] = answer["items"]
    return items


async def missed(client: ClientSession, query: str = "") -> list[dict[str, Any]]:
    status, answer, _ = await ask(client, "GET", f"/api/v1/missed-contacts{query}")
    assert status == 200, answer
    items: list[dict[str, Any]] = answer["items"]
    return items


async def gives_up(stack: Stack, number: str = CALLER, *, to: str = SUPPORT) -> str:
    leg = await stack.dial(number, to)
    leg.leave()
    await stack.quiet()
    return leg.sid


async def seen(client: ClientSession, *numbers: str) -> list[dict[str, int]]:
    found = {item["number"]: item for item in await missed(client)}
    return [{"id": found[number]["id"], "version": found[number]["version"]} for number in numbers]


async def is_done(agent: Agent, items: list[dict[str, int]], result: str = "no_need") -> dict[str, Any]:
    status, answer = await agent.ask("POST", "/missed-contacts/done", {"items": items, "result": result})
    assert status == 200, answer
    return dict(answer)


# --- the log --------------------------------------------------------------------------------------------------------------


async def test_a_call_is_one_row_with_what_happened_inside(stack: Stack, people: People) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    leg = await stack.dial()
    first = await ava.offer()
    await ava.ask("POST", f"/offers/{first}/reject", {})
    call_id, phone = await ben.take()
    await ben.ask("POST", f"/calls/{call_id}/hold")
    await stack.quiet()
    leg.leave()
    await stack.quiet()
    (row,) = await log(ben.browser)
    assert (row["direction"], row["outcome"], row["from"], row["agent"]["name"]) == (
        "inbound",
        "answered",
        CALLER,
        "Ben",
    )
    assert [(each["kind"], each["agent"]) for each in row["legs"]] == [("customer", None), ("agent", "Ben")]
    assert [each["sid"] for each in row["legs"]] == [leg.sid, phone.sid]
    assert [(each["agent"], each["state"]) for each in row["offers"]] == [("Ava", "rejected"), ("Ben", "wrapping")]
    assert [each["kind"] for each in row["segments"]] == ["talk", "hold", "wrap"]
    assert all(each["ended_at"] for each in row["segments"][:2])
    assert row["missed"] is None


async def test_filters_say_which_calls(stack: Stack, people: People) -> None:
    lead = await people.browser(Role.SUPERVISOR)
    ava = await stack.agent("ava")
    lost = await gives_up(stack, OTHER, to=GERMAN)
    leg = await stack.dial()
    await ava.take()
    leg.leave()
    await stack.quiet()
    (by_ava,) = await log(lead, f"?agent={ava.id}")
    assert by_ava["sid"] == leg.sid
    for query, sids in {
        "?outcome=abandoned_queue": [lost],
        "?outcome=abandoned_queue&outcome=answered": [leg.sid, lost],
        "?queue=de": [lost],
        "?queue=sales": [],
        "?direction=outbound": [],
        "?direction=inbound&limit=1": [leg.sid],
        f"?number={quote('+1 415 555-0188')}": [lost],
        "?number=4155550123": [leg.sid],
        "?since=2100-01-01T00:00:00Z": [],
        "?until=2100-01-01T00:00:00Z&queue=support": [leg.sid],
    }.items():
        assert [row["sid"] for row in await log(lead, query)] == sids, query


async def test_a_customers_calls_are_those_of_their_tickets(stack: Stack, people: People) -> None:
    ava = await stack.agent("ava")
    await gives_up(stack, OTHER)
    body = {"name": "Maria Lopez", "phone": CALLER}
    status, customer = await ava.ask("POST", "/customers", body)
    assert status == 201, customer
    mine = await gives_up(stack)
    (row,) = await log(ava.browser, f"?customer={customer['id']}")
    assert (row["sid"], row["customer"]) == (mine, {"id": customer["id"], "name": "Maria Lopez"})


async def test_pages_meet_without_gap_or_repeat(stack: Stack, people: People) -> None:
    lead = await people.browser(Role.ADMIN)
    sids = [await gives_up(stack, f"+141555502{number:02}") for number in range(5)]
    await stack.rows("UPDATE calls SET created_at = date_trunc('minute', created_at) RETURNING 1")
    found, cursor = [], ""
    while True:
        _, page, _ = await ask(lead, "GET", f"/api/v1/calls?limit=2{cursor}")
        found += [row["sid"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == sids[::-1]
    status, problem, _ = await ask(lead, "GET", "/api/v1/calls?cursor=17")
    assert (status, problem["errors"][0]["field"]) == (422, "cursor")


# --- missed contacts ------------------------------------------------------------------------------------------------------


async def test_calls_of_one_number_are_one_entry_until_somebody_talks_with_them(stack: Stack) -> None:
    ava = await stack.agent("ava")
    for _ in range(3):
        await gives_up(stack)
    await gives_up(stack, OTHER)
    found = {item["number"]: item for item in await missed(ava.browser)}
    assert {number: item["calls"] for number, item in found.items()} == {CALLER: 3, OTHER: 1}
    assert found[CALLER]["first_at"] < found[CALLER]["last_at"]
    assert [row["missed"]["state"] for row in await log(ava.browser)] == ["open"] * 4
    await stack.dial()
    call_id, _ = await ava.take()
    assert [item["number"] for item in await missed(ava.browser)] == [OTHER]
    (done,) = await missed(ava.browser, "?state=done")
    assert (done["result"], done["done_call_id"], done["done_by"]) == ("called_again", call_id, None)
    assert await stack.broken() == {}


async def test_hidden_callers_are_an_entry_each(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await gives_up(stack, "+266696687")
    await gives_up(stack, "anonymous")
    assert [(item["number"], item["calls"]) for item in await missed(ava.browser)] == [(None, 1), (None, 1)]


async def test_who_is_answered_is_not_missed_even_after_a_failed_connection(stack: Stack) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await ava.take()
    leg.leave()
    await stack.quiet()
    assert await missed(ava.browser) == []


async def test_an_end_that_is_found_out_late_is_no_missed_contact_of_who_was_answered_since(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await gives_up(stack)
    await stack.rows("DELETE FROM missed_contacts RETURNING 1")
    leg = await stack.dial()
    await ava.take()
    leg.leave()
    await stack.quiet()
    async with stack.parts.resources.outbox.transaction() as tx:
        old = await tx.conn.fetchrow("SELECT * FROM calls WHERE outcome = 'abandoned_queue'")
        assert old is not None
        await record(
            tx, call_id=old["id"], number=CALLER, kind="e164", to_number=old["to_number"], queue="support",
            outcome=Outcome.ABANDONED_QUEUE, at=old["ended_at"],
        )  # fmt: skip
    assert await missed(ava.browser) == []
    (done,) = await missed(ava.browser, "?state=done")
    assert done["result"] == "called_again"


async def test_one_takes_it_and_others_see_so(stack: Stack, people: People) -> None:
    ava, ben = await stack.agent("ava"), await stack.agent("ben")
    lead = await people.browser(Role.SUPERVISOR)
    await gives_up(stack)
    ((ident),) = [item["id"] for item in await missed(ava.browser)]
    path = f"/missed-contacts/{ident}/owner"
    status, taken = await ava.ask("PUT", path, {"agent_id": ava.id})
    assert (status, taken["owner"]["name"]) == (200, "Ava")
    status, problem = await ben.ask("PUT", path, {"agent_id": ben.id})
    assert (status, problem["code"]) == (409, "missed_contact_owned")
    status, problem = await ava.ask("PUT", path, {"agent_id": ben.id})
    assert (status, problem["code"]) == (403, "forbidden")
    assert [item["id"] for item in await missed(ava.browser, "?owner=me")] == [ident]
    assert await missed(ben.browser, "?owner=none") == []
    status, given, _ = await ask(lead, "PUT", f"/api/v1{path}", body={"agent_id": ben.id})
    assert (status, given["owner"]["name"]) == (200, "Ben")
    status, freed = await ben.ask("PUT", path, {"agent_id": None})
    assert (status, freed["owner"]) == (200, None)
    await is_done(ben, await seen(ben.browser, CALLER))
    status, problem = await ava.ask("PUT", path, {"agent_id": ava.id})
    assert (status, problem["code"]) == (409, "missed_contact_done")
    actions = await stack.rows("SELECT action FROM audit_log WHERE object_kind = 'missed_contact' ORDER BY id")
    assert [row["action"] for row in actions] == ["missed_contact.assign"] * 3 + ["missed_contact.done"]


async def test_many_are_done_at_once_and_taken_back(stack: Stack) -> None:
    ava = await stack.agent("ava")
    await gives_up(stack)
    await gives_up(stack, OTHER)
    both = await seen(ava.browser, CALLER, OTHER)
    await gives_up(stack, OTHER)
    answer = await is_done(ava, [*both, {"id": 999_999, "version": 1}], "unreachable")
    assert [each["id"] for each in answer["changed"]] == [both[0]["id"]]
    assert {(each["id"], each["code"]) for each in answer["skipped"]} == {
        (both[1]["id"], "version_conflict"),
        (999_999, "not_found"),
    }
    (done,) = await missed(ava.browser, "?state=done")
    assert (done["result"], done["done_by"]) == ("unreachable", "Ava")
    status, back = await ava.ask("POST", "/missed-contacts/reopen", {"items": answer["changed"]})
    assert (status, [each["id"] for each in back["changed"]]) == (200, [both[0]["id"]])
    assert len(await missed(ava.browser)) == 2
    await is_done(ava, back["changed"])
    await gives_up(stack)
    (late,) = await missed(ava.browser, "?state=done")
    status, back = await ava.ask(
        "POST", "/missed-contacts/reopen", {"items": [{"id": late["id"], "version": late["version"]}]}
    )
    assert (status, back["changed"], back["skipped"][0]["code"]) == (200, [], "open_again")
    assert await stack.broken() == {}


async def test_agents_see_those_of_their_queues_and_their_own(stack: Stack, people: People) -> None:
    outsider, auditor = await people.browser(), await people.browser(Role.AUDITOR)
    lead = await people.browser(Role.SUPERVISOR)
    await gives_up(stack)
    (entry,) = await missed(auditor)
    assert await missed(outsider) == []
    path = f"/api/v1/missed-contacts/{entry['id']}/owner"
    user = await stack.value("SELECT max(id) FROM users WHERE role = 'agent'")
    status, problem, _ = await ask(outsider, "PUT", path, body={"agent_id": user})
    assert (status, problem["code"]) == (404, "missed_contact_not_found")
    status, _, _ = await ask(lead, "PUT", path, body={"agent_id": user})
    assert status == 200
    assert [item["id"] for item in await missed(outsider)] == [entry["id"]]
    for client, count in ((outsider, 1), (auditor, 1)):
        _, answer, _ = await ask(client, "GET", "/api/v1/missed-contacts/count")
        assert answer == {"open": count}


async def test_calls_at_once_and_bulk_acts_meet_in_one_entry(stack: Stack) -> None:
    """Five callers with one number leave together while somebody closes what they see."""
    ava = await stack.agent("ava")
    legs = [await stack.dial() for _ in range(5)]
    legs[0].leave()
    await stack.quiet()
    items = await seen(ava.browser, CALLER)
    for leg in legs[1:]:
        leg.leave()
    await asyncio.gather(stack.quiet(), is_done(ava, items))
    await stack.quiet()
    entries = await missed(ava.browser) + await missed(ava.browser, "?state=done")
    assert sum(item["calls"] for item in entries) == 5
    assert await stack.broken() == {}


async def test_pages_of_missed_contacts_meet(stack: Stack, people: People) -> None:
    lead = await people.browser(Role.SUPERVISOR)
    for number in range(3):
        await gives_up(stack, f"+141555503{number:02}")
    _, first, _ = await ask(lead, "GET", "/api/v1/missed-contacts?limit=2")
    _, second, _ = await ask(lead, "GET", f"/api/v1/missed-contacts?limit=2&cursor={first['next_cursor']}")
    numbers = [item["number"] for item in first["items"] + second["items"]]
    assert numbers == ["+14155550302", "+14155550301", "+14155550300"]
    assert second["next_cursor"] is None
