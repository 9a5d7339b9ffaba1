"""Other rules for those who are in line already: first shown, then done, only when somebody says so.

An item keeps the version of the rules it came with. Deciding it again takes the facts that its rules saw then, so that the same call
is asked again and not a later one. What the two versions say alike stays as it is, so a rank that a supervisor gave stays as well. Entry and place
among equals never change: `virtual_start` is the entry less the boost.

An item that is just being offered stays with that offer. It is marked (`reroute_version`), and goes by the rules that were meant once it is in line again,
if those are in force then.
Work is done in batches, each a transaction: whoever wants all of it asks until nothing is left. Doing it again changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.errors import Conflict, NotFound
from infra.outbox import Tx
from infra.postgres import Connection
from routing import queries as sql
from routing.dry_run import AT_ONCE, MAX_EXAMPLES, Example, Move, Outcome, differences, outcome
from routing.line import tell_queued
from routing.model import ItemState
from routing.rules import RuleSet, compile_rules
from routing.sticky import whom

MAX_LOOKED_AT: Final = 10_000
BATCH: Final = 200
ACTION: Final = "ruleset.re_evaluate"


class NotInForce(Conflict):
    code, title = "not_in_force", "These rules are not in force"


@dataclass(frozen=True, slots=True)
class Preview:
    """`waiting` = `by_these_rules` + `same` + `different` + `without_facts` + `not_looked_at`.

    Of the `different`, `under_offer` move when their offer ends without an answer. `without_facts` entered before facts were kept, or their
    version is gone, or an agent has transferred them to a queue: they stay as they are. `not_looked_at` is what exceeds the limit."""

    version: int
    waiting: int
    by_these_rules: int
    same: int
    different: int
    under_offer: int
    without_facts: int
    not_looked_at: int
    moves: tuple[Move, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """One batch. `moved` and `after_offer` are ids of items; `same` go by the new version, which says the same of them."""

    version: int
    moved: tuple[int, ...]
    after_offer: tuple[int, ...]
    same: int
    left: int
    """How many are still to be decided: ask again."""

    def for_audit(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "moved": self.moved,
            "after_offer": self.after_offer,
            "same": self.same,
            "left": self.left,
        }


@dataclass(frozen=True, slots=True)
class _Decided:
    item: Any
    """The row."""
    before: Outcome
    after: Outcome
    changed: tuple[str, ...]


async def preview(conn: Connection, version: int) -> Preview:
    """What these rules would change for those in line. They need not be in force. Reads only. Raises NotFound."""
    rules = compile_rules(version, await _rules(conn, version))
    counted = await conn.fetchrow(sql.IN_LINE_COUNTED, version)
    assert counted is not None
    rows = await conn.fetch(sql.IN_LINE_BY_OTHER_RULES, version, MAX_LOOKED_AT)
    known = await _rules_of(conn, rows)
    moves: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    examples: list[Example] = []
    same = under_offer = 0
    for number, row in enumerate(rows, 1):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        found = _decide(row, known, rules)
        if not found.changed:
            same += 1
        else:
            moves[found.before.rule, found.after.rule, found.changed] += 1
            under_offer += row["state"] == ItemState.OFFERING
            if len(examples) < MAX_EXAMPLES:
                examples.append(_example(found))
    looked_at = counted["by_these"] + counted["without_facts"] + len(rows)
    return Preview(
        version=version,
        waiting=max(counted["waiting"], looked_at),
        by_these_rules=counted["by_these"],
        same=same,
        different=moves.total(),
        under_offer=under_offer,
        without_facts=counted["without_facts"],
        not_looked_at=max(0, counted["waiting"] - looked_at),
        moves=tuple(Move(*key, calls) for key, calls in moves.most_common()),
        examples=tuple(examples),
    )


def _example(found: _Decided) -> Example:
    item = found.item
    return Example(
        item["id"], item["call_id"], item["ticket_id"], item["entered_at"], found.before, found.after, found.changed
    )


async def apply(tx: Tx, version: int, *, at_most: int = BATCH) -> Applied:
    """Decide so many of those in line again, by the rules in force, and wake their pools. Raises NotFound, NotInForce.

    Locks: pools, so that no pass of the dispatcher has seen them as they were; queues; items by id."""
    documents = await _rules(tx.conn, version)
    rows = await tx.conn.fetch(sql.IN_LINE_BY_OTHER_RULES, version, at_most)
    for pool in sorted({row["pool_id"] for row in rows}):
        await tx.conn.execute(sql.LOCK_POOL, pool)
    known, rules = await _rules_of(tx.conn, rows), compile_rules(version, documents)
    decided = {row["id"]: _decide(row, known, rules) for row in rows}
    for queue in sorted({found.after.queue for found in decided.values() if "queue" in found.changed}):
        await tx.conn.fetchval(sql.LOCK_QUEUE, queue)
    locked = {row["id"]: row for row in await tx.conn.fetch(sql.LOCK_IN_LINE, list(decided))}
    if not await tx.conn.fetchval(sql.IS_PUBLISHED, version):
        raise NotInForce(f"Publish version {version} first, or apply the one that is in force.")
    same, later, moved = [], [], []
    for item_id, found in decided.items():
        now = locked.get(item_id)
        if now is None or now["ruleset_version"] != found.item["ruleset_version"]:
            continue
        if not found.changed:
            same.append(found)
        elif now["state"] == ItemState.OFFERING:
            later.append(item_id)
        else:
            row = await _move(tx, replace(found, item={**found.item, **now}), version)
            await tell_queued(tx, row["id"], row["version"], row["pool_id"], row["queue"], row["call_id"])
            moved.append(item_id)
    await tx.conn.execute(sql.PIN_ITEMS, [f.item["id"] for f in same], [f.after.rule for f in same], version)
    await tx.conn.execute(sql.REROUTE_LATER, later, version)
    left = await tx.conn.fetchrow(sql.IN_LINE_COUNTED, version)
    assert left is not None
    return Applied(
        version, tuple(moved), tuple(later), len(same), left["waiting"] - left["by_these"] - left["without_facts"]
    )


async def back_in_line(tx: Tx, item_id: int) -> Mapping[str, Any] | None:
    """The item, which is locked, is in line again: if it was decided again meanwhile, it goes where it was sent, and is returned."""
    row = await tx.conn.fetchrow(sql.TO_REROUTE, item_id)
    if row is None:
        return None
    version = row["reroute_version"]
    if not await tx.conn.fetchval(
        sql.IS_PUBLISHED, version
    ):  # others are in force meanwhile: nobody has meant this any more
        await tx.conn.execute(sql.REROUTE_LATER, [item_id], None)
        return None
    rules = compile_rules(version, await _rules(tx.conn, version))
    return await _move(tx, _decide(row, await _rules_of(tx.conn, [row]), rules), version)


async def _rules(conn: Connection, version: int) -> list[Mapping[str, Any]]:
    row = await conn.fetchrow(sql.RULE_SET, version)
    if row is None:
        raise NotFound("There is no such rule set.")
    rules: list[Mapping[str, Any]] = row["rules"]
    return rules


async def _rules_of(conn: Connection, rows: Sequence[Any]) -> dict[int, RuleSet]:
    """The rules that these items came with. Version 0 is what counts where none are published."""
    versions = sorted({row["ruleset_version"] for row in rows})
    found = await conn.fetch(sql.RULE_SETS_BY_VERSION, versions)
    return {0: compile_rules(0, [{"name": "default"}])} | {
        row["version"]: compile_rules(row["version"], row["rules"]) for row in found
    }


def _decide(item: Any, known: Mapping[int, RuleSet], rules: RuleSet) -> _Decided:
    before, after = outcome(known[item["ruleset_version"]], item["facts"]), outcome(rules, item["facts"])
    return _Decided(item, before, after, differences(before, after))


async def _move(tx: Tx, found: _Decided, version: int) -> Mapping[str, Any]:
    """The item is locked and in line. Returns it as it is now."""
    item, after = found.item, found.after
    queue = item["queue"]
    if "queue" in found.changed:  # rules may outlive a queue: then the item stays where it is
        queue = await tx.conn.fetchval(sql.LOCK_QUEUE, after.queue) or queue
    tier = item["tier"] if item["is_tier_by_hand"] and "tier" not in found.changed else after.tier
    boost_s = item["boost_s"] if item["is_boost_by_hand"] and "boost_s" not in found.changed else after.boost_s
    if queue != item["queue"]:
        await tx.conn.execute(sql.END_STINT, item["id"], "transferred_out", tx.now)
    row = await tx.conn.fetchrow(
        sql.REROUTE_ITEM, item["id"], queue, tier, boost_s, list(after.steps), after.rule, version
    )
    assert row is not None
    if "sticky" in found.changed:
        sticky, agent = after.sticky, None
        if sticky is not None:
            agent = await whom(
                tx.conn, sticky,
                customer_id=item["facts"].get("customer.id"), ticket_id=item["ticket_id"], entered_at=item["entered_at"],
            )  # fmt: skip
        await tx.conn.execute(sql.KEEP_ITEM_FOR, item["id"], agent, sticky and sticky.wait_s, sticky and sticky.if_away)
    await tx.conn.execute(sql.ADD_STINT, item["id"], tx.now)
    await tx.conn.execute(sql.SET_NEXT_LOOK, item["id"], tx.now)
    return dict(row)
