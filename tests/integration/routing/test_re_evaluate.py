"""Other rules for those in line already: nothing happens before somebody says so, and then just what the preview said."""

from typing import Any

import pytest

from core.principal import Role
from infra.outbox import Tx
from routing import re_evaluate, rule_sets, service
from routing.re_evaluate import Applied, NotInForce, Preview
from tests.api import Api
from tests.command import run
from tests.integration.routing.floor import DE_POOL, POOL, Floor, Waiting
from tests.integration.routing.racing import race
from tests.integration.routing.test_http import audited, got

SUPPORT = {"field": "call.queue", "op": "==", "value": "support"}
ELSEWHERE: list[dict[str, Any]] = [
    {
        "name": "To the Germans",
        "when": SUPPORT,
        "then": {"queue": "de", "tier": 2, "boost_s": 60, "steps": [{"after_s": 0, "require": [{"skill": "german"}]}, {"after_s": 30}]},
    },
    {"name": "rest"},
]  # fmt: skip


async def published(floor: Floor, rules: list[dict[str, Any]]) -> int:
    async def publish(tx: Tx) -> int:
        version = await rule_sets.add_rule_set(tx, rules, origin="api", by="test")
        await rule_sets.publish_rule_set(tx, version)
        return version

    return await floor.transact(publish)


async def applied(floor: Floor, version: int, at_most: int = 200) -> Applied:
    return await floor.transact(lambda tx: re_evaluate.apply(tx, version, at_most=at_most))


async def previewed(floor: Floor, version: int) -> Preview:
    async with floor.database.acquire() as conn:
        return await re_evaluate.preview(conn, version)


async def stints(floor: Floor, item: Waiting) -> list[tuple[str, str | None]]:
    rows = await floor.fetch("SELECT queue, outcome FROM stints WHERE work_item_id = $1 ORDER BY id", item.item_id)
    return [(row["queue"], row["outcome"]) for row in rows]


# --- versions ------------------------------------------------------------------------------------------------------------


async def test_r35_publishing_changes_no_item_that_came_by_other_rules(floor: Floor) -> None:
    await floor.open(rules="- {name: first, then: {tier: 1}}")
    await floor.arrive("ava", "ben")
    talking, offered, waiting = [await floor.ring() for _ in range(3)]
    await floor.dispatch()
    await floor.talk(talking, "ava")
    every = "SELECT i.*, (SELECT count(*) FROM stints) AS stints FROM work_items i ORDER BY id"
    before = await floor.fetch(every)
    version = await published(floor, ELSEWHERE)
    await floor.settle()
    assert await floor.fetch(every) == before
    await floor.reject("ben")  # back in line, by the rules it came with
    for each in (offered, waiting):
        item = await floor.item(each)
        assert (item["ruleset_version"], item["rule"], item["queue"], item["tier"]) == (1, "first", "support", 1)
    assert (await floor.item(await floor.ring()))["ruleset_version"] == version


async def test_r36_rolling_back_puts_the_same_rules_in_force_under_a_new_number(api: Api, floor: Floor) -> None:
    await floor.open(
        rules='- {name: "\\u00e4 \\u5ba2", when: \'time.clock WITHIN_HOURS ["08:00", "18:00"]\', then: {tier: 3}}\n- {name: rest}'
    )
    waiting = await floor.ring()
    second = await published(floor, ELSEWHERE)
    admin = await api.logged_in(Role.ADMIN)
    back = await got(await admin.post("/api/v1/rulesets/1/roll-back", json={}), 201)
    assert (back["version"], back["origin"], back["is_published"]) == (second + 1, "rollback:1", True)
    assert await floor.value(
        "SELECT (SELECT rules::text FROM rule_sets WHERE version = 1) = (SELECT rules::text FROM rule_sets WHERE version = $1)",
        second + 1,
    )
    assert await floor.value("SELECT count(*) FROM rule_sets WHERE is_published") == 1
    assert (await audited(floor, "ruleset.roll_back"))["object_id"] == str(second + 1)
    assert (await floor.events("ruleset.published"))[-1][1] == {"version": second + 1}
    assert (await floor.item(waiting))["ruleset_version"] == 1
    await got(await admin.post("/api/v1/rulesets/99/roll-back", json={}), 404)
    assert await floor.value("SELECT max(version) FROM rule_sets") == second + 1


async def test_rules_that_no_longer_fit_cannot_be_rolled_back_to(api: Api, floor: Floor) -> None:
    await floor.open(rules="- {name: all, then: {queue: de}}")
    await floor.open("queues: [{key: support, name: {en: S}}]\n", rules="- {name: all}")
    admin = await api.logged_in(Role.ADMIN)
    problem = await got(await admin.post("/api/v1/rulesets/1/roll-back", json={}), 422)
    assert problem["errors"] == [{"field": "rules.0.then.queue", "message": "there is no queue 'de'"}]
    assert await floor.value("SELECT max(version) FROM rule_sets") == 2


# --- deciding again ---------------------------------------------------------------------------------------------------------


async def test_what_the_preview_says_is_what_happens(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.arrive("dana")
    first, second, sales = await floor.ring(waited_s=40), await floor.ring(), await floor.ring("sales")
    before = await floor.item(first)
    admin = await api.logged_in(Role.ADMIN)
    version = (await got(await admin.post("/api/v1/rulesets", json={"rules": ELSEWHERE}), 201))["version"]
    path = f"/api/v1/rulesets/{version}/re-evaluate"
    shown = await got(await admin.get(path))
    counts = ("waiting", "by_these_rules", "same", "different", "under_offer", "without_facts", "not_looked_at")
    assert [shown[name] for name in counts] == [3, 0, 1, 2, 0, 0, 0]
    assert shown["moves"] == [
        {"before": "default", "after": "To the Germans", "changed": ["queue", "tier", "boost_s", "steps"], "calls": 2}
    ]
    assert [each["work_item_id"] for each in shown["examples"]] == [first.item_id, second.item_id]
    assert (shown["examples"][0]["before"]["queue"], shown["examples"][0]["after"]["queue"]) == ("support", "de")
    assert (await got(await admin.post(path, json={}), 409))["code"] == "not_in_force"
    assert await floor.item(first) == before
    await got(await admin.post(f"/api/v1/rulesets/{version}/publish", json={}))
    done = await got(await admin.post(path, json={}))
    assert done == {"version": version, "moved": 2, "after_offer": 0, "same": 1, "left": 0}
    after = await floor.item(first)
    assert {name for name in after if after[name] != before[name]} == {
        "queue", "pool_id", "tier", "boost_s", "virtual_start", "steps", "step", "need", "rule", "ruleset_version", "version"
    }  # fmt: skip
    assert (after["queue"], after["pool_id"], after["tier"], after["boost_s"]) == ("de", DE_POOL, 2, 60)
    assert (after["rule"], after["ruleset_version"], after["step"]) == (
        "To the Germans",
        version,
        1,
    )  # it waited for 40 s
    assert (await floor.item(second))["step"] == 0
    assert await floor.timer_due_in(service.STEP_TIMER, second.item_id) == pytest.approx(30, abs=5)
    assert (after["entered_at"] - after["virtual_start"]).total_seconds() == 60
    assert await stints(floor, first) == [("support", "transferred_out"), ("de", None)]
    kept = await floor.item(sales)
    assert (kept["rule"], kept["ruleset_version"], kept["queue"]) == ("rest", version, "sales")
    assert await stints(floor, sales) == [("sales", None)]
    woken = [body for _, body in (await floor.events("work.queued"))[-2:]]
    assert [(body["work_item_id"], body["pool"], body["queue"]) for body in woken] == [
        (first.item_id, DE_POOL, "de"), (second.item_id, DE_POOL, "de")
    ]  # fmt: skip
    row = await audited(floor, "ruleset.re_evaluate")
    assert (row["object_id"], row["after"]["moved"]) == (str(version), [first.item_id, second.item_id])
    assert await got(await admin.post(path, json={})) == {
        "version": version, "moved": 0, "after_offer": 0, "same": 0, "left": 0
    }  # fmt: skip
    assert (await got(await admin.get(path)))["by_these_rules"] == 3
    assert await floor.item(first) == after
    assert await floor.dispatch(DE_POOL) == [("dana", first.item_id)]
    await got(await admin.get("/api/v1/rulesets/99/re-evaluate"), 404)
    await got(await admin.post("/api/v1/rulesets/99/re-evaluate", json={}), 404)


async def test_what_is_being_offered_moves_when_the_offer_ends_without_an_answer(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    accepted, declined = await floor.ring(), await floor.ring()
    assert await floor.dispatch() == [("ava", accepted.item_id), ("ben", declined.item_id)]
    version = await published(floor, ELSEWHERE)
    assert (await previewed(floor, version)).under_offer == 2
    done = await applied(floor, version)
    assert (done.moved, done.after_offer, done.left) == ((), (accepted.item_id, declined.item_id), 0)
    assert (await floor.item(declined))["queue"] == "support"
    assert (await applied(floor, version)).after_offer == ()
    await floor.talk(accepted, "ava")
    assert (await floor.item(accepted))["queue"] == "support"
    await floor.reject("ben")
    item = await floor.item(declined)
    assert (item["state"], item["queue"], item["rule"], item["ruleset_version"], item["reroute_version"]) == (
        "queued", "de", "To the Germans", version, None
    )  # fmt: skip
    assert await stints(floor, declined) == [("support", "transferred_out"), ("de", None)]
    assert (await floor.events("work.queued"))[-1][1]["pool"] == DE_POOL
    assert await floor.timer_due_in(service.STEP_TIMER, declined.item_id) is not None
    await floor.hang_up(accepted)
    assert await stints(floor, accepted) == [("support", "answered")]


async def test_who_loses_the_agent_in_mid_call_waits_by_the_new_rules(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    version = await published(floor, ELSEWHERE)
    await applied(floor, version)
    await floor.talk(call, "ava")
    await floor.agent_vanishes(call, "ava")
    item = await floor.item(call)
    assert (item["state"], item["queue"], item["ruleset_version"]) == ("queued", "de", version)
    assert await stints(floor, call) == [("support", "answered"), ("de", None)]


async def test_rules_that_were_replaced_while_two_talked_are_not_what_the_caller_waits_by(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await applied(floor, await published(floor, ELSEWHERE))
    await floor.talk(call, "ava")
    await published(floor, [{"name": "Everybody"}])
    await floor.agent_vanishes(call, "ava")
    item = await floor.item(call)
    assert (item["state"], item["queue"], item["ruleset_version"], item["reroute_version"]) == (
        "queued",
        "support",
        1,
        None,
    )


async def test_the_rank_that_a_supervisor_gave_stays_where_the_rules_do_not_differ(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    await floor.execute(
        "UPDATE work_items SET tier = 7, boost_s = 30, virtual_start = entered_at - interval '30 s', is_tier_by_hand = true, is_boost_by_hand = true WHERE id = $1",
        call.item_id,
    )
    await floor.execute(
        "INSERT INTO audit_log (actor_kind, action, object_kind, object_id) VALUES ('user', 'work_item.prioritise', 'work_item', $1)",
        str(call.item_id),
    )
    version = await published(floor, [{"name": "boosted", "then": {"boost_s": 90}}])
    await applied(floor, version)
    item = await floor.item(call)
    assert (item["tier"], item["boost_s"], item["queue"]) == (7, 90, "support")
    assert await stints(floor, call) == [("support", None)]


async def test_whom_an_item_is_kept_for_is_asked_anew_when_the_rules_differ_in_it(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    ben = floor.agent("ben").user_id
    version = await published(
        floor, [{"name": "Ben's", "then": {"sticky": {"agent": "ben@example.com", "wait_s": 60}}}]
    )
    assert (await previewed(floor, version)).moves[0].changed == ("sticky",)
    await applied(floor, version)
    item = await floor.item(call)
    assert (item["sticky_agent_id"], (item["sticky_until"] - item["entered_at"]).total_seconds()) == (ben, 60)
    await floor.arrive("ava", "ben")
    assert await floor.dispatch() == [("ben", call.item_id)]
    await floor.reject("ben")
    await applied(floor, await published(floor, [{"name": "anybody's"}]))
    item = await floor.item(call)
    assert (item["sticky_agent_id"], item["sticky_until"], item["only_agent_id"]) == (None, None, None)
    assert await floor.dispatch() == [("ava", call.item_id)]


async def test_batches_are_bounded_and_take_everybody_in_the_end(floor: Floor) -> None:
    await floor.open()
    calls = [await floor.ring() for _ in range(5)]
    old = await floor.ring()
    await floor.execute("UPDATE work_items SET facts = '{}' WHERE id = $1", old.item_id)
    version = await published(floor, ELSEWHERE)
    shown = await previewed(floor, version)
    assert (shown.waiting, shown.different, shown.without_facts) == (6, 5, 1)
    batches = [await applied(floor, version, at_most=2) for _ in range(4)]
    assert [(each.moved, each.left) for each in batches] == [
        (tuple(call.item_id for call in calls[:2]), 3), (tuple(call.item_id for call in calls[2:4]), 1), ((calls[4].item_id,), 0), ((), 0)
    ]  # fmt: skip
    assert (await floor.item(old))["ruleset_version"] == 1
    assert (await previewed(floor, version)).by_these_rules == 5


async def test_a_queue_that_is_gone_leaves_the_item_where_it_is(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    version = await published(floor, ELSEWHERE)
    await floor.execute("UPDATE queues SET is_active = false WHERE key = 'de'")
    await applied(floor, version)
    item = await floor.item(call)
    assert (item["queue"], item["tier"], item["ruleset_version"]) == ("support", 2, version)


async def test_rules_that_are_no_longer_in_force_are_not_applied(floor: Floor) -> None:
    await floor.open()
    await floor.ring()
    version = await published(floor, ELSEWHERE)
    await published(floor, [{"name": "all"}])
    with pytest.raises(NotInForce, match=f"version {version}"):
        await applied(floor, version)


async def test_deciding_again_beside_passes_answers_and_hang_ups_breaks_nothing(floor: Floor) -> None:
    """The invariants are asked when the test is over."""
    await floor.open()
    await floor.arrive("ava", "ben", "chen", "dana")
    calls = [await floor.ring() for _ in range(8)]
    await floor.dispatch()
    home = [{"name": "home", "then": {"queue": "support"}}]
    for n, rules in enumerate((ELSEWHERE, home, ELSEWHERE, home)):
        version = await published(floor, rules)
        pending = [offer for pool in (POOL, DE_POOL) for offer in await floor.pending(pool)]

        async def again(tx: Tx, version: int = version) -> None:
            await re_evaluate.apply(tx, version, at_most=3)

        async def answer(tx: Tx, name: str, offer: int, accepts: bool) -> None:
            act = service.accept if accepts else service.reject
            await act(tx, offer_id=offer, who=floor.agent(name))

        acts: list[Any] = [again, again, again]
        acts += [
            lambda tx, name=name, offer=offer, accepts=place == n: answer(tx, name, offer, accepts)
            for place, (name, _, offer) in enumerate(pending)
        ]
        await race(floor, *acts)
        await floor.hang_up(calls[n])
        await floor.dispatch(POOL)
        await floor.dispatch(DE_POOL)
    version = await floor.value("SELECT version FROM rule_sets WHERE is_published")
    while (await applied(floor, version)).left:
        pass
    assert (
        await floor.value("SELECT count(*) FROM work_items WHERE state = 'queued' AND ruleset_version <> $1", version)
        == 0
    )


# --- the commands ----------------------------------------------------------------------------------------------------------


async def test_by_the_command_line(
    floor: Floor, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    await floor.open()
    call = await floor.ring()
    file = tmp_path / "rules.yaml"
    file.write_text("rules:\n  - {name: a, when: 'call.queue == \"support\"', then: {queue: nowhere}}\n  - {name: b}\n")
    for command in ("check", "add"):
        assert await run("rules", command, str(file)) == 1
        assert "rules.0.then.queue: there is no queue 'nowhere'" in capsys.readouterr().err
    file.write_text("rules:\n  - {name: a, when: 'call.queue = support'}\n  - {name: b}\n")
    assert await run("rules", "check", str(file)) == 1
    assert "line 2: rules[0].when: column 14: there is no field 'support'" in capsys.readouterr().err
    file.write_text(
        "rules:\n  - {name: Germans, when: 'call.queue == \"support\"', then: {queue: de}}\n  - {name: rest}\n"
    )
    assert await run("rules", "check", str(file)) == 0
    assert "2 rules, nothing to look at" in capsys.readouterr().out
    assert await run("rules", "add", str(file)) == 0
    assert "version 2 is kept" in capsys.readouterr().out
    added = await floor.row("SELECT actor_kind, object_id, after FROM audit_log WHERE action = 'ruleset.add'")
    assert tuple(added.values()) == ("cli", "2", {"rules": 2})
    assert await run("rules", "show", "2") == 0
    assert 'call.queue == "support"' in capsys.readouterr().out
    assert await run("rules", "re-evaluate", "2", "--preview") == 0
    said = capsys.readouterr().out
    assert "1 wait: 1 would change, 0 of them after their offer; 0 would not" in said
    assert "default -> Germans: other queue" in said
    assert await run("rules", "re-evaluate", "2") == 1
    assert "Publish version 2 first" in capsys.readouterr().err
    assert await run("rules", "publish", "2") == 0
    assert await run("rules", "re-evaluate", "2") == 0
    assert "1 changed, 0 will after their offer, 0 stay as they were" in capsys.readouterr().out
    assert (await floor.item(call))["queue"] == "de"
    assert await run("rules", "roll-back", "1") == 0
    assert "version 3, with the rules of version 1, is in force" in capsys.readouterr().out
    assert await run("rules", "roll-back", "9") == 1
    org = tmp_path / "org.yaml"
    org.write_text(
        "queues: [{key: a, name: {en: A}}]\nrules:\n  - {name: x, when: 'call.to EXISTS', then: {steps: [{after_s: 0}, {after_s: 1}]}}\n  - {name: y}\n"
    )
    assert await run("rules", "check", str(org)) == 0
    assert "1 to look at" in capsys.readouterr().out
