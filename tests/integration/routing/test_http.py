"""Routing over HTTP: shapes, rights, refusals with their codes, and an audit row for every command."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession

from accounts.queries import user_by_email
from core.principal import Role
from routing.rules import MAX_DEPTH
from tests.api import Api
from tests.builders import a_session
from tests.integration.routing.floor import Floor


async def desk(api: Api, floor: Floor, name: str) -> ClientSession:
    """The browser of somebody of the floor."""
    async with floor.outbox.transaction() as tx:
        user = await user_by_email(tx.conn, email=f"{name}@example.com")
        assert user is not None
        cookie, secret = await a_session(tx, user, api.resources.public_url)
    return await api.browser(Cookie=f"{cookie}={secret}")


async def got(answer: Any, status: int = 200) -> Any:
    body = await answer.json()
    assert answer.status == status, body
    return body


async def audited(floor: Floor, action: str) -> dict[str, Any]:
    return await floor.row(
        "SELECT actor_id, object_kind, object_id, before, after, purpose, request_id FROM audit_log WHERE action = $1",
        action,
    )


# --- offers ------------------------------------------------------------------------------------------------------------------------


async def test_an_offer_is_accepted(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    offer_id, ava = await floor.offer_of("ava"), await desk(api, floor, "ava")
    answer = await got(await ava.post(f"/api/v1/offers/{offer_id}/accept", json={}))
    assert answer == {
        "offer": {"id": offer_id, "state": "accepted"},
        "call": {"id": call.call_id, "conference": f"call_{call.call_id}", "is_on_telephone": False},
    }
    row = await audited(floor, "offer.accept")
    assert (row["actor_id"], row["object_kind"], row["object_id"]) == (
        floor.agent("ava").user_id,
        "offer",
        str(offer_id),
    )
    assert row["after"] == {"state": "accepted"}


async def test_an_offer_is_declined(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    await floor.dispatch()
    offer_id, ava = await floor.offer_of("ava"), await desk(api, floor, "ava")
    answer = await got(await ava.post(f"/api/v1/offers/{offer_id}/reject", json={"reason": "in a meeting"}))
    assert answer == {"offer": {"id": offer_id, "state": "rejected"}}
    assert (await audited(floor, "offer.reject"))["after"] == {"state": "rejected", "reason": "in a meeting"}
    await got(await ava.post(f"/api/v1/offers/{offer_id}/reject", json={"reason": "x" * 201}), 422)
    await got(await ava.post(f"/api/v1/offers/{offer_id}/reject", json={"reason": "a\x00b"}), 422)


async def refused(api: Api, floor: Floor, name: str) -> tuple[int, str]:
    browser = await desk(api, floor, name)
    answer = await browser.post(f"/api/v1/offers/{await floor.offer_of(name)}/accept", json={})
    return answer.status, (await answer.json())["code"]


async def test_each_refusal_of_an_answer_has_its_code(api: Api, floor: Floor) -> None:
    await floor.open(rules="- {name: two, then: {steps: [{after_s: 0, offers: 2}]}}")
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.accept("ben")
    assert await refused(api, floor, "ava") == (409, "offer_taken")
    await floor.hang_up(call)
    other = await floor.ring()
    await floor.dispatch()
    await floor.present("ava", "break")
    assert await refused(api, floor, "ava") == (409, "offer_rescinded")
    await floor.run_out(await floor.offer_of("ben"))
    assert await refused(api, floor, "ben") == (409, "offer_expired")
    await floor.present("ava", "available")
    await floor.dispatch()
    await floor.hang_up(other)
    assert await refused(api, floor, "ava") == (409, "caller_left")
    ben = await desk(api, floor, "ben")
    await got(await ben.post(f"/api/v1/offers/{await floor.offer_of('ava')}/accept", json={}), 404)
    assert await floor.fetch("SELECT * FROM audit_log WHERE action = 'offer.accept'") == []


# --- presence --------------------------------------------------------------------------------------------------------------------------


async def test_an_agent_chooses_presence(api: Api, floor: Floor) -> None:
    await floor.open()
    ava = await desk(api, floor, "ava")
    answer = await got(await ava.put("/api/v1/presence", json={"state": "break", "reason": "lunch"}))
    assert (answer["state"], answer["reason"], answer["work"]) == ("break", "lunch", "idle")
    row = await audited(floor, "presence.set")
    assert (row["before"], row["after"]) == (
        {"state": "offline", "reason": None},
        {"state": "break", "reason": "lunch"},
    )
    await got(await ava.put("/api/v1/presence", json={"state": "not_responding"}), 422)
    await got(await ava.put("/api/v1/presence", json={"state": "break", "reason": "x" * 101}), 422)
    await got(await ava.put("/api/v1/presence", json={}), 422)


async def test_a_supervisor_sets_an_agents_presence_and_the_agent_learns_by_whom(api: Api, floor: Floor) -> None:
    await floor.open()
    sam, ava = await desk(api, floor, "sam"), floor.agent("ava").user_id
    answer = await got(
        await sam.put(
            f"/api/v1/agents/{ava}/presence",
            json={
                "state": "offline",
                "reason": "shift ended",
                "version": (await floor.agent_row("ava"))["presence_version"],
            },
        )
    )
    assert (answer["state"], answer["reason"]) == ("offline", "shift ended")
    row = await audited(floor, "presence.force")
    assert (row["actor_id"], row["object_id"], row["purpose"]) == (floor.agent("sam").user_id, str(ava), "shift ended")
    assert (await floor.events("agent.presence_changed"))[-1][1]["by"] == f"user:{floor.agent('sam').user_id}"
    await got(await sam.put("/api/v1/agents/999999/presence", json={"state": "offline", "version": 1}), 404)


# --- what people may see ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/agents", {Role.SUPERVISOR, Role.ADMIN}),
        ("PUT", "/api/v1/agents/1/presence", {Role.SUPERVISOR, Role.ADMIN}),
        ("PUT", "/api/v1/presence", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("PUT", "/api/v1/presence/reach", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("PATCH", "/api/v1/work-items/1", {Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/work-items/1/push", {Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/work-items/1/pick", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/work-items/1/candidates", {Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/queues/support/waiting", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/queues/support/in-hand", {Role.SUPERVISOR, Role.ADMIN}),
        ("PUT", "/api/v1/queues/support/hold", {Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/acts/1/undo", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/offers/1/accept", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/offers/1/reject", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/queues", set(Role)),
        ("GET", "/api/v1/queues/live", set(Role)),
        ("GET", "/api/v1/work-items/1/explain", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/rulesets", {Role.ADMIN}),
        ("POST", "/api/v1/rulesets", {Role.ADMIN}),
        ("POST", "/api/v1/rulesets/1/publish", {Role.ADMIN}),
        ("GET", "/api/v1/rulesets/published", {Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/rulesets/1", {Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/rulesets/1/dry-run", {Role.ADMIN}),
        ("POST", "/api/v1/calls/1/transfer", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/calls/1/consult", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/calls/1/consult/complete", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/calls/1/consult/end", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("GET", "/api/v1/calls/1/transfer-targets", {Role.AGENT, Role.SUPERVISOR, Role.ADMIN}),
        ("POST", "/api/v1/rulesets/1/roll-back", {Role.ADMIN}),
        ("GET", "/api/v1/rulesets/1/re-evaluate", {Role.ADMIN}),
        ("POST", "/api/v1/rulesets/1/re-evaluate", {Role.ADMIN}),
    ],
)
async def test_who_may(api: Api, method: str, path: str, allowed: set[Role]) -> None:
    stranger = await api.browser()
    json: dict[str, Any] | None = None if method == "GET" else {}
    assert (await stranger.request(method, path, json=json)).status == 401
    for role in Role:
        answer = await (await api.logged_in(role)).request(method, path, json=json)
        assert (answer.status == 403) == (role not in allowed), (role, answer.status)


async def test_every_operation_of_routing_is_in_the_table_above(api: Api) -> None:
    operations = {(o.method, o.path) for o in api.operations if o.tag == "routing"}
    assert len(operations) == 31


async def test_agents_live(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    await floor.present("chen", "break", "lunch")
    call = await floor.ring()
    await floor.dispatch()
    sam = await desk(api, floor, "sam")

    async def shown(name: str) -> dict[str, Any]:
        items = (await got(await sam.get("/api/v1/agents")))["items"]
        found: dict[str, Any] = next(item for item in items if item["name"] == name)
        return found

    ava = await shown("Ava")
    assert (ava["state"], ava["connected"], ava["used_units"], ava["total_units"]) == ("reserved", True, 1, 1)
    assert (ava["queues"], ava["skills"], ava["email"], ava["role"]) == (
        ["support"], {"billing": 4}, "ava@example.com", "agent"
    )  # fmt: skip
    assert (ava["call"]["id"], ava["call"]["queue"]) == (call.call_id, "support")
    ben = await shown("Ben")
    assert (ben["state"], ben["call"], ben["queues"]) == ("available", None, ["sales", "support"])
    chen = await shown("Chen")
    assert (chen["state"], chen["reason"], chen["connected"]) == ("break", "lunch", False)
    await floor.talk(call, "ava")
    assert (await shown("Ava"))["state"] == "talking"
    await floor.hang_up(call)
    assert (await shown("Ava"))["state"] == "wrapping"
    dana = await shown("Dana")
    assert (dana["state"], dana["misses"]) == ("offline", 0)


async def test_queues_as_they_are_defined(api: Api, floor: Floor) -> None:
    await floor.open()
    items = (await got(await (await desk(api, floor, "ava")).get("/api/v1/queues")))["items"]
    assert items[0] == {
        "key": "support",
        "channel": "voice",
        "name": {"en": "Support"},
        "service_level": {"within_s": 20, "target": 0.8},
        "offer_timeout_s": 20,
        "misses_before_not_responding": 1,
        "cool_downs": {"reject_s": 30, "busy_s": 10, "no_answer_s": None},
        "wrap_up": {"mode": "timed", "seconds": 30, "extension_s": 30, "default_disposition": None},
    }
    assert [item["key"] for item in items] == ["support", "sales", "de"]


async def test_an_agent_sees_the_board_of_the_queues_served(api: Api, floor: Floor) -> None:
    await floor.open()

    async def keys(name: str) -> list[str]:
        board = await got(await (await desk(api, floor, name)).get("/api/v1/queues/live"))
        return [queue["key"] for queue in board["queues"]]

    assert await keys("ava") == ["support"]
    assert await keys("ben") == ["support", "sales"]
    assert await keys("sam") == ["support", "sales", "de"]


# --- explanations -------------------------------------------------------------------------------------------------------------------------


async def explained(api: Api, floor: Floor, name: str, item_id: int, status: int = 200) -> Any:
    return await got(await (await desk(api, floor, name)).get(f"/api/v1/work-items/{item_id}/explain"), status)


async def test_why_a_call_still_waits(api: Api, floor: Floor) -> None:
    steps = "[{after_s: 0, require: [{skill: billing, level: 3}]}, {after_s: 30, require: [{skill: billing}]}, {after_s: 90}]"
    await floor.open(rules=f"- {{name: Billing, then: {{steps: {steps}}}}}")
    await floor.arrive("ben", "chen")
    await floor.present("ava", "break")
    await floor.ring(waited_s=50)
    call = await floor.ring(waited_s=40)
    await floor.present("ben", "break")
    answer = await explained(api, floor, "sam", call.item_id)
    item = answer["work_item"]
    assert (item["id"], item["state"], item["queue"], item["rule"], item["step"]) == (
        call.item_id, "queued", "support", "Billing", 1
    )  # fmt: skip
    assert 40 <= item["waited_s"] < 50
    english = [sentence["en"] for sentence in answer["sentences"]]
    assert english[0] == "2 agents fit step 2 (billing ≥ 1): 2 on break."
    assert english[1] == "1 waiting item is ahead in the line."
    assert english[2].startswith("Step 3 opens in ")
    assert all(set(sentence) == {"en", "zh-CN"} for sentence in answer["sentences"])
    (now,) = answer["decisions"]
    assert (now["chosen"], now["step"], now["counts"]) == (None, 1, {"on_break": 2, "skill_missing": 1})
    assert [(v["name"], v["verdict"]) for v in now["verdicts"]] == [
        ("Ava", "on_break"), ("Ben", "on_break"), ("Chen", "skill_missing")
    ]  # fmt: skip


async def test_talk_and_wrap_up_are_no_waiting(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring(waited_s=40)
    await floor.dispatch()
    await floor.talk(call, "ava")
    waited_s = (await explained(api, floor, "ava", call.item_id))["work_item"]["waited_s"]
    await asyncio.sleep(0.3)  # of talk
    assert (await explained(api, floor, "ava", call.item_id))["work_item"]["waited_s"] == waited_s >= 40


async def test_who_hung_up_did_so_after_how_long_and_was_anybody_asked(api: Api, floor: Floor) -> None:
    await floor.open()
    alone = await floor.ring(waited_s=40)
    await floor.hang_up(alone)
    told = [each["en"] for each in (await explained(api, floor, "sam", alone.item_id))["sentences"]]
    assert told == ["The caller hung up after 40 s, before anybody was asked."]
    await floor.arrive("ava")
    asked = await floor.ring(waited_s=20)
    await floor.dispatch()
    await floor.hang_up(asked)
    first, last = [each["en"] for each in (await explained(api, floor, "sam", asked.item_id))["sentences"]]
    assert first.startswith("Offered to Ava, who was not connected before the caller left.")
    assert last == "The caller hung up after 20 s."


async def test_a_call_that_is_about_to_be_offered_says_so(api: Api, floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    (now,) = (await explained(api, floor, "sam", call.item_id))["decisions"]
    assert now["sentence"]["en"] == "Nobody can take it at this moment."
    await floor.arrive("ava")
    (now,) = (await explained(api, floor, "sam", call.item_id))["decisions"]
    assert now["sentence"]["en"] == "Somebody is free for it and is about to be asked."
    assert next((v["name"], v["verdict"]) for v in now["verdicts"]) == ("Ava", "eligible")


async def test_why_this_agent(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.reject("ava")
    await floor.dispatch()
    await floor.talk(call, "ben")
    answer = await explained(api, floor, "sam", call.item_id)
    assert answer["work_item"]["state"] == "assigned"
    assert [sentence["en"] for sentence in answer["sentences"]] == [
        "Offered to Ben, who accepted. Rule “default”, step 1: the only free and able agent."
    ]
    first, second = answer["decisions"]
    assert first["sentence"]["en"].startswith("Offered to Ava, who declined.")
    assert (first["chosen"]["name"], second["chosen"]["name"]) == ("Ava", "Ben")
    assert {v["name"]: v["verdict"] for v in second["verdicts"]} == {
        "Ben": "chosen", "Ava": "excluded", "Chen": "offline"
    }  # fmt: skip
    assert all(v["reason"]["en"] and v["reason"]["zh-CN"] for v in second["verdicts"])


async def test_names_stay_readable_after_somebody_left_the_pool(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    await floor.hang_up(call)
    await floor.execute("UPDATE agents SET pool_id = 'elsewhere' WHERE name = 'Ava'")
    (decision,) = (await explained(api, floor, "sam", call.item_id))["decisions"]
    assert {v["name"] for v in decision["verdicts"]} == {"Ava", "Ben", "Chen"}


async def test_an_agent_sees_only_the_explanations_of_what_was_offered_to_them(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call, other = await floor.ring(), await floor.ring("de")
    await floor.dispatch()
    await explained(api, floor, "ava", call.item_id)
    for name in ("ben", "dana"):
        await explained(api, floor, name, call.item_id, 404)
    await explained(api, floor, "ava", other.item_id, 404)
    await explained(api, floor, "sam", other.item_id)
    await explained(api, floor, "sam", 10**15, 404)


# --- rule sets ---------------------------------------------------------------------------------------------------------------------------------


async def test_rules_are_added_and_published(api: Api, floor: Floor) -> None:
    await floor.open()
    admin = await api.logged_in(Role.ADMIN)
    rules = [
        {"name": "VIP", "when": {"field": "customer.tier", "op": "==", "value": "vip"}, "then": {"tier": 3}},
        {"name": "all"},
    ]
    added = await got(await admin.post("/api/v1/rulesets", json={"rules": rules}), 201)
    assert (added["version"], added["origin"], added["is_published"], added["published_at"]) == (2, "api", False, None)
    assert added["rules"] == rules
    assert (await got(await admin.get("/api/v1/rulesets/published")))["version"] == 1
    published = await got(await admin.post("/api/v1/rulesets/2/publish", json={}))
    assert (published["version"], published["is_published"]) == (2, True)
    listed = (await got(await admin.get("/api/v1/rulesets")))["items"]
    assert [(row["version"], row["is_published"]) for row in listed] == [(2, True), (1, False)]
    assert (await audited(floor, "ruleset.add"))["object_id"] == "2"
    assert (await audited(floor, "ruleset.publish"))["object_id"] == "2"
    assert await floor.events("ruleset.published") == [
        ("ruleset.published", {"version": 1}), ("ruleset.published", {"version": 2})
    ]  # fmt: skip
    assert (await got(await admin.post("/api/v1/rulesets/1/publish", json={})))["is_published"]
    assert (await got(await admin.get("/api/v1/rulesets/published")))["version"] == 1
    await got(await admin.post("/api/v1/rulesets/99/publish", json={}), 404)


async def test_faulty_rules_are_refused_with_every_place(api: Api, floor: Floor) -> None:
    await floor.open()
    admin = await api.logged_in(Role.ADMIN)
    rules = [{"name": "a", "when": {"field": "x", "op": "=="}, "then": {"queue": "nowhere", "tier": 99}}, {"name": "a"}]
    problem = await got(await admin.post("/api/v1/rulesets", json={"rules": rules}), 422)
    assert [error["field"] for error in problem["errors"]] == [
        "rules.0.when.field", "rules.0.then.queue", "rules.0.then.tier", "rules.1.name"
    ]  # fmt: skip
    node: Any = {"field": "call.to", "op": "exists"}
    for _ in range(MAX_DEPTH):
        node = {"not": node}
    problem = await got(
        await admin.post("/api/v1/rulesets", json={"rules": [{"name": "deep", "when": node}, {"name": "d"}]}), 422
    )
    assert "levels deep" in problem["detail"]
    long = {"field": "call.to", "op": "==", "value": "x" * 19_000}
    problem = await got(
        await admin.post("/api/v1/rulesets", json={"rules": [{"name": "long", "when": long}, {"name": "d"}]}), 422
    )
    assert "bytes" in problem["detail"]
    await got(await admin.post("/api/v1/rulesets", json={"rules": []}), 422)
    assert await floor.value("SELECT count(*) FROM rule_sets") == 1


async def test_an_old_version_that_no_longer_fits_cannot_come_back(api: Api, floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {queue: de}}")
    await floor.open("queues: [{key: support, name: {en: S}}]\n", rules="- {name: all}")
    admin = await api.logged_in(Role.ADMIN)
    problem = await got(await admin.post("/api/v1/rulesets/1/publish", json={}), 422)
    assert problem["errors"] == [{"field": "rules.0.then.queue", "message": "there is no queue 'de'"}]
    assert (await got(await admin.get("/api/v1/rulesets/published")))["version"] == 2


async def test_without_published_rules_there_are_none_to_show(api: Api) -> None:
    await got(await (await api.logged_in(Role.ADMIN)).get("/api/v1/rulesets/published"), 404)
