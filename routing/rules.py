"""The rule language: a typed JSON tree, checked when it is applied, compiled to closures, explained leaf by leaf.

    node  = {"all": [node…]} | {"any": [node…]} | {"not": node} | leaf
    leaf  = {"field": "customer.tier", "op": "==", "value": "vip"}        (or "other": "<field>" instead of "value")
    rule  = {"name": …, "when": node?, "then": {"queue"?, "tier"?, "boost_s"?, "sticky"?, "steps"?}}
    sticky = {"agent": "last_agent" | "ticket_owner" | address, "wait_s": 30, "if_away": false?}
    step  = {"after_s": 0, "require": [{"skill": "billing", "level": 3}]?, "prefer": [need…]?, "order": [criterion…]?, "offers": 1?,
             "tier"?, "boost_s"?}                                          (of a step: from there on, until a later step says another)

Semantics are total and two-valued (reference/routing.md §5.4): a missing field is null; `==` with null is false, and so are order
comparisons, membership and text tests with null or with a value of another type. `!=` and `not_in` are the negations of `==` and
`in`, so with null they are true. No loops, no user functions, no regular expressions. The first rule that matches wins; the last
one must be the default (no `when`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Final, TypeGuard

from routing.model import LAST, PICKS, By, Sticky, Whom

Facts = Mapping[str, Any]
Test = Callable[[Facts], bool]

MAX_DEPTH: Final = 64
MAX_LEAVES: Final = 500
MAX_BYTES: Final = 16 * 1024
MAX_RULES: Final = 200
MAX_STEPS: Final = 20
MAX_NAME: Final = 120
MAX_NUMBER: Final = 10**15
MAX_AFTER_S: Final = 86_400
MAX_CRITERIA: Final = 5
MAX_STICKY_S: Final = 3600
RANK: Final = {"tier": 9, "boost_s": 86_400}
"""What puts an item before others, with the highest value; 0 is the lowest, and what counts where nothing is said."""
STEP_KEYS: Final = ("after_s", "require", "prefer", "order", "offers", *RANK)


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    LIST = "list"
    CLOCK = "clock"


FIELDS: Final[dict[str, Kind]] = {
    "call.from": Kind.TEXT,
    "call.from_kind": Kind.TEXT,
    "call.to": Kind.TEXT,
    "call.language": Kind.TEXT,
    "call.queue": Kind.TEXT,
    "call.menu_choice": Kind.TEXT,
    "ticket.is_new": Kind.BOOL,
    "ticket.priority": Kind.TEXT,
    "ticket.state": Kind.TEXT,
    "ticket.tags": Kind.LIST,
    "ticket.queue": Kind.TEXT,
    "customer.id": Kind.NUMBER,
    "customer.match": Kind.TEXT,
    "customer.tier": Kind.TEXT,
    "customer.language": Kind.TEXT,
    "customer.company": Kind.TEXT,
    "work.channel": Kind.TEXT,
    "time.weekday": Kind.NUMBER,
    "time.clock": Kind.CLOCK,
}
"""The attribute catalogue. `work.channel` is voice or ticket; of a ticket nothing is known about a call. `time.weekday` is 1 (Monday) to 7; `time.clock` is minutes since local midnight."""

_ORDER: Final = frozenset({"<", "<=", ">", ">=", "between"})
_TEXT: Final = frozenset({"contains", "starts_with", "ends_with"})
_LISTS: Final = frozenset({"has", "has_any", "has_all"})
OPERATORS: Final[dict[Kind, frozenset[str]]] = {
    Kind.TEXT: frozenset({"==", "!=", "in", "not_in", "exists"}) | _TEXT,
    Kind.NUMBER: frozenset({"==", "!=", "in", "not_in", "exists"}) | _ORDER,
    Kind.BOOL: frozenset({"==", "!=", "exists"}),
    Kind.LIST: frozenset({"exists"}) | _LISTS,
    Kind.CLOCK: frozenset({"within_hours"}),
}
ALL_OPERATORS: Final = frozenset().union(*OPERATORS.values())


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong and where: `place` is the path inside the rule, e.g. `rules[2].when.all[0].op`."""

    place: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Then:
    """`tier` and `boost_s` are those of the first step. Where a step says another rank, each step of `steps` says its own."""

    queue: str | None
    tier: int
    boost_s: int
    steps: tuple[dict[str, Any], ...]
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: dict[str, Any] | None
    then: Then
    test: Test


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Immutable and numbered."""

    version: int
    rules: tuple[Rule, ...]

    def first_match(self, facts: Facts) -> Rule:
        for rule in self.rules:
            if rule.test(facts):
                return rule
        return self.rules[-1]  # unreachable for a checked set: the last rule has no `when`


# --- checking --------------------------------------------------------------------------------------------------------


def check(
    documents: Any, *, queues: frozenset[str], skills: frozenset[str], agents: frozenset[str] = frozenset()
) -> list[Fault]:
    """Every fault of an ordered list of rules, each with its place. Empty when the set may be published. `agents`: addresses."""
    faults: list[Fault] = []
    if not isinstance(documents, list) or not documents:
        return [Fault(("rules",), "needs at least one rule; the last one is the default, without `when`")]
    if len(documents) > MAX_RULES:
        return [Fault(("rules",), f"holds at most {MAX_RULES} rules")]
    names: set[str] = set()
    for index, document in enumerate(documents):
        place: tuple[str | int, ...] = ("rules", index)
        if not isinstance(document, dict):
            faults.append(Fault(place, "a rule is a mapping with name, when and then"))
            continue
        name = document.get("name")
        if not _is_text(name) or not name.strip() or len(name) > MAX_NAME:
            faults.append(Fault((*place, "name"), f"each rule needs a name of at most {MAX_NAME} characters"))
        elif name in names:
            faults.append(Fault((*place, "name"), f"two rules are called {name!r}"))
        else:
            names.add(name)
        faults += _unknown_keys(document, place, ("name", "when", "then"))
        is_last = index == len(documents) - 1
        if "when" in document:
            if is_last:
                faults.append(Fault((*place, "when"), "the last rule is the default and has no `when`"))
            faults += _check_tree(document["when"], (*place, "when"))
        elif not is_last:
            faults.append(
                Fault(place, "only the last rule may do without `when`: those after it would never be reached")
            )
        faults += _check_then(document.get("then"), (*place, "then"), queues, skills, agents)
    return faults


def _unknown_keys(document: dict[Any, Any], at: tuple[str | int, ...], known: tuple[str, ...]) -> list[Fault]:
    return [Fault((*at, str(key)), "unknown key") for key in document if key not in known]


def _shown(value: Any) -> str:
    """For messages: what is nested is only named, since it may be nested without end."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:59]}…")
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"


def _check_tree(node: Any, place: tuple[str | int, ...]) -> list[Fault]:
    """Without recursion, and done as soon as a limit is passed: aliases in a YAML file can make a small text an endless tree."""
    faults: list[Fault] = []
    leaves = 0
    stack: list[tuple[Any, tuple[str | int, ...], int]] = [(node, place, 1)]
    while stack:
        current, at, depth = stack.pop()
        if depth > MAX_DEPTH:
            return [*faults, Fault(place, f"a condition is nested at most {MAX_DEPTH} levels deep")]
        group = (
            next((key for key in ("all", "any", "not") if key in current), None) if isinstance(current, dict) else None
        )
        if group is None:
            leaves += 1
            if leaves > MAX_LEAVES:
                return [*faults, Fault(place, f"a condition has at most {MAX_LEAVES} comparisons")]
            faults += check_leaf(current, at)
        elif len(current) > 1:
            faults.append(Fault(at, f"`{group}` stands alone in its mapping"))
        elif group == "not":
            stack.append((current["not"], (*at, "not"), depth + 1))
        elif not isinstance(current[group], list) or not current[group]:
            faults.append(Fault((*at, group), f"`{group}` needs a list of at least one condition"))
        else:
            children = list(enumerate(current[group][: MAX_LEAVES + 1]))
            stack.extend((child, (*at, group, i), depth + 1) for i, child in reversed(children))
    if not faults and len(json.dumps(node, ensure_ascii=False).encode()) > MAX_BYTES:
        faults.append(Fault(place, f"a condition has at most {MAX_BYTES} bytes"))
    return faults


def check_leaf(leaf: Any, at: tuple[str | int, ...]) -> list[Fault]:
    if not isinstance(leaf, dict):
        return [Fault(at, "a condition is a mapping: all, any, not, or field with op")]
    faults = _unknown_keys(leaf, at, ("field", "op", "value", "other"))
    name, op = leaf.get("field"), leaf.get("op")
    kind = FIELDS.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(sorted(FIELDS))
        return [*faults, Fault((*at, "field"), f"unknown field {_shown(name)}; known are: {known}")]
    if not isinstance(op, str) or op not in ALL_OPERATORS:
        return [*faults, Fault((*at, "op"), f"unknown operator {_shown(op)}")]
    if op not in OPERATORS[kind]:
        allowed = " ".join(sorted(OPERATORS[kind]))
        return [*faults, Fault((*at, "op"), f"{op!r} does not fit {name} ({kind.value}); allowed are: {allowed}")]
    if op == "exists":
        if "value" in leaf or "other" in leaf:
            faults.append(Fault(at, "`exists` takes no value; for the opposite put it under `not`"))
    elif ("value" in leaf) == ("other" in leaf):
        faults.append(Fault(at, "needs either `value` or `other` (another field)"))
    elif "other" in leaf:
        other = leaf["other"]
        if not isinstance(other, str) or FIELDS.get(other) is not kind or op not in {"==", "!=", "<", "<=", ">", ">="}:
            faults.append(Fault((*at, "other"), "must be a field of the same type, compared by == != < <= > >="))
    elif message := _bad_value(kind, op, leaf["value"]):
        faults.append(Fault((*at, "value"), message))
    return faults


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: Any) -> TypeGuard[str]:
    """Text that the database can keep: no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def _bad_value(kind: Kind, op: str, value: Any) -> str | None:
    one: Callable[[Any], bool] = {
        Kind.NUMBER: lambda v: _is_number(v) and -MAX_NUMBER <= v <= MAX_NUMBER,
        Kind.BOOL: lambda v: isinstance(v, bool),
    }.get(kind, _is_text)
    what = "text" if kind is Kind.LIST else kind.value
    if op in ("in", "not_in", "has_any", "has_all"):
        ok = isinstance(value, list) and value and all(map(one, value))
        return None if ok else f"`{op}` needs a list of {what}s"
    if op == "between":
        ok = isinstance(value, list) and len(value) == 2 and all(map(one, value)) and value[0] <= value[1]
        return None if ok else "`between` needs [low, high]"
    if op == "within_hours":
        ok = isinstance(value, list) and len(value) == 2 and None not in map(minutes_of, value)
        return None if ok and value[0] != value[1] else '`within_hours` needs ["HH:MM", "HH:MM"], two different times'
    return None if one(value) else f"must be a {what}"


def minutes_of(text: Any) -> int | None:
    if not isinstance(text, str) or len(text) != 5 or text[2] != ":":
        return None
    digits = text[:2] + text[3:]
    if not digits.isdecimal() or not digits.isascii():
        return None
    hours, minutes = int(digits[:2]), int(digits[2:])
    return hours * 60 + minutes if minutes < 60 and hours * 60 + minutes <= 1440 else None


def _check_then(
    then: Any, at: tuple[str | int, ...], queues: frozenset[str], skills: frozenset[str], agents: frozenset[str]
) -> list[Fault]:
    if then is None:
        return []
    if not isinstance(then, dict):
        return [Fault(at, "is a mapping with queue, tier, boost_s, sticky, steps")]
    faults = _unknown_keys(then, at, ("queue", "tier", "boost_s", "sticky", "steps"))
    if "sticky" in then:
        faults += _check_sticky(then["sticky"], (*at, "sticky"), agents)
    if "queue" in then and not (isinstance(then["queue"], str) and then["queue"] in queues):
        faults.append(Fault((*at, "queue"), f"there is no queue {_shown(then['queue'])}"))
    faults += _check_rank(then, at)
    steps = then.get("steps", [])
    if not isinstance(steps, list) or len(steps) > MAX_STEPS:
        return [*faults, Fault((*at, "steps"), f"is a list of at most {MAX_STEPS} steps")]
    previous = -1.0
    for index, step in enumerate(steps):
        where = (*at, "steps", index)
        if not isinstance(step, dict):
            faults.append(Fault(where, f"a step is a mapping with {', '.join(STEP_KEYS)}"))
            continue
        faults += _unknown_keys(step, where, STEP_KEYS)
        after = step.get("after_s")
        if not _is_number(after) or not isfinite(after) or after <= previous or (index == 0 and after != 0):
            faults.append(Fault((*where, "after_s"), "starts at 0 and grows from step to step"))
        elif after > MAX_AFTER_S:
            faults.append(Fault((*where, "after_s"), f"must be at most {MAX_AFTER_S}"))
        else:
            previous = float(after)
        if not _is_whole(step.get("offers", 1), 1, 10):
            faults.append(Fault((*where, "offers"), "must be a whole number from 1 to 10"))
        faults += _check_needs(step.get("require", []), (*where, "require"), skills)
        faults += _check_needs(step.get("prefer", []), (*where, "prefer"), skills)
        faults += _check_order(step, (*where, "order"), skills)
        faults += _check_rank(step, where)
        if index == 0:
            for key in RANK:
                if key in step and key in then:
                    faults.append(Fault((*where, key), f"the rule says {key} already: say it once"))
    return faults


def _check_rank(document: dict[Any, Any], at: tuple[str | int, ...]) -> list[Fault]:
    return [
        Fault((*at, key), f"must be a whole number from 0 to {high}")
        for key, high in RANK.items()
        if not _is_whole(document.get(key, 0), 0, high)
    ]


def _check_sticky(sticky: Any, at: tuple[str | int, ...], agents: frozenset[str]) -> list[Fault]:
    if not isinstance(sticky, dict):
        return [Fault(at, "is a mapping with agent, wait_s, if_away")]
    faults = _unknown_keys(sticky, at, ("agent", "wait_s", "if_away"))
    agent = sticky.get("agent")
    if not isinstance(agent, str) or (agent not in list(Whom) and agent.lower() not in agents):
        faults.append(
            Fault((*at, "agent"), f"must be {', '.join(Whom)} or the address of an agent, not {_shown(agent)}")
        )
    if not _is_whole(sticky.get("wait_s"), 1, MAX_STICKY_S):
        faults.append(Fault((*at, "wait_s"), f"must be a whole number of seconds from 1 to {MAX_STICKY_S}"))
    if not isinstance(sticky.get("if_away", False), bool):
        faults.append(Fault((*at, "if_away"), "must be true or false"))
    return faults


def _check_order(step: dict[Any, Any], at: tuple[str | int, ...], skills: frozenset[str]) -> list[Fault]:
    order = step.get("order", [])
    if not isinstance(order, list) or len(order) > MAX_CRITERIA:
        return [Fault(at, f"is a list of at most {MAX_CRITERIA} criteria")]
    faults: list[Fault] = []
    for n, criterion in enumerate(order):
        if isinstance(criterion, dict) and set(criterion) == {"skill"} and isinstance(criterion["skill"], str):
            if criterion["skill"] not in skills:
                faults.append(Fault((*at, n, "skill"), f"there is no skill {_shown(criterion['skill'])}"))
        elif not isinstance(criterion, str) or criterion not in PICKS:
            faults.append(Fault((*at, n), f"must be {{skill: …}} or one of {', '.join(PICKS)}"))
        elif criterion in LAST and n < len(order) - 1:
            faults.append(Fault((*at, n), f"{criterion} tells any two agents apart: nothing after it would count"))
        elif criterion == By.BEST_SKILL and not step.get("require") and not step.get("prefer"):
            faults.append(
                Fault((*at, n), "best_skill compares what the step requires or prefers, and it names nothing")
            )
    return faults


def _check_needs(needs: Any, at: tuple[str | int, ...], skills: frozenset[str]) -> list[Fault]:
    if not isinstance(needs, list):
        return [Fault(at, "is a list of {skill, level}")]
    faults: list[Fault] = []
    for n, need in enumerate(needs):
        skill = need.get("skill") if isinstance(need, dict) else None
        if (
            not isinstance(need, dict)
            or set(need) - {"skill", "level"}
            or not isinstance(skill, str)
            or skill not in skills
        ):
            known = ", ".join(sorted(skills)) or "none"
            faults.append(Fault((*at, n), f"needs a known skill; known are: {known}"))
        elif not _is_whole(need.get("level", 1), 0, 10):
            faults.append(Fault((*at, n, "level"), "must be a whole number from 0 to 10"))
    return faults


# --- compiling ---------------------------------------------------------------------------------------------------------


def compile_rules(version: int, documents: Sequence[Mapping[str, Any]]) -> RuleSet:
    """Closures for a checked list of rules."""
    rules = []
    for document in documents:
        when = document.get("when")
        test = _always if when is None else compile_tree(when)
        rules.append(Rule(document["name"], when, _then(document.get("then") or {}), test))
    return RuleSet(version, tuple(rules))


def _then(then: Mapping[str, Any]) -> Then:
    first = first_rank(then)
    return Then(
        then.get("queue"),
        first["tier"],
        first["boost_s"],
        ranked_steps(then),
        Sticky(**then["sticky"]) if "sticky" in then else None,
    )


def first_rank(then: Mapping[str, Any]) -> dict[str, int]:
    """With which rank an item enters the line: the rule says it, or its first step."""
    first: Mapping[str, Any] = {**then, **next(iter(then.get("steps", ())), {})}
    return {key: first.get(key, 0) for key in RANK}


def ranked_steps(then: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The steps with the rank that is in force in each; without one where it is the same in all."""
    steps = then.get("steps", ())
    rank = {key: then.get(key, 0) for key in RANK}
    ranked = []
    for step in steps:
        rank = {key: step.get(key, before) for key, before in rank.items()}
        ranked.append(rank)
    if all(each == ranked[0] for each in ranked):
        return tuple({key: value for key, value in step.items() if key not in RANK} for step in steps)
    return tuple({**step, **each} for step, each in zip(steps, ranked, strict=True))


def _always(_: Facts) -> bool:
    return True


def compile_tree(node: Mapping[str, Any]) -> Test:
    if "all" in node:
        tests = tuple(compile_tree(child) for child in node["all"])
        return lambda facts: all(test(facts) for test in tests)
    if "any" in node:
        tests = tuple(compile_tree(child) for child in node["any"])
        return lambda facts: any(test(facts) for test in tests)
    if "not" in node:
        inner = compile_tree(node["not"])
        return lambda facts: not inner(facts)
    return _compile_leaf(node)


def _compile_leaf(leaf: Mapping[str, Any]) -> Test:
    name, op = leaf["field"], leaf["op"]
    compare = _COMPARE[op]
    if "other" in leaf:
        other = leaf["other"]
        return lambda facts: compare(facts.get(name), facts.get(other))
    value = leaf.get("value")
    if op == "within_hours":
        value = (minutes_of(value[0]), minutes_of(value[1]))  # type: ignore[index]
    return lambda facts: compare(facts.get(name), value)


def _same_type(a: Any, b: Any) -> bool:
    return (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str))


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return _same_type(a, b) and bool(a == b)


def _within(clock: Any, window: Any) -> bool:
    start, end = window
    if not _is_number(clock):
        return False
    return bool(start <= clock < end if start <= end else clock >= start or clock < end)


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: isinstance(a, str) and isinstance(b, str) and test(a, b)


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": lambda a, b: _same_type(a, b) and a < b,
    "<=": lambda a, b: _same_type(a, b) and a <= b,
    ">": lambda a, b: _same_type(a, b) and a > b,
    ">=": lambda a, b: _same_type(a, b) and a >= b,
    "between": lambda a, b: _is_number(a) and b[0] <= a <= b[1],
    "in": lambda a, b: any(_equal(a, item) for item in b),
    "not_in": lambda a, b: not any(_equal(a, item) for item in b),
    "has": lambda a, b: isinstance(a, list | tuple) and b in a,
    "has_any": lambda a, b: isinstance(a, list | tuple) and any(item in a for item in b),
    "has_all": lambda a, b: isinstance(a, list | tuple) and all(item in a for item in b),
    "contains": _text(lambda a, b: b in a),
    "starts_with": _text(str.startswith),
    "ends_with": _text(str.endswith),
    "exists": lambda a, _: a is not None,
    "within_hours": _within,
}


@dataclass(frozen=True, slots=True)
class LeafVerdict:
    """One comparison and how it came out; `value` is what it was compared with, or the name of the other field."""

    field: str
    op: str
    value: Any
    is_true: bool


def explain_tree(node: Mapping[str, Any], facts: Facts) -> list[LeafVerdict]:
    """Every leaf with its verdict, evaluated without short cuts."""
    if "all" in node or "any" in node:
        return [verdict for child in node.get("all") or node["any"] for verdict in explain_tree(child, facts)]
    if "not" in node:
        return explain_tree(node["not"], facts)
    compared = node["other"] if "other" in node else node.get("value")
    return [LeafVerdict(node["field"], node["op"], compared, _compile_leaf(node)(facts))]


_FITS: Final[dict[Kind, Callable[[Any], bool]]] = {
    Kind.TEXT: lambda v: isinstance(v, str),
    Kind.NUMBER: _is_number,
    Kind.BOOL: lambda v: isinstance(v, bool),
    Kind.LIST: lambda v: isinstance(v, list | tuple),
    Kind.CLOCK: _is_number,
}


def misfits(facts: Facts) -> list[str]:
    """Declared fields whose value has another type than the catalogue says; comparisons with them are false."""
    return [n for n, kind in FIELDS.items() if facts.get(n) is not None and not _FITS[kind](facts[n])]
