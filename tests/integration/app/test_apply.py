"""Applying the organisation file: the difference first, twice is once, and what is in use is not pulled away."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import apply as organisation
from app.apply import Change
from app.org import parse_org
from core.errors import Conflict
from core.principal import Role
from infra.outbox import Outbox, Tx
from infra.postgres import Database
from routing import rule_sets
from routing.dispatcher import BUSY, one_pass
from tests.builders import a_user
from tests.integration.routing.floor import POOL, Floor, a_floor

ORG = """
organisation: {time_zone: Europe/Berlin}
queues:
  - {key: support, name: {en: Support}}
  - {key: sales, name: {en: Sales}}
skills:
  - {key: billing, name: {en: Billing}}
agents:
  - {email: ava@example.com, name: Ava, queues: [support], skills: {billing: 4}}
  - {email: ben@example.com, name: Ben, queues: [support, sales], language: zh-CN}
numbers:
  - {number: "+14155550199", region: US, queue: support}
dispositions:
  - {key: resolved, name: {en: Resolved}, digit: 1}
rules:
  - name: VIP
    when: {field: customer.tier, op: "==", value: vip}
    then: {tier: 1, steps: [{after_s: 0, require: [{skill: billing}]}]}
  - name: Everybody
"""
TABLES = (
    "queues", "skills", "agents", "agent_queues", "numbers", "dispositions", "rule_sets", "users", "config_changes", "events",
    "audit_log", "agent_intervals", "ticket_settings",
)  # fmt: skip


@pytest.fixture
async def floor(database: Database, outbox: Outbox, clean: None) -> AsyncIterator[Floor]:
    async with a_floor(database, outbox) as opened:
        yield opened


async def apply(floor: Floor, text: str = ORG, *, replace_rules: bool = False, dry_run: bool = False) -> list[str]:
    """The lines of the difference."""
    org = parse_org(text)
    changes = await floor.transact(
        lambda tx: organisation.apply(tx, org, by="test", replace_rules=replace_rules, dry_run=dry_run)
    )
    return [str(change) for change in changes]


async def contents(floor: Floor) -> dict[str, list[dict[str, object]]]:
    return {
        table: sorted(await floor.fetch(f"SELECT * FROM {table}"), key=lambda row: str(list(row.values())))
        for table in TABLES
    }


# --- the difference ---------------------------------------------------------------------------------------------------------------


async def test_the_first_time_adds_everything(floor: Floor) -> None:
    assert await apply(floor) == [
        "~ organisation (time_zone)",
        "+ queue support",
        "+ queue sales",
        "+ skill billing",
        "+ agent ava@example.com",
        "+ agent ben@example.com",
        "+ number +14155550199",
        "+ disposition resolved",
        "+ rules (2)",
    ]
    queues = await floor.fetch("SELECT key, pool_id, zone, position FROM queues ORDER BY position")
    assert queues == [
        {"key": "support", "pool_id": "pool_sales", "zone": "Europe/Berlin", "position": 0},
        {"key": "sales", "pool_id": "pool_sales", "zone": "Europe/Berlin", "position": 1},
    ]
    agents = await floor.fetch("SELECT name, skills, pool_id, presence, total_units FROM agents ORDER BY name")
    assert agents == [
        {"name": "Ava", "skills": {"billing": 4}, "pool_id": "pool_sales", "presence": "offline", "total_units": 1},
        {"name": "Ben", "skills": {}, "pool_id": "pool_sales", "presence": "offline", "total_units": 1},
    ]
    assert await floor.fetch("SELECT version, origin, created_by, is_published FROM rule_sets") == [
        {"version": 1, "origin": "org.yaml", "created_by": "test", "is_published": True}
    ]
    assert [name for name, _ in await floor.events("config.applied", "ruleset.published")] == [
        "ruleset.published", "config.applied"
    ]  # fmt: skip


async def test_the_second_time_there_is_nothing_to_change(floor: Floor) -> None:
    await apply(floor)
    before = await contents(floor)
    assert await apply(floor) == []
    assert await contents(floor) == before


async def test_a_dry_run_tells_the_same_and_writes_nothing(floor: Floor) -> None:
    before = await contents(floor)
    told = await apply(floor, dry_run=True)
    assert await contents(floor) == before
    assert await apply(floor) == told


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("time_zone: Europe/Berlin", "time_zone: UTC", ["~ organisation (time_zone)", "~ queue support (zone)", "~ queue sales (zone)"]),
        ("{en: Support}", "{en: Help}", ["~ queue support (name)"]),
        ("{en: Sales}}", "{en: Sales}, offer_timeout_s: 9, wrap_up: {mode: none}, service_level: {target: 0.75}}",
         ["~ queue sales (target, offer_timeout_s, wrap_mode)"]),
        ("{en: Sales}}", "{en: Sales}, cool_downs: {busy_s: 5, no_answer_s: 60}, misses_before_not_responding: 3, wrap_up: {extension_s: 0, default_disposition: resolved}}",
         ["~ queue sales (wrap_extension_s, default_disposition, busy_s, no_answer_s, misses_before_not_responding)"]),
        ("{billing: 4}", "{billing: 5}", ["~ agent ava@example.com (skills)"]),
        ("name: Ava, queues: [support]", "name: Eva, role: supervisor, queues: []", ["~ agent ava@example.com (name, role, queues)"]),
        ("language: zh-CN", "language: en", ["~ agent ben@example.com (language)"]),
        ("[support, sales]", "[sales, support]", []),
        ("agents:\n", "groups: [{key: all, queues: {sales: {}}}]\nagents:\n", []),
        ("[support, sales]", "[sales]", ["~ queue support (pool_id)", "~ agent ben@example.com (queues)"]),
        ("ava@example.com", "eva@example.com", ["- agent ava@example.com", "+ agent eva@example.com"]),
        ("ava@example.com", "AVA@example.com", []),
        ("{en: Billing}", "{en: Bills}", ["~ skill billing (name)"]),
        ("queue: support}", "queue: sales}", ["~ number +14155550199 (queue)"]),
        ("+14155550199", "+14155550198", ["- number +14155550199", "+ number +14155550198"]),
        ("digit: 1", "digit: 2", ["~ disposition resolved (digit)"]),
        ("tier: 1", "tier: 2", ["~ rules (2)"]),
        ("{after_s: 0, ", "{after_s: 0.0, ", []),
    ],
)  # fmt: skip
async def test_each_change_is_told_and_kept(floor: Floor, old: str, new: str, lines: list[str]) -> None:
    assert ORG.count(old) == 1
    await apply(floor)
    changed = ORG.replace(old, new)
    assert await apply(floor, changed, dry_run=True) == lines
    assert await apply(floor, changed) == lines
    assert await apply(floor, changed) == []
    assert len(await apply(floor)) == len(lines), "and back again"


async def test_the_ranks_of_a_group_are_those_of_its_agents(floor: Floor) -> None:
    group = "groups:\n  - {key: front, queues: {sales: {rank: %d}, support: {rank: 2, delay_s: 30}}}\nagents:\n"
    await apply(floor)
    ranked = ORG.replace("agents:\n", group % 1).replace("queues: [support, sales]", "group: front")
    assert await apply(floor, ranked) == ["~ agent ben@example.com (queues)"]
    assert await apply(floor, ranked) == []
    served = "SELECT queue_key, rank, delay_s FROM agent_queues m JOIN users u ON u.id = m.agent_id WHERE u.name = 'Ben' ORDER BY 1"
    assert [tuple(row.values()) for row in await floor.fetch(served)] == [("sales", 1, 0), ("support", 2, 30)]
    assert await apply(floor, ranked.replace("sales: {rank: 1}", "sales: {rank: 3}")) == [
        "~ agent ben@example.com (queues)"
    ]
    assert [tuple(row.values()) for row in await floor.fetch(served)] == [("sales", 3, 0), ("support", 2, 30)]
    assert await apply(floor) == ["~ agent ben@example.com (queues)"]
    assert [tuple(row.values()) for row in await floor.fetch(served)] == [("sales", 1, 0), ("support", 1, 0)]


async def test_a_zone_alone_is_a_change_too(floor: Floor) -> None:
    text = "organisation: {time_zone: UTC}\nqueues: [{key: a, name: {en: A}, time_zone: Asia/Tokyo}]"
    await apply(floor, text)
    assert await apply(floor, text.replace("time_zone: UTC", "time_zone: Asia/Tokyo")) == ["~ organisation (time_zone)"]
    assert await floor.value("SELECT time_zone FROM ticket_settings") == "Asia/Tokyo"


async def test_a_language_that_is_not_in_the_file_is_the_agents_own_choice(floor: Floor) -> None:
    await apply(floor)
    await floor.execute("UPDATE users SET language = 'zh-CN' WHERE email = 'ava@example.com'")
    assert await apply(floor) == []
    assert await apply(floor, ORG.replace(", language: zh-CN", "")) == []


async def test_somebody_who_exists_is_taken_over(floor: Floor) -> None:
    user = await floor.transact(lambda tx: a_user(tx, email="ava@example.com", name="Old", role=Role.AUDITOR))
    await apply(floor)
    row = await floor.row("SELECT name, role FROM users WHERE id = $1", user.id)
    assert row == {"name": "Ava", "role": "agent"}
    assert await floor.value("SELECT name FROM agents WHERE id = $1", user.id) == "Ava"


async def test_what_was_changed_is_on_record(floor: Floor) -> None:
    await apply(floor)
    lines = await apply(floor, ORG.replace("digit: 1", "digit: 2"))
    change = await floor.row("SELECT id, diff, applied_by FROM config_changes ORDER BY id DESC LIMIT 1")
    assert (change["diff"], change["applied_by"]) == (lines, "test")
    row = await floor.row("SELECT actor_kind, actor_name, object_id, after FROM audit_log ORDER BY id DESC LIMIT 1")
    assert row == {
        "actor_kind": "cli", "actor_name": "test", "object_id": str(change["id"]), "after": {"changes": lines}
    }  # fmt: skip


def test_how_a_change_reads() -> None:
    assert str(Change("queue", "a", "add")) == "+ queue a"
    assert str(Change("queue", "a", "remove")) == "- queue a"
    assert str(Change("queue", "a", "change", ("name", "zone"))) == "~ queue a (name, zone)"


# --- rules ----------------------------------------------------------------------------------------------------------------------------


async def publish(floor: Floor, version: int | None, rules: list[dict[str, object]]) -> None:
    async def act(tx: Tx) -> None:
        new = version or await rule_sets.add_rule_set(tx, rules, origin="api", by="ada@example.com")
        await rule_sets.publish_rule_set(tx, new)

    await floor.transact(act)


async def test_rules_published_elsewhere_are_not_overwritten_unasked(floor: Floor) -> None:
    await apply(floor)
    await publish(floor, None, [{"name": "From the API"}])
    with pytest.raises(Conflict, match=r"Rule set 2 was published elsewhere \(api, by ada@example.com\)"):
        await apply(floor)
    with pytest.raises(Conflict):
        await apply(floor, dry_run=True)
    assert await floor.value("SELECT version FROM rule_sets WHERE is_published") == 2
    assert await apply(floor, replace_rules=True) == ["~ rules (2)"]
    assert await floor.value("SELECT version FROM rule_sets WHERE is_published") == 3


async def test_the_same_rules_published_elsewhere_are_fine(floor: Floor) -> None:
    await apply(floor)
    await publish(floor, None, parse_org(ORG).rules)
    assert await apply(floor) == []


async def test_a_version_put_back_in_force_is_not_undone_unasked(floor: Floor) -> None:
    await apply(floor)
    await apply(floor, ORG.replace("tier: 1", "tier: 2"))
    await publish(floor, 1, [])
    with pytest.raises(Conflict, match="put back in force"):
        await apply(floor, ORG.replace("tier: 1", "tier: 2"))
    assert await apply(floor) == []


# --- while calls go on ---------------------------------------------------------------------------------------------------------------------


async def test_a_queue_with_callers_cannot_go(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring("de")
    without = "queues: [{key: support, name: {en: S}}, {key: sales, name: {en: S}}]"
    with pytest.raises(Conflict, match=r"still in the queue\(s\) de"):
        await apply(floor, without, replace_rules=True)
    assert await floor.value("SELECT is_active FROM queues WHERE key = 'de'")
    await floor.hang_up(call)
    assert "- queue de" in await apply(floor, without, replace_rules=True)
    assert not await floor.value("SELECT is_active FROM queues WHERE key = 'de'")
    assert "+ queue de" in await apply(floor, without[:-1] + ", {key: de, name: {en: D}}]")


async def test_a_call_that_enters_just_now_keeps_its_queue_or_goes_elsewhere(floor: Floor) -> None:
    """Never into a queue that is gone."""
    without = "queues: [{key: support, name: {en: S}}]"
    for _ in range(8):
        await floor.open()

        async def removed() -> bool:
            try:
                await apply(floor, without, replace_rules=True)
            except Conflict:
                return False
            return True

        call, was_removed = await asyncio.gather(floor.ring("de"), removed())
        queue = (await floor.item(call))["queue"]
        assert queue == ("support" if was_removed else "de")
        await floor.hang_up(call)


async def test_who_is_taken_out_gives_back_what_rings_and_gets_no_more(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    call = await floor.ring()
    await floor.dispatch()
    without = (
        "queues: [{key: support, name: {en: S}}]\nagents: [{email: ben@example.com, name: Ben, queues: [support]}]"
    )
    told = await apply(floor, without, replace_rules=True)
    assert "- agent ava@example.com" in told
    offer = await floor.offer(await floor.offer_of("ava"))
    assert (offer["state"], offer["reason"]) == ("rescinded", "agent_left")
    row = await floor.agent_row("ava")
    assert (row["is_active"], row["pool_id"], row["presence"], row["presence_reason"], row["used_units"]) == (
        False, None, "offline", "retired", 0
    )  # fmt: skip
    assert await floor.dispatch("pool_support") == [("ben", call.item_id)]
    assert await apply(floor, without) == []
    assert "+ agent ava@example.com" in await apply(floor, ORG, replace_rules=True)
    assert (await floor.agent_row("ava"))["is_active"]


async def test_who_is_taken_out_in_mid_call_finishes_it(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    await apply(floor, "queues: [{key: support, name: {en: S}}]", replace_rules=True)
    assert (await floor.item(call))["state"] == "assigned"
    await floor.hang_up(call)
    assert await floor.finish(call, "ava", None) == "closed"
    assert (await floor.agent_row("ava"))["used_units"] == 0


async def test_capacity_taken_away_in_mid_call_holds_from_its_end(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    await floor.talk(call, "ava")
    less = ORG.replace("skills: {billing: 4}", "skills: {billing: 4}, capacity: {voice: 0}")
    assert "~ agent ava@example.com (total_units)" in await apply(floor, less, replace_rules=True)
    assert await apply(floor, less) == []
    await floor.ring()
    assert await floor.dispatch() == []
    await floor.hang_up(call)
    await floor.finish(call, "ava")
    row = await floor.agent_row("ava")
    assert (row["total_units"], row["used_units"], row["over_by"]) == (0, 0, 0)
    assert await floor.dispatch() == []


async def test_who_waits_and_who_talks_moves_with_the_pool(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava", "ben")
    talking, ringing, waiting = [await floor.ring() for _ in range(3)]
    await floor.dispatch()
    await floor.talk(talking, "ava")
    apart = ORG.replace("queues: [support, sales]", "queues: [support]")
    assert "~ queue support (zone, pool_id)" in await apply(floor, apart, replace_rules=True)
    pools = await floor.fetch("SELECT DISTINCT pool_id FROM work_items")
    assert pools == [{"pool_id": "pool_support"}]
    assert await floor.dispatch("pool_support") == [("ben", ringing.item_id)]
    await floor.hang_up(ringing)
    assert await floor.dispatch("pool_support") == [("ben", waiting.item_id)]
    await floor.reject("ben")
    assert (await floor.events("work.queued"))[-1][1]["pool"] == "pool_support"


async def test_no_pass_decides_by_what_is_just_changing(floor: Floor) -> None:
    """R5: the skills that an offer was made by are those that hold when it is committed."""
    await floor.open()
    await floor.arrive("ava")
    await floor.ring()
    async with floor.outbox.transaction() as tx:
        await organisation.apply(tx, parse_org(ORG), by="test", replace_rules=True)
        assert await floor.transact(lambda other: one_pass(other, POOL)) == BUSY
    assert len(await floor.dispatch()) == 1


async def test_two_at_once_go_one_after_the_other(floor: Floor) -> None:
    first, second = await asyncio.gather(apply(floor), apply(floor))
    assert sorted([len(first), len(second)]) == [0, 9]
