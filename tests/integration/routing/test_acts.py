"""What supervisors do to the line: rank anew, hold, undo."""

from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from core.errors import VersionConflict
from core.principal import Principal, Role
from routing import acts
from routing.acts import TooLateToUndo
from routing.model import NotWaiting
from tests.api import Api
from tests.integration.routing.floor import POOL, Floor
from tests.integration.routing.test_http import got

SAM = Principal(999_001, Role.SUPERVISOR, "Sam", "sam@example.com")
KIM = Principal(999_002, Role.SUPERVISOR, "Kim", "kim@example.com")


async def rank(floor: Floor, item_id: int, version: int = 1, *, who: Principal = SAM, **wanted: int) -> acts.Act:
    values = {"tier": None, "boost_s": None} | wanted
    _, act = await floor.transact(
        lambda tx: acts.prioritise(
            tx, item_id=item_id, tier=values["tier"], boost_s=values["boost_s"], version=version, who=who
        )
    )
    return act


async def hold(floor: Floor, queue: str = "support", *, is_held: bool = True) -> acts.Act:
    return await floor.hold(queue, is_held=is_held, who=SAM)


async def undo(floor: Floor, act: acts.Act, *, who: Principal = SAM, later_s: float = 0) -> tuple[str, str]:
    return await floor.transact(lambda tx: acts.undo(tx, act_id=act.id, who=who), later_s=later_s)


# --- ranking anew -----------------------------------------------------------------------------------------------------------------


async def test_a_new_tier_acts_at_once_and_r18_says_who_did_it(floor: Floor) -> None:
    await floor.open()
    first, second = await floor.ring(waited_s=9), await floor.ring()
    await rank(floor, second.item_id, tier=3)
    await floor.arrive("ava")
    assert await floor.dispatch() == [("ava", second.item_id)]
    row = await floor.row("SELECT actor_id, before, after FROM audit_log WHERE action = 'work_item.prioritise'")
    assert row == {
        "actor_id": SAM.user_id,
        "before": {
            "tier": 0,
            "boost_s": 0,
            "is_tier_by_hand": False,
            "is_boost_by_hand": False,
            "ruleset_version": 1,
            "version": 1,
        },
        "after": {
            "tier": 3,
            "boost_s": 0,
            "is_tier_by_hand": True,
            "is_boost_by_hand": False,
            "ruleset_version": 1,
            "version": 2,
        },
    }
    assert (await floor.item(first))["state"] == "queued"


async def test_a_head_start_moves_virtual_start_and_nothing_else(floor: Floor) -> None:
    await floor.open()
    first, second = await floor.ring(waited_s=9), await floor.ring()
    before = await floor.item(second)
    await rank(floor, second.item_id, boost_s=60)
    after = await floor.item(second)
    assert after["virtual_start"] == before["entered_at"] - timedelta(seconds=60)
    assert after["entered_at"] == before["entered_at"]
    await floor.arrive("ava", "ben")
    assert {item for _, item in await floor.dispatch()} == {first.item_id, second.item_id}
    decided = await floor.fetch("SELECT work_item_id FROM decisions ORDER BY id")
    assert [row["work_item_id"] for row in decided] == [second.item_id, first.item_id]


async def test_who_looked_at_an_older_version_is_told(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    await rank(floor, call.item_id, tier=1)
    with pytest.raises(VersionConflict):
        await rank(floor, call.item_id, tier=2)
    assert (await floor.item(call))["tier"] == 1


async def test_only_what_is_in_line_can_be_ranked(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ava")
    call = await floor.ring()
    await floor.dispatch()
    item = await floor.item(call)
    await rank(floor, call.item_id, item["version"], tier=2)  # it rings: its place counts if it comes back
    await floor.accept("ava")
    item = await floor.item(call)
    with pytest.raises(NotWaiting):
        await rank(floor, call.item_id, item["version"], tier=4)


# --- holding a queue ----------------------------------------------------------------------------------------------------------------


async def test_a_held_queue_offers_nobody_and_others_are_served(floor: Floor) -> None:
    await floor.open()
    await floor.arrive("ben")
    held, other = await floor.ring(waited_s=9), await floor.ring("sales")
    await hold(floor)
    assert await floor.dispatch() == [("ben", other.item_id)]
    later = await floor.ring()
    await floor.arrive("ava")
    assert [item for _, item in await floor.dispatch()] == [other.item_id], "new callers are taken and wait too"
    await hold(floor, is_held=False)
    names = await floor.events("queue.hold_changed")
    assert [body for _, body in names] == [
        {"queue": "support", "pool": POOL, "is_held": True},
        {"queue": "support", "pool": POOL, "is_held": False},
    ]
    assert ("ava", held.item_id) in await floor.dispatch()
    assert (await floor.item(later))["state"] == "queued"


async def test_holding_twice_changes_nothing(floor: Floor) -> None:
    await floor.open()
    await hold(floor)
    since = await floor.value("SELECT held_since FROM queues WHERE key = 'support'")
    await hold(floor)
    assert await floor.value("SELECT held_since FROM queues WHERE key = 'support'") == since
    assert len(await floor.events("queue.hold_changed")) == 1
    await hold(floor, is_held=False)


async def test_who_has_not_seen_that_a_queue_is_held_or_released_is_told(floor: Floor) -> None:
    await floor.open()
    seen = await floor.hold_version()
    await hold(floor)
    with pytest.raises(VersionConflict, match="held or released since"):
        await floor.hold(is_held=False, who=KIM, version=seen)
    assert await floor.value("SELECT held_since IS NOT NULL FROM queues WHERE key = 'support'")
    await floor.hold(is_held=False, who=KIM, version=seen + 1)


# --- undoing ------------------------------------------------------------------------------------------------------------------------


async def test_an_act_is_undone_and_that_is_an_act_too(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    act = await rank(floor, call.item_id, tier=3, boost_s=30)
    assert await undo(floor, act) == ("work_item", str(call.item_id))
    item = await floor.item(call)
    assert (item["tier"], item["boost_s"], item["virtual_start"], item["version"]) == (0, 0, item["entered_at"], 3)
    rows = await floor.fetch("SELECT purpose FROM audit_log WHERE action = 'work_item.prioritise' ORDER BY id")
    assert [row["purpose"] for row in rows] == [None, f"undo of {act.id}"]
    held = await hold(floor)
    assert await undo(floor, held) == ("queue", "support")
    assert await floor.value("SELECT held_since IS NULL FROM queues WHERE key = 'support'")


async def test_what_cannot_be_undone_any_more(floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    act = await rank(floor, call.item_id, tier=3)
    with pytest.raises(TooLateToUndo, match="10 s"):
        await undo(floor, act, later_s=11)
    with pytest.raises(Exception, match="no such act of yours"):
        await undo(floor, act, who=KIM)
    await rank(floor, call.item_id, 2, tier=5, who=KIM)
    with pytest.raises(TooLateToUndo, match="again"):
        await undo(floor, act)
    held = await hold(floor)
    await hold(floor, is_held=False)
    await hold(floor)
    with pytest.raises(TooLateToUndo, match="held or released"):  # it looks as then, but others have decided since
        await undo(floor, held)
    assert (await floor.item(call))["tier"] == 5


# --- over HTTP ----------------------------------------------------------------------------------------------------------------------


async def lead(api: Api) -> ClientSession:
    return await api.logged_in(Role.SUPERVISOR)


async def test_a_supervisor_ranks_holds_and_undoes(api: Api, floor: Floor) -> None:
    await floor.open()
    call = await floor.ring()
    sam = await lead(api)
    path = f"/api/v1/work-items/{call.item_id}"
    ranked = await got(await sam.patch(path, json={"tier": 2, "version": 1}))
    assert {name: ranked[name] for name in ("id", "state", "queue", "tier", "boost_s", "version")} == {
        "id": call.item_id, "state": "queued", "queue": "support", "tier": 2, "boost_s": 0, "version": 2
    }  # fmt: skip
    assert (await got(await sam.patch(path, json={"tier": 3, "version": 1}), 409))["code"] == "version_conflict"
    await got(await sam.patch(path, json={"version": 2}), 422)
    await got(await sam.patch(path, json={"tier": 10, "version": 2}), 422)
    await got(await sam.patch("/api/v1/work-items/9999999", json={"tier": 1, "version": 1}), 404)
    explained = await got(await sam.get(f"{path}/explain"))
    item: dict[str, Any] = explained["work_item"]
    assert (item["tier"], item["boost_s"], item["version"]) == (2, 0, 2)
    seen = await floor.hold_version()
    holding = {"is_held": True, "reason": "fire alarm"}
    await got(await sam.put("/api/v1/queues/support/hold", json=holding), 422)
    held = await got(await sam.put("/api/v1/queues/support/hold", json=holding | {"version": seen}))
    assert (held["held_since"] is not None, held["hold_version"]) == (True, seen + 1)
    again = await got(await sam.put("/api/v1/queues/support/hold", json={"is_held": False, "version": seen}), 409)
    assert again["code"] == "version_conflict"
    board = await got(await sam.get("/api/v1/queues/live"))
    (support,) = [q for q in board["queues"] if q["key"] == "support"]
    assert (support["held_since"] is not None, support["hold_version"]) == (True, seen + 1)
    said = (await got(await sam.get(f"{path}/explain")))["sentences"][0]
    assert said["en"] == f"{held['held_by']} holds the queue Support: nobody is asked until it is released."
    undone = await got(await sam.post(f"/api/v1/acts/{held['undo']['id']}/undo", json={}))
    assert undone == {"object_kind": "queue", "object_id": "support"}
    assert (await got(await sam.post(f"/api/v1/acts/{held['undo']['id']}/undo", json={}), 409))[
        "code"
    ] == "too_late_to_undo"
    await got(await sam.put("/api/v1/queues/nowhere/hold", json={"is_held": True, "version": 1}), 404)
    await got(await sam.put("/api/v1/queues/a%00b/hold", json={"is_held": True, "version": 1}), 404)
