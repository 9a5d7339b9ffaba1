"""A desk is its snapshot and its events: after each act of agents, callers and time they give what a fresh snapshot says.

With RINGDESK_WRITE_GOLDEN=1 the stories are also written to web/src/live/fixtures/recorded-*.json, where the page's own
reducer is held to them.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import reduce as fold
from pathlib import Path
from typing import Any, Final

from core.ids import CallId, CustomerId
from core.principal import Role
from tests import builders
from tests.integration.realtime.conftest import People
from tests.integration.realtime.desks import Desk, Person
from tests.integration.realtime.reduce import Data, comparable, differences, reduce
from tests.stack import CALLER, Agent, Stack
from ticketing import service as ticketing
from ticketing.model import Priority

FIXTURES: Final = Path(__file__).resolve().parents[3] / "web" / "src" / "live" / "fixtures"


class Story:
    """An agent at a desk, and what the events have made of the first snapshot so far."""

    def __init__(self, person: Person, desk: Desk) -> None:
        self.person, self.desk, self.stack = person, desk, person.stack
        self.agent = Agent(person.id, "ava", person.browser, person.stack)

    @property
    def reduced(self) -> Data:
        return fold(reduce, self.desk.events[1:], self.desk.events[0]["data"])

    async def verify_desk(self) -> Data:
        """Wait until all is quiet and compare. Returns the desk."""
        await self.stack.quiet()
        fresh: Data = {}
        for _ in range(60):
            async with self.person.browser.get("/api/v1/desk") as response:
                fresh = await response.json()
            found = differences(comparable(self.reduced), comparable(fresh))
            if not found:
                return fresh
            await asyncio.sleep(0.05)
        raise AssertionError("; ".join(found))

    async def offered(self) -> Data:
        await self.stack.dispatch()
        await self.desk.until(lambda _: self.reduced["offers"])
        offer: Data = self.reduced["offers"][0]
        return offer

    def write(self, name: str) -> None:
        if os.environ.get("RINGDESK_WRITE_GOLDEN"):
            story = {"before": self.desk.events[0]["data"], "events": self.desk.events[1:], "after": self.reduced}
            text = json.dumps(story, indent=2, ensure_ascii=False) + "\n"
            (FIXTURES / f"recorded-{name}.json").write_text(text, encoding="utf-8")


@asynccontextmanager
async def a_story(person: Person) -> AsyncIterator[Story]:
    async with person.desk() as desk:
        await desk.get("snapshot")
        await person.ask("PUT", "/presence", {"state": "available"})
        story = Story(person, desk)
        await story.verify_desk()
        yield story


async def a_customer(stack: Stack, phone: str = CALLER) -> int:
    async with stack.parts.resources.outbox.transaction() as tx:
        return (await builders.a_customer(tx, name="Maria Lopez", phone=phone, company="Lopez & Co")).id


async def test_from_offer_to_the_end_of_wrap_up(live: Stack, person: People) -> None:
    await a_customer(live)
    async with a_story(await person("ava")) as story:
        leg = await live.dial()
        pop = await story.offered()
        assert pop["call"]["from"] == CALLER
        assert pop["customer"]["match"] == "one"
        assert pop["customer"]["candidates"][0]["evidence"]["value"] == CALLER
        assert pop["ticket"]["is_new"]
        await story.verify_desk()
        call_id = await story.agent.accept(pop["offer_id"])
        desk = await story.verify_desk()
        assert (desk["offers"], [call["state"] for call in desk["calls"]]) == ([], ["connecting"])
        await story.agent.pick_up(call_id)
        desk = await story.verify_desk()
        assert [call["state"] for call in desk["calls"]] == ["in_call"]
        leg.leave()
        desk = await story.verify_desk()
        assert desk["calls"][0]["state"] == "wrapping"
        assert desk["calls"][0]["wrap_up_ends_at"] is not None
        await story.person.ask("POST", f"/calls/{call_id}/wrap-up", {"note": "Refund sent."})
        desk = await story.verify_desk()
        assert (desk["offers"], desk["calls"]) == ([], [])
        assert desk["presence"]["work"] == "idle"
        types = [event["type"] for event in story.desk.numbered]
        assert (types[:2], set(types[2:-1]), types[-1]) == (
            ["presence_changed", "screen_pop"], {"call_changed"}, "presence_changed",
        )  # fmt: skip
        assert [event["seq"] for event in story.desk.numbered] == list(range(1, len(types) + 1))
        story.write("call-from-offer-to-end")
    assert await live.value("SELECT body FROM ticket_notes") == "Refund sent."
    assert await live.count("call_notes") == 0


async def test_rejected_timed_out_and_abandoned_offers(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        first = await live.dial()
        pop = await story.offered()
        await story.person.ask("POST", f"/offers/{pop['offer_id']}/reject", {"reason": "not mine"})
        desk = await story.verify_desk()
        assert desk["offers"] == []
        ended = story.desk.of("offer_ended")[-1]["data"]
        assert (ended["outcome"], ended["reason"], ended["by"]) == ("rejected", "other", None)
        first.hang_up()
        await story.verify_desk()
        second = await live.dial("+14155550124")
        await story.offered()
        await story.verify_desk()
        second.hang_up()
        await story.desk.until(lambda desk: len(desk.of("offer_ended")) == 2)
        ended = story.desk.of("offer_ended")[-1]["data"]
        assert (ended["outcome"], ended["reason"]) == ("canceled", "caller_left")
        await story.verify_desk()
        third = await live.dial("+14155550125")
        await story.offered()
        assert await live.fire("routing.offer") == 1
        desk = await story.verify_desk()
        assert desk["presence"]["state"] == "not_responding"
        assert story.desk.of("offer_ended")[-1]["data"]["outcome"] == "timeout"
        third.hang_up()
        await story.verify_desk()
        story.write("rejected-abandoned-timed-out")


async def test_call_that_never_came_together_keeps_its_words(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        leg = await live.dial()
        call_id = await story.agent.accept((await story.offered())["offer_id"])
        await story.person.ask("PUT", f"/calls/{call_id}/note", {"body": "Line is bad.", "version": 0})
        assert await live.fire("cti.connect") == 1
        desk = await story.verify_desk()
        assert (desk["offers"], desk["calls"]) == ([], [])
        assert story.desk.of("offer_ended")[-1]["data"]["reason"] == "connect_failed"
        leg.hang_up()
        await story.verify_desk()
    assert await live.value("SELECT body FROM ticket_notes") == "Line is bad."


async def test_presence_by_oneself_and_by_a_lead(live: Stack, person: People) -> None:
    lead = await person(role=Role.SUPERVISOR)
    async with a_story(await person("ava")) as story:
        await story.person.ask("PUT", "/presence", {"state": "break", "reason": "Lunch with Maria"})
        desk = await story.verify_desk()
        assert (desk["presence"]["state"], desk["presence"]["reason"]) == ("break", "Lunch with Maria")
        assert story.desk.of("presence_changed")[-1]["data"]["by"] is None
        await lead.force(story.person.id, "offline", "end of shift")
        await story.verify_desk()
        assert story.desk.of("presence_changed")[-1]["data"]["by"] == "Ava Chen"  # the lead's name
        story.write("presence-changes")


async def test_tickets_come_to_a_desk_and_leave_it(live: Stack, person: People) -> None:
    ben = await person("ben")
    async with a_story(await person("ava")) as story:
        ticket = await ben.ask("POST", "/tickets", {"subject": "Broken lamp", "queue": "support"})
        path = f"/tickets/{ticket['id']}"
        ticket = await ben.ask("POST", f"{path}/assign", {"agent_id": story.person.id, "version": ticket["version"]})
        desk = await story.verify_desk()
        assert [mine["id"] for mine in desk["tickets"]] == [ticket["id"]]
        ticket = await ben.ask("PATCH", path, {"version": ticket["version"], "priority": "urgent"})
        desk = await story.verify_desk()
        assert desk["tickets"][0]["priority"] == "urgent"
        ticket = await ben.ask("POST", f"{path}/assign", {"agent_id": ben.id, "version": ticket["version"]})
        assert (await story.verify_desk())["tickets"] == []
        ticket = await ben.ask("POST", f"{path}/assign", {"agent_id": story.person.id, "version": ticket["version"]})
        await story.verify_desk()
        await ben.ask("PATCH", path, {"version": ticket["version"], "state": "resolved"})
        assert (await story.verify_desk())["tickets"] == []
        story.write("tickets-come-and-go")


async def test_choosing_customer_and_ticket_during_the_call(live: Stack, person: People) -> None:
    customer = await a_customer(live, "+14155550150")
    async with a_story(await person("ava")) as story:
        await live.dial()
        pop = await story.offered()
        assert pop["customer"]["match"] == "none"
        call_id = await story.agent.accept(pop["offer_id"])
        await story.agent.pick_up(call_id)
        await story.verify_desk()
        chosen = await story.person.ask("POST", f"/calls/{call_id}/customer", {"customer_id": customer})
        assert chosen["customer"]["chosen_id"] == customer
        assert chosen["customer"]["profile"]["name"] == "Maria Lopez"
        assert chosen["ticket"]["customer"]["id"] == customer


async def test_other_tickets_are_those_the_agent_may_see_and_a_count(live: Stack, person: People) -> None:
    customer = CustomerId(await a_customer(live))
    async with live.parts.resources.outbox.transaction() as tx:
        mine, foreign = [
            await ticketing.create(
                tx,
                subject="Invoice",
                queue=queue,
                customer_id=customer,
                priority=Priority.NORMAL,
                actor=builders.TESTER,
            )
            for queue in ("support", "sales")
        ]
    ava = await person("ava")
    await live.rows("DELETE FROM agent_queues WHERE agent_id = $1 AND queue_key = 'sales'", ava.id)
    async with a_story(ava) as story:
        await live.dial()
        pop = await story.offered()
        shown = {other["id"] for other in pop["other_tickets"]}
        assert pop["ticket"]["id"] not in shown
        assert shown | {pop["ticket"]["id"]} >= {mine.id}
        assert foreign.id not in shown
        assert pop["restricted_tickets"] == 1
        async with live.parts.resources.outbox.transaction() as tx:
            await ticketing.attach_call(tx, CallId(pop["call"]["id"]), foreign.id, actor=builders.TESTER)
        async with ava.browser.get("/api/v1/desk") as response:
            [now] = (await response.json())["offers"]
        assert now["ticket"]["id"] == foreign.id, "who is offered the call sees its ticket"
        assert mine.id in {other["id"] for other in now["other_tickets"]}
        assert now["restricted_tickets"] == 0, "the one that is shown is not also counted"


async def test_lead_has_a_board_of_all_queues_and_no_offers(live: Stack, person: People) -> None:
    lead = await person(role=Role.SUPERVISOR)
    async with lead.desk() as board:
        snapshot = await board.get("snapshot")
        assert (snapshot["presence"], snapshot["offers"], snapshot["seq"]) == (None, [], 0)
        assert [queue["key"] for queue in snapshot["queues"]] == ["support", "de", "sales"]
        await live.dial()
        waiting = await board.until(
            lambda desk: [e for e in desk.of("queue_stats") if e["data"]["queues"][0]["waiting"]]
        )
        assert waiting[-1]["seq"] is None


async def test_board_shows_an_agent_the_served_queues_as_they_are_now(live: Stack, person: People) -> None:
    async with (await person("ava")).desk() as desk:
        await desk.until(lambda desk: desk.of("queue_stats"))
        await live.rows("DELETE FROM agent_queues WHERE agent_id = $1 AND queue_key <> 'de'", desk.person.id)
        await live.parts.server._renew()
        await desk.until(lambda desk: [q["key"] for q in desk.of("queue_stats")[-1]["data"]["queues"]] == ["de"])


async def test_unchanged_board_is_not_sent_each_second(live: Stack, person: People) -> None:
    async with (await person("ava")).desk() as desk:
        await desk.until(lambda desk: desk.of("queue_stats"))
        before = len(desk.of("queue_stats"))
        await live.parts.push._show_boards()
        await live.parts.push._show_boards()
        await asyncio.sleep(0.1)
        assert len(desk.of("queue_stats")) == before


async def test_whoever_views_a_ticket_hears_of_it_while_allowed_to(live: Stack, person: People) -> None:
    lead, ava = await person(role=Role.SUPERVISOR), await person("ava")
    ticket = await lead.ask("POST", "/tickets", {"subject": "Broken lamp", "queue": "support"})
    path = f"/tickets/{ticket['id']}"
    async with ava.desk() as desk:
        await desk.get("snapshot")
        await _views(desk, ticket["id"])
        ticket = await lead.ask("PATCH", path, {"version": ticket["version"], "priority": "high"})
        assert (await desk.get("ticket_changed"))["priority"] == "high"
        await live.rows("DELETE FROM agent_queues WHERE agent_id = $1 AND queue_key = 'support'", ava.id)
        await live.parts.server._renew()
        heard = len(desk.of("ticket_changed"))
        await lead.ask("PATCH", path, {"version": ticket["version"], "priority": "urgent"})
        await live.quiet()
        await desk.wire.emit("viewing", {"ticket_id": ticket["id"]})  # not for this agent any more
        await asyncio.sleep(0.1)
        await lead.ask("PATCH", path, {"version": ticket["version"] + 1, "priority": "low"})
        await live.quiet()
        await asyncio.sleep(0.1)
        assert len(desk.of("ticket_changed")) == heard


async def test_note_survives_a_wrap_up_that_runs_out(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        leg = await live.dial()
        call_id = await story.agent.accept((await story.offered())["offer_id"])
        await story.agent.pick_up(call_id)
        saved = await story.person.ask("PUT", f"/calls/{call_id}/note", {"body": "She will call", "version": 0})
        assert saved["version"] == 1
        leg.leave()
        await live.quiet()
        saved = await story.person.ask("PUT", f"/calls/{call_id}/note", {"body": "She will call back.", "version": 1})
        async with story.person.browser.put(
            f"/api/v1/calls/{call_id}/note", json={"body": "stale", "version": 1}
        ) as stale:
            assert (stale.status, (await stale.json())["current"]["body"]) == (409, "She will call back.")
        assert await live.fire("routing.wrap_up") == 1
        await story.verify_desk()
        async with story.person.browser.put(
            f"/api/v1/calls/{call_id}/note", json={"body": "late", "version": 2}
        ) as late:
            assert late.status == 404, "the page offers the words to the ticket then"
    [note] = await live.rows("SELECT body, author_id, call_id FROM ticket_notes")
    assert tuple(note) == ("She will call back.", story.person.id, call_id)
    assert await live.count("call_notes") == 0


async def test_two_pages_of_one_agent_see_the_same(live: Stack, person: People) -> None:
    ava = await person("ava")
    async with a_story(ava) as story, ava.desk() as other:
        await other.get("snapshot")
        await live.dial()
        pop = await story.offered()
        await story.agent.accept(pop["offer_id"])
        await story.verify_desk()
        await other.until(lambda desk: desk.seq == story.desk.seq)
        mine = fold(reduce, other.events[1:], other.events[0]["data"])
        assert comparable(mine)["calls"] == comparable(story.reduced)["calls"]


async def test_offer_of_somebody_else_does_not_exist(live: Stack, person: People) -> None:
    ben = await person("ben")
    async with a_story(await person("ava")) as story:
        await live.dial()
        offer_id = (await story.offered())["offer_id"]
        for path in (f"/offers/{offer_id}/accept", f"/offers/{offer_id}/reject"):
            async with ben.browser.post(f"/api/v1{path}", json={}) as response:
                assert response.status == 404
        call_id = await story.agent.accept(offer_id)
        asked: list[tuple[str, str, Any]] = [
            ("PUT", f"/calls/{call_id}/note", {"body": "x", "version": 0}),
            ("POST", f"/calls/{call_id}/hangup", {}),
            ("POST", f"/calls/{call_id}/wrap-up", {}),
            ("POST", f"/calls/{call_id}/wrap-up/extend", {}),
            ("POST", f"/calls/{call_id}/wrap-up/request", {}),
            ("POST", f"/calls/{call_id}/customer", {"customer_id": 1}),
            ("POST", f"/calls/{call_id}/ticket", {"ticket_id": None}),
        ]
        for method, path, body in asked:
            async with ben.browser.request(method, f"/api/v1{path}", json=body) as response:
                assert (response.status, path) == (404, path)


async def test_work_item_follows_its_call_to_another_ticket(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        await live.dial()
        call_id = await story.agent.accept((await story.offered())["offer_id"])
        ticket = await story.person.ask("POST", "/tickets", {"subject": "Boiler", "queue": "support"})
        popped = await story.person.ask("POST", f"/calls/{call_id}/ticket", {"ticket_id": ticket["id"]})
        assert popped["ticket"]["id"] == ticket["id"]
        assert await live.value("SELECT ticket_id FROM work_items WHERE call_id = $1", call_id) == ticket["id"]


async def in_wrap_up(story: Story, live: Stack) -> int:
    leg = await live.dial()
    call_id = await story.agent.accept((await story.offered())["offer_id"])
    await story.agent.pick_up(call_id)
    leg.leave()
    await story.verify_desk()
    return call_id


async def test_more_time_for_wrap_up_is_seen_on_the_desk_and_given_once(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        call_id = await in_wrap_up(story, live)
        before = story.reduced["calls"][0]
        assert before["wrap_up"] == {"mode": "timed", "extension_s": 30, "is_requested": False}
        answer = await story.person.ask("POST", f"/calls/{call_id}/wrap-up/extend", {})
        (after,) = (await story.verify_desk())["calls"]
        added = datetime.fromisoformat(after["wrap_up_ends_at"]) - datetime.fromisoformat(before["wrap_up_ends_at"])
        assert (after["wrap_up_ends_at"], added) == (answer["wrap_up_ends_at"], timedelta(seconds=30))
        assert after["wrap_up"]["extension_s"] == 0
        async with story.person.browser.post(f"/api/v1/calls/{call_id}/wrap-up/extend", json={}) as again:
            assert (again.status, (await again.json())["code"]) == (409, "wrap_up_already_extended")
        assert await live.fire("routing.wrap_up") == 1
        assert (await story.verify_desk())["calls"] == []
        story.write("wrap-up-is-extended")


async def test_wrap_up_on_request_is_asked_for_in_the_call(live: Stack, person: People) -> None:
    await live.rows("UPDATE queues SET wrap_mode = 'on_request', wrap_s = 25 RETURNING key")
    async with a_story(await person("ava")) as story:
        leg = await live.dial()
        call_id = await story.agent.accept((await story.offered())["offer_id"])
        await story.agent.pick_up(call_id)
        assert (await story.verify_desk())["calls"][0]["wrap_up"]["is_requested"] is False
        path = f"/calls/{call_id}/wrap-up/request"
        for is_wanted in (True, False, True):
            assert (await story.person.ask("POST", path, {"is_wanted": is_wanted}))["is_requested"] is is_wanted
            assert (await story.verify_desk())["calls"][0]["wrap_up"]["is_requested"] is is_wanted
        leg.leave()
        assert (await story.verify_desk())["calls"][0]["state"] == "wrapping"
        async with story.person.browser.post(f"/api/v1{path}", json={"is_wanted": False}) as late:
            assert (late.status, (await late.json())["code"]) == (409, "not_wrapping_up")


async def test_a_fixed_wrap_up_keeps_what_was_saved_and_a_manual_one_asks_for_a_result(
    live: Stack, person: People
) -> None:
    await live.rows("INSERT INTO dispositions (key, name) VALUES ('done', '{\"en\": \"Done\"}') RETURNING key")
    await live.rows("UPDATE queues SET wrap_mode = 'manual' RETURNING key")
    async with a_story(await person("ava")) as story:
        call_id = await in_wrap_up(story, live)
        assert story.reduced["calls"][0]["wrap_up_ends_at"] is None
        async with story.person.browser.post(f"/api/v1/calls/{call_id}/wrap-up", json={"note": "x"}) as refused:
            assert (refused.status, (await refused.json())["code"]) == (409, "disposition_required")
        done = {"disposition": "done", "note": "x"}
        assert (await story.person.ask("POST", f"/calls/{call_id}/wrap-up", done))["call"]["state"] == "closed"
        await live.rows("UPDATE queues SET wrap_mode = 'timed_fixed' RETURNING key")
        call_id = await in_wrap_up(story, live)
        assert (await story.person.ask("POST", f"/calls/{call_id}/wrap-up", done))["call"]["state"] == "wrapping"
        await live.quiet()
        (call,) = (await story.person.ask("GET", "/desk"))["calls"]
        assert (call["state"], call["disposition"], call["note"]["body"]) == ("wrapping", "done", "x")


async def test_a_presence_for_after_the_call_is_told_and_taken_back(live: Stack, person: People) -> None:
    async with a_story(await person("ava")) as story:
        lead = await person(role=Role.SUPERVISOR)
        call_id = await in_wrap_up(story, live)
        answer = await story.person.ask("PUT", "/presence", {"state": "break", "reason": "lunch"})
        assert (answer["state"], answer["next"], answer["next_reason"]) == ("available", "break", "lunch")
        presence = (await story.verify_desk())["presence"]
        assert (presence["state"], presence["next"], presence["next_reason"]) == ("available", "break", "lunch")
        agents = (await lead.ask("GET", "/agents"))["items"]
        assert [each["next"] for each in agents if each["id"] == story.person.id] == ["break"]
        await story.person.ask("PUT", "/presence", {"state": "available"})
        assert (await story.verify_desk())["presence"]["next"] is None
        await lead.force(story.person.id, "offline", "shift ended")
        assert (await story.verify_desk())["presence"]["next"] == "offline"
        told = [event["data"] for event in story.desk.numbered if event["type"] == "presence_changed"][-1]
        assert (told["next"], told["by"] is None) == ("offline", False)
        await story.person.ask("POST", f"/calls/{call_id}/wrap-up", {})
        presence = (await story.verify_desk())["presence"]
        assert (presence["state"], presence["reason"], presence["next"]) == ("offline", "shift ended", None)
        story.write("presence-after-the-call")


async def test_whoever_has_the_floor_on_the_screen_hears_of_each_agent_that_changes(
    live: Stack, person: People
) -> None:
    ava, lead = await person("ava"), await person(role=Role.SUPERVISOR)
    async with lead.desk() as desk, ava.desk() as own:
        await desk.wire.emit("viewing", {"is_floor": True})
        await own.wire.emit("viewing", {"is_floor": True})  # not for an agent
        everybody = (await desk.get("agents_changed"))["items"]
        assert {agent["id"] for agent in everybody} == {r["id"] for r in await live.rows("SELECT id FROM agents")}

        def is_away(desk: Desk) -> bool:
            last = desk.of("agents_changed")[-1]["data"]["items"]
            return [(agent["id"], agent["state"]) for agent in last] == [(ava.id, "break")]

        await ava.ask("PUT", "/presence", {"state": "break", "reason": "tea"})
        await desk.until(is_away)
        ticket = await lead.ask("POST", "/tickets", {"subject": "Lamp", "queue": "support"})
        async with lead.desk() as still:
            await still.wire.emit("viewing", {"is_floor": True})
            await still.get("agents_changed")
            await _views(desk, ticket["id"])  # and no longer the floor
            heard = len(desk.of("agents_changed"))
            await ava.ask("PUT", "/presence", {"state": "available"})
            await still.until(lambda desk: desk.of("agents_changed")[-1]["data"]["items"][0]["state"] == "available")
            # What these two had been told of it would have come before what they are told now.
            other = await lead.ask("POST", "/tickets", {"subject": "Shade", "queue": "support"})
            for each in (desk, own):
                await _views(each, other["id"])
        assert len(desk.of("agents_changed")) == heard
        assert own.of("agents_changed") == []


async def _views(desk: Desk, ticket: int) -> None:
    """This and nothing else is on the page; the service has heard so."""
    await desk.wire.emit("viewing", {"ticket_id": ticket})
    await desk.until(lambda desk: [told for told in desk.of("viewers") if told["data"]["id"] == ticket])
