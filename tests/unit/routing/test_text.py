"""The text of conditions: what is read, what is written, what is refused and where."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rules import ALL_OPERATORS, MAX_BYTES, MAX_DEPTH, MAX_LEAVES, Fault, check, compile_tree
from routing.text import BadText, condition_text, parse, read_rules, syntax_tree
from tests.unit.routing.trees import FACTS, TREES

VIP = {"field": "customer.tier", "op": "==", "value": "vip"}
NEW = {"field": "ticket.is_new", "op": "==", "value": True}
GERMAN = {"field": "call.language", "op": "in", "value": ["de", "en"]}


def one(field: str, op: str, **value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, **value}


# What is read, and how it is written again, where that differs.
READ: list[tuple[str, dict[str, Any], str | None]] = [
    ('customer.tier == "vip"', VIP, None),
    ("task.customer.tier = 'vip'", VIP, 'customer.tier == "vip"'),
    (
        'customer.tier == "vip" AND (call.language IN ["de", "en"] OR NOT ticket.is_new == true)',
        {"all": [VIP, {"any": [GERMAN, {"not": NEW}]}]},
        None,
    ),
    ("customer.tier=='vip'and call.language in['de','en']or(ticket.is_new==TRUE)", {"any": [{"all": [VIP, GERMAN]}, NEW]},
     'customer.tier == "vip" AND call.language IN ["de", "en"] OR ticket.is_new == true'),
    ('NOT (customer.tier == "vip" OR ticket.is_new == true)', {"not": {"any": [VIP, NEW]}}, None),
    ("NOT NOT ticket.is_new == true", {"not": {"not": NEW}}, None),
    ('(customer.tier == "vip" AND ticket.is_new == true) AND ticket.is_new == true', {"all": [{"all": [VIP, NEW]}, NEW]}, None),
    ("((ticket.is_new == true))", NEW, "ticket.is_new == true"),
    ("customer.language != call.language", one("customer.language", "!=", other="call.language"), None),
    ("customer.language != task.call.language", one("customer.language", "!=", other="call.language"),
     "customer.language != call.language"),
    ("customer.id BETWEEN [-1, 9.5]", one("customer.id", "between", value=[-1, 9.5]), None),
    ("customer.id <= 1e3", one("customer.id", "<=", value=1000.0), "customer.id <= 1000.0"),
    ("time.weekday NOT IN [6, 7]", one("time.weekday", "not_in", value=[6, 7]), None),
    ('time.clock WITHIN_HOURS ["22:00", "06:00"]', one("time.clock", "within_hours", value=["22:00", "06:00"]), None),
    ('ticket.tags HAS "urgent"', one("ticket.tags", "has", value="urgent"), None),
    ('ticket.tags HAS_ANY ["a", "b"]', one("ticket.tags", "has_any", value=["a", "b"]), None),
    ('ticket.tags HAS_ALL ["a"]', one("ticket.tags", "has_all", value=["a"]), None),
    ('call.from STARTS_WITH "+49"', one("call.from", "starts_with", value="+49"), None),
    ('call.from ENDS_WITH "77"', one("call.from", "ends_with", value="77"), None),
    ('customer.company CONTAINS "GmbH"', one("customer.company", "contains", value="GmbH"), None),
    ("customer.id EXISTS", one("customer.id", "exists"), None),
    ("customer.id != null", one("customer.id", "exists"), "customer.id EXISTS"),
    ("customer.id == null", {"not": one("customer.id", "exists")}, "NOT customer.id EXISTS"),
    (r"""customer.company == 'it\'s "\u00e4\ud83d\ude00\\'""", one("customer.company", "==", value='it\'s "ä\U0001f600\\'),
     r'''customer.company == "it's \"ä😀\\"'''),
    ("customer.tier ==\n  'vip'", VIP, 'customer.tier == "vip"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tree", "written"), READ)
def test_text_is_read_and_written(text: str, tree: dict[str, Any], written: str | None) -> None:
    assert parse(text) == tree
    assert condition_text(tree) == (written or text)


def test_every_operator_has_its_word() -> None:
    said = {leaf["op"] for _, tree, _ in READ for leaf in _leaves(tree)} | {"<", ">", ">="}
    assert said == ALL_OPERATORS


def _leaves(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    children = node.get("all") or node.get("any") or ([node["not"]] if "not" in node else None)
    return [node] if children is None else [leaf for child in children for leaf in _leaves(child)]


REFUSED: list[tuple[str, int, str]] = [
    ("", 1, "is empty"),
    ("  ", 1, "is empty"),
    ("customer.teir == 'vip'", 1, "unknown field 'customer.teir'; known are:"),
    ("NOT customer.teir == 'vip'", 5, "unknown field"),
    ("customer.tier > 'vip'", 15, "'>' does not fit customer.tier (text); allowed are:"),
    ("ticket.is_new", 14, "expected an operator after ticket.is_new, not the end; there are: =="),
    ("ticket.is_new AND ticket.is_new", 15, "expected an operator after ticket.is_new, not 'AND'"),
    ("customer.tier == vip", 18, "there is no field 'vip'; texts stand in quotes"),
    ("customer.tier == customer.id", 18, "must be a field of the same type"),
    ("customer.tier IN [vip]", 19, "expected a value, not 'vip'; texts stand in quotes"),
    ("customer.tier IN 'vip'", 18, "expected a list after IN, such as [1, 2], not \"'vip'\""),
    ("customer.tier IN []", 19, "expected a value, not ']'"),
    ("customer.tier IN ['a' 'b']", 23, "expected `,` or `]`"),
    ("customer.tier == 'vip", 18, "this text has no closing '"),
    (r"customer.tier == 'a\d'", 20, r"unknown escape \d; a backslash itself is written \\"),
    (r"customer.tier == '\ud800'", 18, "must be a text"),
    ("customer.tier == '\x00'", 18, "must be a text"),
    ("customer.tier == 5", 18, "must be a text"),
    ("customer.id == 5x", 16, "'5x' means nothing here"),
    ("customer.id == 1e999", 16, "must be a number"),
    ("customer.id == 1" + "0" * 30, 16, "the number is too long"),
    ("customer.id < null", 15, "null is only compared by == and !=; or write EXISTS"),
    ("'vip' == customer.tier", 1, "expected a field, NOT or `(`, not \"'vip'\"; write the field first"),
    ("(ticket.is_new == true", 23, "expected AND, OR or `)` for the `(` of column 1, not the end"),
    ("ticket.is_new == true)", 22, "expected AND, OR or the end, not ')'"),
    ("ticket.is_new == true AND", 26, "expected a field, NOT or `(`, not the end"),
    ("ticket.is_new == true && ticket.is_new == true", 23, "'&&' means nothing here"),
    ("ticket.is_new NOT true", 15, "expected an operator after ticket.is_new, not 'NOT'"),
    ("time.clock WITHIN_HOURS ['8:00', '9:00']", 25, '`within_hours` needs ["HH:MM", "HH:MM"]'),
    ("NOT " * 64 + "ticket.is_new == true", 257, "nested at most 64 levels"),
    ("(" * 20_000, 1, "a condition has at most 16384 bytes"),
    ("(" * 16_000, 65, "nested at most 64 levels"),
    (" OR ".join(["time.weekday<1"] * (MAX_LEAVES + 1)), 9001, "at most 500 comparisons"),
    ("customer.tier == 'ä" + "ä" * MAX_BYTES, 1, "at most 16384 bytes"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED)
def test_what_cannot_be_read_is_told_with_its_column(text: str, column: int, message: str) -> None:
    with pytest.raises(BadText) as refused:
        parse(text)
    assert refused.value.column == column
    assert message in refused.value.message


def test_a_list_of_rules_may_mix_text_and_trees() -> None:
    default = {"name": "rest"}
    rules: list[dict[str, Any]] = [{"name": "a", "when": 'customer.tier == "vip"'}, {"name": "b", "when": NEW}, default]
    assert read_rules(rules) == ([{"name": "a", "when": VIP}, {"name": "b", "when": NEW}, default], [])
    assert rules[0]["when"] == 'customer.tier == "vip"'
    bad = [{"name": "a", "when": "customer.tier =="}, {"name": "b", "when": "x == 1"}, default]
    _, faults = read_rules(bad)
    assert faults[0] == Fault(("rules", 0, "when"), "column 17: expected a value, not the end")
    assert (faults[1].place, faults[1].message[:31]) == (("rules", 1, "when"), "column 1: unknown field 'x'; kn")
    stranger: list[Any] = [None, {}, "x", [1, None], [{"when": 5}], []]
    for strange in stranger:
        assert read_rules(strange) == (strange, [])


def test_the_syntax_alone_takes_any_field() -> None:
    assert syntax_tree('worker.skills HAS "german" AND worker.level >= task.level') == {
        "all": [one("worker.skills", "has", value="german"), one("worker.level", ">=", other="task.level")]
    }


# --- round trips -------------------------------------------------------------------------------------------------------


def without_groups_of_one(node: Mapping[str, Any]) -> dict[str, Any]:
    for group in ("all", "any"):
        if group in node:
            children = [without_groups_of_one(child) for child in node[group]]
            return children[0] if len(children) == 1 else {group: children}
    return {"not": without_groups_of_one(node["not"])} if "not" in node else dict(node)


@settings(deadline=None)
@given(TREES, FACTS)
def test_r33_text_of_a_tree_is_stable(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    text = condition_text(tree)
    again = parse(text)
    assert json.dumps(again, sort_keys=True) == json.dumps(without_groups_of_one(tree), sort_keys=True)
    assert condition_text(again) == text
    assert parse(condition_text(again)) == again
    assert compile_tree(again)(facts) is compile_tree(tree)(facts)
    assert len(text) <= len(json.dumps(tree, ensure_ascii=False))  # so whatever may be kept can be read again


def test_r33_the_deepest_and_widest_trees_can_be_read_again() -> None:
    deep: dict[str, Any] = NEW
    for level in range(MAX_DEPTH - 1):
        deep = {"not": deep} if level % 3 == 2 else {("all", "any")[level % 2]: [deep, VIP]}
    wide = {"any": [one("customer.id", "==", value=n) for n in range(MAX_LEAVES)]}
    for tree in (deep, wide):
        when = [{"name": "x", "when": tree}, {"name": "d"}]
        leaves = check(when, queues=frozenset(), skills=frozenset())
        assert (leaves == []) is (len(json.dumps(tree)) <= MAX_BYTES)
        assert parse(condition_text(tree)) == tree


PIECES = st.sampled_from(
    [*"()[],'\"\\", "==", "!=", "<", " ", "AND", " OR ", "NOT ", "IN", "HAS", "null", "true", "5", "-1.5e3", "'a'", "customer.tier",
     "ticket.tags", "customer.id", "EXISTS", "客", "\ud800", "\x00", "\n", "\\u12"]
)  # fmt: skip


@settings(deadline=None)
@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
def test_whatever_is_written_is_read_or_refused_in_its_place(text: str) -> None:
    try:
        tree, column = parse(text), 1
    except BadText as refused:
        tree, column = NEW, refused.column
    assert 1 <= column <= len(text) + 1
    assert check([{"name": "x", "when": tree}, {"name": "d"}], queues=frozenset(), skills=frozenset()) == []
    assert parse(condition_text(tree)) == tree
