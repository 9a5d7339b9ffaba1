"""How conditions come out: total, two-valued, equal to a plain reading of the table; and explained leaf by leaf."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from routing.rules import FIELDS, OPERATORS, check, compile_rules, compile_tree, explain_tree, misfits
from tests.unit.routing.trees import FACTS, TREES, reference

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


@settings(deadline=None)
@given(TREES, FACTS)
def test_r31_r33_evaluation_is_total_and_equals_the_plain_reading(tree: dict[str, Any], facts: dict[str, Any]) -> None:
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
