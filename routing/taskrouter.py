"""Rules from a workflow of TaskRouter, and what of it has no counterpart here. Pure.

A filter becomes a rule, its targets become steps: they open after the time-outs of those before them together. What would send a call
to others than before is never left out quietly: a filter whose condition, queue or workers cannot be said here is left out whole, a target whose
workers cannot be said is left out, and the step before it goes on meanwhile. Each is named with its place and the way out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from routing.rules import FIELDS, MAX_NAME, Fault, check, check_leaf
from routing.text import BadText, syntax_tree

Place = tuple[str | int, ...]

_ALWAYS: Final = re.compile(r"\s*(\d+)\s*==?\s*\1\s*")
_WORKER: Final = re.compile(r"worker\.(?:routing\.)?(?:(skills)|levels\.(\w+))", re.ASCII)
_ORDER: Final = re.compile(r"\s*worker\.(?:routing\.)?levels\.(\w+)\s+DESC\s*", re.ASCII | re.IGNORECASE)
_KNOWN_OF_FILTER: Final = frozenset({"filter_friendly_name", "friendly_name", "expression", "targets"})
_KNOWN_OF_TARGET: Final = frozenset({"queue", "expression", "priority", "timeout", "order_by"})
_WAYS_OUT: Final = {
    "skip_if": "steps open by time here: give the next one a smaller after_s",
    "known_worker_sid": "rules here name skills, not people",
    "known_worker_friendly_name": "rules here name skills, not people",
}
TOP_TIER: Final = 9


@dataclass(frozen=True, slots=True)
class Imported:
    rules: list[dict[str, Any]]
    left_out: list[Fault]
    skills: frozenset[str]
    """What the rules require: these have to be among the skills of the organisation."""


@dataclass(slots=True)
class _Import:
    queues: Mapping[str, str]
    fields: Mapping[str, str]
    left_out: list[Fault] = field(default_factory=list)

    def leave_out(self, place: Place, message: str) -> None:
        self.left_out.append(Fault(place, message))


class _CannotSay(Exception):
    """Has no counterpart; the message is for the person who imports."""


def import_workflow(document: Any, *, queues: Mapping[str, str], fields: Mapping[str, str]) -> Imported:
    """`queues`: our queue by sid; `fields`: our field by the name of a task's attribute. Raises ValueError for what is no workflow."""
    routing = document.get("task_routing") if isinstance(document, dict) else None
    if not isinstance(routing, dict) or not isinstance(routing.get("filters", []), list):
        raise ValueError("this is no workflow: it has no task_routing with a list of filters")
    run = _Import(queues, fields)
    rules = list(_rules(run, routing.get("filters", [])))
    if not rules or "when" in rules[-1]:
        rules.append(_default(run, routing.get("default_filter")))
    for key in sorted(set(routing) - {"filters", "default_filter"}):
        run.leave_out(("task_routing", str(key)), "unknown")
    return Imported(_named(rules), run.left_out, frozenset().union(*map(_skills, rules)))


def _skills(rule: Mapping[str, Any]) -> frozenset[str]:
    steps = rule.get("then", {}).get("steps", ())
    return frozenset(each["skill"] for step in steps for each in (*step.get("require", ()), *step.get("order", ())))


def _rules(run: _Import, filters: list[Any]) -> Iterator[dict[str, Any]]:
    for index, document in enumerate(filters):
        place: Place = ("task_routing", "filters", index)
        if not isinstance(document, dict):
            run.leave_out(place, "a filter is an object")
            continue
        try:
            rule = _rule(run, document, place)
        except _CannotSay as error:
            run.leave_out(place, f"left out whole: {error}")
            continue
        yield rule
        if "when" not in rule:
            for later in range(index + 1, len(filters)):
                run.leave_out(("task_routing", "filters", later), "never reached: the filter before takes every task")
            return


def _rule(run: _Import, document: dict[str, Any], place: Place) -> dict[str, Any]:
    name = document.get("filter_friendly_name") or document.get("friendly_name") or f"filter {int(place[-1]) + 1}"
    rule: dict[str, Any] = {"name": str(name)[: MAX_NAME - 10].strip() or "rule"}
    expression = document.get("expression")
    if not isinstance(expression, str):
        raise _CannotSay("its expression is no text")
    if not _ALWAYS.fullmatch(expression):
        rule["when"] = _condition(run, expression)
    targets = document.get("targets")
    if not isinstance(targets, list) or not targets:
        raise _CannotSay("it has no targets")
    rule["then"] = _then(run, targets, (*place, "targets"))
    whole = [rule, {"name": f"not {rule['name']}"}] if "when" in rule else [rule]
    for fault in check(whole, queues=frozenset(run.queues.values()), skills=_skills(rule)):
        raise _CannotSay(f"{'.'.join(map(str, fault.place[2:]))}: {fault.message}")
    for key in sorted(set(document) - _KNOWN_OF_FILTER):
        run.leave_out((*place, str(key)), "unknown")
    return rule


def _condition(run: _Import, expression: str) -> dict[str, Any]:
    try:
        return _ours(run, syntax_tree(expression))
    except BadText as error:
        raise _CannotSay(f"expression: {error}") from None


def _ours(run: _Import, node: dict[str, Any]) -> dict[str, Any]:
    """With our fields. The depth was bounded by reading the text."""
    for group in ("all", "any"):
        if group in node:
            return {group: [_ours(run, child) for child in node[group]]}
    if "not" in node:
        return {"not": _ours(run, node["not"])}
    leaf = dict(node)
    for key in ("field", "other"):
        if key in leaf:
            name = leaf[key].removeprefix("task.")
            leaf[key] = run.fields.get(name, name)
            if leaf[key] not in FIELDS:
                raise _CannotSay(f"there is no field {name!r} here; say which is meant by --field {name}=…")
    for fault in check_leaf(leaf, ()):
        raise _CannotSay(f"{leaf['field']}: {fault.message}")
    return leaf


def _then(run: _Import, targets: list[Any], place: Place) -> dict[str, Any]:
    if not all(isinstance(target, dict) for target in targets):
        raise _CannotSay("its targets are not all objects")
    queue, after_s, tier = targets[0].get("queue"), 0.0, 0
    then: dict[str, Any] = {"queue": _queue(run, queue)}
    steps: list[dict[str, Any]] = []
    for index, target in enumerate(targets):
        at = (*place, index)
        if target.get("queue", queue) != queue:
            run.leave_out((*at, "queue"), "a rule has one queue here: this target and those after it are left out")
            break
        if "priority" in target:  # else the one before stays in force
            tier = _tier(run, target["priority"], (*at, "priority"), before=tier)
        for key in sorted(set(target) - _KNOWN_OF_TARGET):
            run.leave_out((*at, str(key)), _WAYS_OUT.get(key, "unknown"))
        if not set(target) & {"known_worker_sid", "known_worker_friendly_name"}:
            _add_step(run, steps, target, after_s, tier, at)
        timeout = _seconds(target.get("timeout"), (*at, "timeout"), run)
        if timeout is None:
            if index < len(targets) - 1:
                run.leave_out((*place, index + 1), "never reached: the target before has no time-out")
            break
        if index == len(targets) - 1:
            run.leave_out((*at, "timeout"), "after the last step a call here waits on; it does not go to the default")
        after_s += timeout
    if not steps:
        raise _CannotSay("none of its targets can be said here")
    _say_each_rank_once(then, steps)
    then["steps"] = steps
    return then


def _say_each_rank_once(then: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """The rule the first one, a step what is another than before."""
    in_force = 0
    for step, said_by in zip(steps, [then, *steps[1:]], strict=True):
        tier = step.pop("tier", 0)
        if tier != in_force:
            said_by["tier"] = in_force = tier


def _add_step(
    run: _Import, steps: list[dict[str, Any]], target: dict[str, Any], after_s: float, tier: int, at: Place
) -> None:
    try:
        require = _require(target.get("expression"))
    except _CannotSay as error:
        run.leave_out((*at, "expression"), f"this target is left out: {error}")
        return
    step: dict[str, Any] = (
        {"after_s": int(after_s) if after_s == int(after_s) else after_s} if steps else {"after_s": 0}
    )
    if require:
        step["require"] = [{"skill": skill, "level": level} for skill, level in require.items()]
    if tier:
        step["tier"] = tier
    if "order_by" in target:
        order = _ORDER.fullmatch(str(target["order_by"]))
        if order is None:
            run.leave_out((*at, "order_by"), "only an order by worker.levels.SKILL DESC can be said here")
        else:
            step["order"] = [{"skill": order[1]}]
    if steps and steps[-1]["after_s"] >= step["after_s"]:
        run.leave_out((*at[:-1], int(at[-1]) - 1), "left out: its time-out is 0")
        steps.pop()
        step["after_s"] = step["after_s"] if steps else 0
    steps.append(step)


def _require(expression: Any) -> dict[str, int]:
    """Levels by skill, of `worker.skills HAS "german" AND worker.levels.german >= 3`."""
    if expression is None or (
        isinstance(expression, str) and (_ALWAYS.fullmatch(expression) or not expression.strip())
    ):
        return {}
    try:
        node = syntax_tree(str(expression))
    except BadText as error:
        raise _CannotSay(str(error)) from None
    levels: dict[str, int] = {}
    pending = [node]
    while pending:
        part = pending.pop(0)
        if "all" in part:
            pending = [*part["all"], *pending]
            continue
        skill, level = _need(part)
        levels[skill] = max(level, levels.get(skill, 0))
    return levels


def _need(leaf: dict[str, Any]) -> tuple[str, int]:
    found = _WORKER.fullmatch(leaf.get("field", ""))
    value, op = leaf.get("value"), leaf.get("op")
    if found is not None and found[1] and op == "has" and isinstance(value, str):
        return value, 1
    if found is not None and found[2] and op in (">", ">=") and isinstance(value, int) and not isinstance(value, bool):
        level = value + 1 if op == ">" else value
        if 0 <= level <= 10:
            return found[2], level
        raise _CannotSay(f"levels go from 0 to 10, not to {level}")
    raise _CannotSay(
        'steps require skills, all of them together: worker.skills HAS "SKILL", worker.levels.SKILL >= 3, joined by AND'
    )


def _queue(run: _Import, sid: Any) -> str:
    if not isinstance(sid, str) or sid not in run.queues:
        raise _CannotSay(
            f"say which queue {sid} is by --queue {sid}=…" if isinstance(sid, str) else "it names no queue"
        )
    return run.queues[sid]


def _tier(run: _Import, priority: Any, at: Place, *, before: int) -> int:
    text = str(priority)
    if text.isdecimal() and text.isascii() and len(text) < 10:
        if int(text) <= TOP_TIER:
            return int(text)
        run.leave_out(at, f"tiers go from 0 to {TOP_TIER} here; {text} became {TOP_TIER}")
        return TOP_TIER
    run.leave_out(at, "is no whole number: what was said before it stays in force")
    return before


def _seconds(timeout: Any, at: Place, run: _Import) -> float | None:
    if timeout is None:
        return None
    text = str(timeout)
    if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text, re.ASCII):
        return float(text)
    run.leave_out(at, "is no number of seconds: read as none")
    return None


def _default(run: _Import, document: Any) -> dict[str, Any]:
    place: Place = ("task_routing", "default_filter")
    rule: dict[str, Any] = {"name": "default"}
    if not isinstance(document, dict):
        run.leave_out(place, "is missing: such tasks end in TaskRouter, here they wait in the queue that was dialled")
        return rule
    try:
        rule["then"] = {"queue": _queue(run, document.get("queue"))}
    except _CannotSay as error:
        run.leave_out((*place, "queue"), f"{error}; the rule takes the queue that was dialled")
    for key in sorted(set(document) - {"queue"}):
        run.leave_out((*place, str(key)), _WAYS_OUT.get(key, "not taken over"))
    return rule


def _named(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each name once."""
    seen: set[str] = set()
    for rule in rules:
        name, number = rule["name"], 1
        while rule["name"] in seen:
            number += 1
            rule["name"] = f"{name} {number}"
        seen.add(rule["name"])
    return rules
