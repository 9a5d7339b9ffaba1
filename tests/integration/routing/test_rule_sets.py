"""Rules before they are in force: what is odd about them, in words, and what they would have done with the calls that came."""

from pathlib import Path
from typing import Any

import pytest

from core.principal import Role
from customers.model import Tier
from routing.dry_run import Move, dry_run
from tests.api import Api
from tests.builders import a_customer
from tests.command import run
from tests.integration.routing.floor import ORG, Floor
from tests.integration.routing.test_http import got

VIP: dict[str, Any] = {"field": "customer.tier", "op": "==", "value": "vip"}
SALES: dict[str, Any] = {"field": "call.queue", "op": "==", "value": "sales"}


async def test_what_is_odd_comes_back_and_what_is_wrong_is_refused(api: Api, floor: Floor) -> None:
    await floor.open()
    admin = await api.logged_in(Role.ADMIN)
    then = {"queue": "support", "steps": [{"after_s": 0, "require": [{"skill": "german"}]}, {"after_s": 5}]}
    added = await got(
        await admin.post(
            "/api/v1/rulesets", json={"rules": [{"name": "VIP", "when": VIP, "then": then}, {"name": "rest"}]}
        ),
        201,
    )
    assert [(each["severity"], each["code"], each["place"]) for each in added["findings"]] == [
        ("warning", "nobody_in_step", "rules.0.then.steps.0"),
        ("warning", "shorter_than_offer", "rules.0.then.steps.0"),
    ]
    assert added["sentences"][0]["en"].startswith(
        "If the customer's tier is “vip”: queue “Support”. At once: those with “German” ≥ 1;"
    )
    hidden = [{"name": "VIP", "when": VIP}, {"name": "again", "when": VIP}, {"name": "rest"}]
    problem = await got(await admin.post("/api/v1/rulesets", json={"rules": hidden}), 422)
    assert [error["field"] for error in problem["errors"]] == ["rules.1"]
    assert "'VIP' before it" in problem["detail"]
    assert await floor.value("SELECT count(*) FROM rule_sets") == 2
    shown = await got(await (await api.logged_in(Role.SUPERVISOR)).get("/api/v1/rulesets/2"))
    assert (shown["rules"][0]["when"], len(shown["sentences"])) == (VIP, 2)
    await got(await admin.get("/api/v1/rulesets/99"), 404)


async def test_a_condition_may_be_text_and_comes_back_as_both(api: Api, floor: Floor) -> None:
    await floor.open()
    admin = await api.logged_in(Role.ADMIN)
    text = 'customer.tier == "vip" AND NOT call.queue == "sales"'
    tree = {"all": [VIP, {"not": SALES}]}
    rules: list[dict[str, Any]] = [{"name": "text", "when": text}, {"name": "tree", "when": SALES}, {"name": "rest"}]
    added = await got(await admin.post("/api/v1/rulesets", json={"rules": rules}), 201)
    assert [rule.get("when") for rule in added["rules"]] == [tree, SALES, None]
    assert added["texts"] == [text, 'call.queue == "sales"', None]
    bad = [{"name": "a", "when": "customer.tier == "}, {"name": "b", "when": "(call.to EXISTS"}, {"name": "rest"}]
    problem = await got(await admin.post("/api/v1/rulesets", json={"rules": bad}), 422)
    assert problem["errors"] == [
        {"field": "rules.0.when", "message": "column 18: expected a value, not the end"},
        {"field": "rules.1.when",
         "message": "column 16: expected AND, OR or `)` for the `(` of column 1, not the end"},
    ]  # fmt: skip
    assert await floor.value("SELECT count(*) FROM rule_sets") == 2


async def test_dry_run_tells_which_calls_would_have_gone_elsewhere(api: Api, floor: Floor) -> None:
    await floor.open()
    await floor.transact(lambda tx: a_customer(tx, name="Maria", phone="+14155550177", tier=Tier.VIP))
    vip = await floor.ring("support", from_="+14155550177")
    plain = await floor.ring("support")
    sales = await floor.ring("sales")
    admin = await api.logged_in(Role.ADMIN)
    rules = [
        {"name": "VIP", "when": VIP, "then": {"tier": 2}},
        {"name": "No sales today", "when": SALES, "then": {"queue": "support", "boost_s": 30}},
        {"name": "Gold", "when": {**VIP, "value": "gold"}},
        {"name": "rest"},
    ]
    version = (await got(await admin.post("/api/v1/rulesets", json={"rules": rules}), 201))["version"]
    found = await got(await admin.get(f"/api/v1/rulesets/{version}/dry-run?last=10"))
    assert (found["looked_at"], found["same"], found["different"], found["without_facts"]) == (3, 1, 2, 0)
    assert sorted((move["before"], move["after"], move["changed"], move["calls"]) for move in found["moves"]) == [
        ("default", "No sales today", ["queue", "boost_s"], 1),
        ("default", "VIP", ["tier"], 1),
    ]
    assert found["by_rule"] == {"VIP": 1, "No sales today": 1, "Gold": 0, "rest": 1}
    by_item = {each["work_item_id"]: each for each in found["examples"]}
    assert set(by_item) == {vip.item_id, sales.item_id}
    assert (by_item[sales.item_id]["before"]["queue"], by_item[sales.item_id]["after"]["queue"]) == ("sales", "support")
    assert by_item[vip.item_id]["ticket_id"] == vip.ticket_id
    newest = await got(await admin.get(f"/api/v1/rulesets/{version}/dry-run?last=1"))
    assert (newest["looked_at"], newest["different"]) == (1, 1)
    await got(await admin.get(f"/api/v1/rulesets/{version}/dry-run?last=0"), 422)
    await got(await admin.get("/api/v1/rulesets/99/dry-run"), 404)
    assert await floor.value("SELECT version FROM rule_sets WHERE is_published") == 1
    assert (await floor.item(plain))["rule"] == "default"


async def test_dry_run_compares_with_the_version_each_call_came_with(floor: Floor) -> None:
    """What people moved afterwards, and rules put in force since, are no difference of these rules."""
    await floor.open(rules="- {name: first, then: {tier: 1}}")
    first = await floor.ring()
    await floor.open(rules="- {name: second, then: {tier: 2}}")
    second = await floor.ring()
    await floor.execute("UPDATE work_items SET tier = 9, version = version + 1 WHERE id = $1", first.item_id)
    async with floor.database.acquire() as conn:
        found = await dry_run(conn, [{"name": "third", "then": {"tier": 1}}], last=100)
    assert (found.same, found.different) == (1, 1)
    assert found.moves == (Move("second", "third", ("tier",), 1),)
    assert [example.work_item_id for example in found.examples] == [second.item_id]


async def test_items_from_before_facts_were_kept_are_counted_apart(floor: Floor) -> None:
    await floor.open()
    old = await floor.ring()
    await floor.ring()
    await floor.execute("UPDATE work_items SET facts = '{}' WHERE id = $1", old.item_id)
    async with floor.database.acquire() as conn:
        found = await dry_run(conn, [{"name": "rest"}], last=100)
        nothing = await dry_run(conn, [{"name": "rest"}], last=1)
    assert (found.looked_at, found.same, found.different, found.without_facts) == (2, 1, 0, 1)
    assert (nothing.looked_at, nothing.same) == (1, 1)


async def test_rules_by_the_command_line(
    floor: Floor, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    await floor.open()
    await floor.ring("sales")
    file = tmp_path / "org.yaml"
    file.write_text(
        f"{ORG}rules:\n"
        "  - {name: Sales, when: {field: call.queue, op: '==', value: sales},\n"
        "     then: {queue: sales, tier: 1, steps: [{after_s: 0, require: [{skill: german}]}]}}\n"
        "  - {name: rest}\n"
    )
    assert await run("rules", "dry-run", "--file", str(file)) == 0
    said = capsys.readouterr().out
    assert "line 21" in said
    assert "nobody who serves sales can serve this step" in said
    assert "1 calls" in said
    assert "1 would go otherwise, 0 as they went" in said
    assert "default -> Sales: other tier, steps" in said
    assert "rule 'rest' would have taken none of them" in said
    assert await run("rules", "show", "--file", str(file), "--language", "zh-CN") == 0
    assert "如果拨入的队列为“Sales”：进入队列“Sales”，优先级1。" in capsys.readouterr().out
    assert await run("rules", "dry-run") == 1
    assert "say which rules" in capsys.readouterr().err
    assert await run("rules", "dry-run", "7") == 1
    assert "no rules of version 7" in capsys.readouterr().err
    await floor.open(rules="- {name: second}")
    assert await run("rules", "publish", "1") == 0
    assert await run("rules", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:1] for line in lines[-2:]] == [["2"], ["*"]]
    assert await run("rules", "show") == 0
    assert "Otherwise: the dialled queue." in capsys.readouterr().out
    file.write_text(
        f"{ORG}rules:\n  - {{name: a, when: {{field: call.to, op: exists}}}}\n  - {{name: b, when: {{field: call.to, op: '==', value: x}}}}\n  - {{name: c}}\n"
    )
    assert await run("apply", str(file)) == 1
    error = capsys.readouterr().err
    assert "line 21" in error
    assert "'b' is never reached" in error
