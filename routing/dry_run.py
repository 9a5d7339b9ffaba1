"""What other rules would have done with the calls that came: which would have gone elsewhere, and how.

Each work item keeps the facts that its rules saw when it entered the line. Both sides are decided again from those facts, by the version the
item entered with and by the rules in question, so that later moves by people do not count as a difference. Reads only.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from infra.postgres import Connection
from routing import queries as sql
from routing.model import Sticky
from routing.rules import Facts, RuleSet, compile_rules

MAX_LAST: Final = 10_000
MAX_EXAMPLES: Final = 50
AT_ONCE: Final = 500
"""Items between two breaths of the event loop."""


@dataclass(frozen=True, slots=True)
class Outcome:
    rule: str
    queue: str
    tier: int
    boost_s: int
    steps: tuple[Mapping[str, Any], ...]
    sticky: Sticky | None


@dataclass(frozen=True, slots=True)
class Example:
    work_item_id: int
    call_id: int | None
    ticket_id: int
    entered_at: datetime
    before: Outcome
    after: Outcome
    changed: tuple[str, ...]
    """Of queue, tier, boost_s, steps, sticky."""


@dataclass(frozen=True, slots=True)
class Move:
    """So many calls went by the rule `before` and would go by `after`, with these differences."""

    before: str
    after: str
    changed: tuple[str, ...]
    calls: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """`looked_at` = `same` + `different` + `without_facts` (tickets, calls from before facts were kept, or whose version is gone)."""

    looked_at: int
    same: int
    different: int
    without_facts: int
    since: datetime | None
    moves: tuple[Move, ...]
    examples: tuple[Example, ...]
    by_rule: Mapping[str, int]
    """How many calls each rule in question would have taken; a rule with 0 took none."""


async def dry_run(conn: Connection, documents: Sequence[Mapping[str, Any]], *, last: int) -> DryRun:
    """Over the `last` work items, newest first. `documents` have passed `rules.check`."""
    rules = compile_rules(0, documents)
    rows = await conn.fetch(sql.RECENT_ITEMS, last)
    versions = {row["ruleset_version"] for row in rows}
    then = {
        row["version"]: compile_rules(row["version"], row["rules"])
        for row in await conn.fetch(sql.RULE_SETS_BY_VERSION, list(versions))
    }
    moves: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    by_rule = Counter({rule.name: 0 for rule in rules.rules})
    examples: list[Example] = []
    without_facts = same = 0
    for number, row in enumerate(rows, 1):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        facts, in_force = row["facts"], then.get(row["ruleset_version"])
        if "call.queue" not in facts or in_force is None:
            without_facts += 1
            continue
        before, after = outcome(in_force, facts), outcome(rules, facts)
        by_rule[after.rule] += 1
        changed = differences(before, after)
        if not changed:
            same += 1
            continue
        moves[before.rule, after.rule, changed] += 1
        if len(examples) < MAX_EXAMPLES:
            examples.append(
                Example(row["id"], row["call_id"], row["ticket_id"], row["entered_at"], before, after, changed)
            )
    return DryRun(
        looked_at=len(rows),
        same=same,
        different=moves.total(),
        without_facts=without_facts,
        since=rows[-1]["entered_at"] if rows else None,
        moves=tuple(Move(*key, calls) for key, calls in moves.most_common()),
        examples=tuple(examples),
        by_rule=dict(by_rule),
    )


def outcome(rules: RuleSet, facts: Facts) -> Outcome:
    rule = rules.first_match(facts)
    then = rule.then
    return Outcome(rule.name, then.queue or str(facts["call.queue"]), then.tier, then.boost_s, then.steps, then.sticky)


def differences(before: Outcome, after: Outcome) -> tuple[str, ...]:
    return tuple(
        name
        for name in ("queue", "tier", "boost_s", "steps", "sticky")
        if getattr(before, name) != getattr(after, name)
    )
