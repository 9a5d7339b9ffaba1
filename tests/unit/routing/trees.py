"""Conditions and facts as hypothesis draws them, and a plain reading of what they mean that shares no code with the engine."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from routing.rules import FIELDS, OPERATORS, Kind


def number(value: Any) -> bool:
    return type(value) in (int, float) and value == value


def alike(a: Any, b: Any) -> bool:
    """Comparable: two numbers, two texts, two truths."""
    if number(a) and number(b):
        return True
    return type(a) is type(b) and type(a) in (str, bool)


def ordered(a: Any, b: Any) -> bool:
    """Yes and no are alike, and neither is the smaller one."""
    return alike(a, b) and not isinstance(a, bool)


def reference(node: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """The semantics, spelt out one after the other, without sharing code."""
    if "all" in node:
        return not [child for child in node["all"] if not reference(child, facts)]
    if "any" in node:
        return bool([child for child in node["any"] if reference(child, facts)])
    if "not" in node:
        return not reference(node["not"], facts)
    fact: Any = facts.get(node["field"])
    other: Any = facts.get(node["other"]) if "other" in node else node.get("value")
    match node["op"]:
        case "exists":
            return fact is not None
        case "==":
            return alike(fact, other) and fact == other
        case "!=":
            return not (alike(fact, other) and fact == other)
        case "in":
            return bool([1 for one in other if alike(fact, one) and fact == one])
        case "not_in":
            return not [1 for one in other if alike(fact, one) and fact == one]
        case "<":
            return ordered(fact, other) and fact < other
        case "<=":
            return ordered(fact, other) and fact <= other
        case ">":
            return ordered(fact, other) and fact > other
        case ">=":
            return ordered(fact, other) and fact >= other
        case "between":
            return number(fact) and other[0] <= fact <= other[1]
        case "contains":
            return isinstance(fact, str) and other in fact
        case "starts_with":
            return isinstance(fact, str) and fact[: len(other)] == other
        case "ends_with":
            return isinstance(fact, str) and (not other or fact[-len(other) :] == other)
        case "has":
            return isinstance(fact, list) and bool([1 for one in fact if one == other])
        case "has_any":
            return isinstance(fact, list) and bool(set(map(str, fact)) & set(other))
        case "has_all":
            return isinstance(fact, list) and not set(other) - set(map(str, fact))
        case "within_hours":
            if not number(fact):
                return False
            start, end = (int(time[:2]) * 60 + int(time[3:]) for time in other)
            return start <= fact < end if start < end else not end <= fact < start
    raise AssertionError(node["op"])


WORDS = st.sampled_from(
    ["", "a", "ab", "b", "vip", "en", "+34", "it's", 'x\\" OR true // ', "a\nb\t", "客户", "\U0001f600"]
)
NUMBERS = st.integers(-3, 3) | st.floats(-3, 3)
TIMES = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59)) | st.just("24:00")
OF_KIND = {Kind.TEXT: WORDS, Kind.NUMBER: NUMBERS, Kind.BOOL: st.booleans(), Kind.LIST: WORDS}
COMPARED = frozenset({"==", "!=", "<", "<=", ">", ">="})


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from(sorted(FIELDS)))
    kind = FIELDS[field]
    op = draw(st.sampled_from(sorted(OPERATORS[kind])))
    leaf: dict[str, Any] = {"field": field, "op": op}
    if op == "exists":
        return leaf
    if op == "within_hours":
        return leaf | {"value": draw(st.lists(TIMES, min_size=2, max_size=2, unique=True))}
    if op in ("in", "not_in", "has_any", "has_all"):
        return leaf | {"value": draw(st.lists(OF_KIND[kind], min_size=1, max_size=3))}
    if op == "between":
        return leaf | {"value": sorted(draw(st.lists(NUMBERS, min_size=2, max_size=2)))}
    if op in COMPARED and draw(st.booleans()):
        return leaf | {"other": draw(st.sampled_from(sorted(n for n, k in FIELDS.items() if k is kind)))}
    return leaf | {"value": draw(OF_KIND[kind])}


TREES = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(lambda group, nodes: {group: nodes}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda node: {"not": node}, inner),
    ),
    max_leaves=8,
)  # fmt: skip
CLOCKS = st.integers(-5, 1445)
RIGHT = {**OF_KIND, Kind.LIST: st.lists(WORDS, max_size=3), Kind.CLOCK: CLOCKS}
STRANGE = st.one_of(
    st.none(), WORDS, NUMBERS, st.booleans(), st.lists(WORDS, max_size=2), st.sampled_from([float("nan"), 10**400])
)
FACTS = st.fixed_dictionaries({}, optional={name: RIGHT[kind] | STRANGE for name, kind in FIELDS.items()})
