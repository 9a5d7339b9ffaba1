"""How conditions come out: total, two-valued, equal to a plain reading of the table; and explained leaf by leaf."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rules import FIELDS, OPERATORS, Kind, check, compile_rules, compile_tree, explain_tree, misfits

MISSING = object()


def holds(field: str, fact: Any, op: str, value: Any = MISSING) -> bool:
    leaf = {"field": field, "op": op} | ({} if value is MISSING else {"value": value})
    faults = check([{"name": "x", "when": leaf}, {"name": "d"}], queues=frozenset(), skills=frozenset())
    assert faults == []
    return compile_tree(leaf)({} if fact is MISSING else {field: fact})


# One row: operator, the rule's value, and for which facts it holds or not. Null and missing are the same.
TEXT_TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("==", "vip", ["vip"], ["VIP", "vip ", "", None, MISSING, 1, True, ["vip"]]),
    ("!=", "vip", ["gold", "", None, MISSING, 1, True, ["vip"]], ["vip"]),
    ("in", ["vip", "gold"], ["vip", "gold"], ["g", None, MISSING, 1, ["vip"]]),
    ("not_in", ["vip", "gold"], ["g", None, MISSING, 1, ["vip"]], ["vip", "gold"]),
    ("exists", MISSING, ["vip", "", 0, False, []], [None, MISSING]),
    ("contains", "ip", ["vip", "ip"], ["VIP", "", None, MISSING, 1, ["ip"], {"ip": 1}]),
    ("starts_with", "v", ["vip", "v"], ["avip", "", None, MISSING, 1, ["v"]]),
    ("ends_with", "p", ["vip", "p"], ["vipa", "", None, MISSING, 1, ["p"]]),
]  # fmt: skip
NUMBER_TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("==", 5, [5, 5.0], [4, "5", None, MISSING, True, [5], float("nan")]),
    ("==", 1, [1], [True]),
    ("!=", 5, [4, "5", None, MISSING, True, float("nan")], [5, 5.0]),
    ("<", 5, [4, 4.9, -(10**400), float("-inf")], [5, "4", None, MISSING, False, float("nan")]),
    ("<=", 5, [5, 4], [6, "4", None, MISSING, False]),
    (">", 5, [6, 10**400, float("inf")], [5, "6", None, MISSING, True]),
    (">=", 5, [5, 6], [4, "6", None, MISSING, True]),
    ("between", [1, 5], [1, 3.5, 5], [0, 6, "3", None, MISSING, True, float("nan")]),
    ("in", [1, 2], [1, 2.0], [3, "1", None, MISSING, True]),
    ("not_in", [1, 2], [3, "1", None, MISSING, True], [1, 2.0]),
    ("exists", MISSING, [0, 1], [None, MISSING]),
]
BOOL_TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("==", True, [True], [False, 1, "true", None, MISSING]),
    ("==", False, [False], [True, 0, "", None, MISSING]),
    ("!=", True, [False, 1, "true", None, MISSING], [True]),
    ("exists", MISSING, [False, True], [None, MISSING]),
]
LIST_TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("has", "a", [["a"], ("b", "a")], [[], ["b"], "a", {"a": 1}, None, MISSING, 1]),
    ("has_any", ["a", "b"], [["b", "c"]], [[], ["c"], "a", None, MISSING]),
    ("has_all", ["a", "b"], [["b", "a", "c"]], [[], ["a"], "ab", None, MISSING]),
    ("exists", MISSING, [[], ["a"]], [None, MISSING]),
]
CLOCK_TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("within_hours", ["09:00", "17:00"], [540, 1019], [539, 1020, "10:00", None, MISSING, True]),
    ("within_hours", ["22:00", "06:00"], [1320, 1439, 0, 359], [360, 1319, None, MISSING]),
    ("within_hours", ["00:00", "24:00"], [0, 720, 1439], [1440, -1, None]),
    ("within_hours", ["18:00", "00:00"], [1080, 1439], [0, 1079]),
]
TABLES = {
    "customer.tier": TEXT_TABLE,
    "customer.id": NUMBER_TABLE,
    "ticket.is_new": BOOL_TABLE,
    "ticket.tags": LIST_TABLE,
    "time.clock": CLOCK_TABLE,
}


@pytest.mark.parametrize(
    ("field", "op", "value", "true", "false"), [(field, *row) for field, table in TABLES.items() for row in table]
)
def test_the_table(field: str, op: str, value: Any, true: list[Any], false: list[Any]) -> None:
    assert [holds(field, fact, op, value) for fact in true] == [True] * len(true)
    assert [holds(field, fact, op, value) for fact in false] == [False] * len(false)


def test_the_tables_have_every_operator_of_every_type() -> None:
    for field, table in TABLES.items():
        assert {row[0] for row in table} == OPERATORS[FIELDS[field]]


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        ("==", "en", "en", True),
        ("==", "en", "de", False),
        ("==", None, None, False),
        ("==", "en", None, False),
        ("!=", "en", "de", True),
        ("!=", None, None, True),
        ("!=", "en", "en", False),
    ],
)
def test_a_field_is_compared_with_another(op: str, a: str | None, b: str | None, expected: bool) -> None:
    test = compile_tree({"field": "customer.language", "op": op, "other": "call.language"})
    assert test({"customer.language": a, "call.language": b}) is expected


def test_the_first_match_wins_and_the_default_catches_the_rest() -> None:
    vip = {"field": "customer.tier", "op": "==", "value": "vip"}
    rules = compile_rules(
        7,
        [
            {"name": "new VIP", "when": {"all": [vip, {"field": "ticket.is_new", "op": "==", "value": True}]}},
            {"name": "VIP", "when": vip, "then": {"tier": 1}},
            {"name": "same again", "when": vip, "then": {"tier": 2}},
            {"name": "everybody"},
        ],
    )
    assert rules.version == 7
    assert rules.first_match({"customer.tier": "vip", "ticket.is_new": True}).name == "new VIP"
    assert rules.first_match({"customer.tier": "vip"}).name == "VIP"
    assert rules.first_match({}).name == "everybody"
    assert (rules.rules[1].then.tier, rules.rules[3].then.tier, rules.rules[3].then.queue) == (1, 0, None)


def test_facts_of_another_type_than_declared_are_named() -> None:
    facts = {"customer.id": "7", "ticket.tags": "a", "ticket.is_new": 1, "customer.tier": None, "time.clock": 600}
    assert misfits(facts) == ["ticket.is_new", "ticket.tags", "customer.id"]


# --- against a plain reading ----------------------------------------------------------------------------------------------


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


WORDS = st.sampled_from(["", "a", "ab", "b", "vip", "en"])
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


@settings(deadline=None)
@given(TREES, FACTS)
def test_evaluation_is_total_and_equals_the_plain_reading(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    assert check([{"name": "x", "when": tree}, {"name": "d"}], queues=frozenset(), skills=frozenset()) == []
    assert compile_tree(tree)(facts) is reference(tree, facts)


def leaves_of(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    children = node.get("all", node.get("any", [node["not"]] if "not" in node else None))
    return [node] if children is None else [leaf for child in children for leaf in leaves_of(child)]


@settings(deadline=None)
@given(TREES, FACTS)
def test_explaining_keeps_every_leaf_in_order(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    found = explain_tree(tree, facts)
    expected = leaves_of(tree)
    assert [(v.field, v.op, v.value) for v in found] == [
        (leaf["field"], leaf["op"], leaf["other"] if "other" in leaf else leaf.get("value")) for leaf in expected
    ]
    assert [v.is_true for v in found] == [reference(leaf, facts) for leaf in expected]
