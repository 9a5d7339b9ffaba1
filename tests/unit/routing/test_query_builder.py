"""Conditions as react-querybuilder edits them: what its plain inputs send is read, and what is written is read as the same tree."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.query_builder import BadQuery, from_query, is_query, query_of
from routing.rules import ALL_OPERATORS, MAX_DEPTH, check
from routing.text import condition_text, read_rules
from tests.unit.routing.trees import TREES

Node = dict[str, Any]
# As its default settings export it (formatQuery "json"), but for the fields: ids everywhere, numbers and lists as texts.
EXPORTED: Node = {
    "id": "r",
    "combinator": "and",
    "not": False,
    "rules": [
        {"id": "1", "field": "customer.tier", "operator": "=", "valueSource": "value", "value": "vip"},
        {
            "id": "2",
            "combinator": "or",
            "not": True,
            "rules": [
                {"id": "3", "field": "call.language", "operator": "in", "value": "de, en"},
                {"id": "4", "field": "time.weekday", "operator": "between", "value": "1,5"},
                {"id": "5", "field": "ticket.tags", "operator": "contains", "value": "urgent"},
            ],
        },
        {"id": "6", "field": "customer.company", "operator": "null", "value": ""},
        {"id": "7", "field": "call.from", "operator": "doesNotBeginWith", "value": "+49"},
        {"id": "8", "field": "customer.language", "operator": "!=", "valueSource": "field", "value": "call.language"},
        {"id": "9", "field": "ticket.is_new", "operator": "=", "value": "true", "disabled": True},
        {"id": "10", "field": "customer.id", "operator": ">=", "value": "34"},
    ],
}
TEXT = (
    'customer.tier == "vip" AND NOT (call.language IN ["de", "en"] OR time.weekday BETWEEN [1, 5] OR ticket.tags HAS "urgent") '
    'AND NOT customer.company EXISTS AND NOT call.from STARTS_WITH "+49" AND customer.language != call.language '
    "AND ticket.is_new == true AND customer.id >= 34"
)


def faults(tree: Any) -> list[str]:
    rules = [{"name": "one", "when": tree}, {"name": "rest"}]
    return [fault.message for fault in check(rules, queues=frozenset(), skills=frozenset())]


def test_what_the_editor_exports_is_read() -> None:
    tree = from_query(EXPORTED)
    assert faults(tree) == []
    assert condition_text(tree) == TEXT


def plain(node: Node) -> Node:
    """Groups of one are their only member."""
    for group in ("all", "any"):
        if group in node:
            children = [plain(child) for child in node[group]]
            return children[0] if len(children) == 1 else {group: children}
    return {"not": plain(node["not"])} if "not" in node else node


@given(TREES)
def test_what_is_written_is_read_as_the_same_tree(tree: Node) -> None:
    query = query_of(tree)
    assert is_query(query)
    assert from_query(json.loads(json.dumps(query))) == plain(tree)


def test_every_operator_can_be_written() -> None:
    values: dict[str, Any] = {
        "in": ["a"],
        "not_in": ["a"],
        "has_any": ["a"],
        "has_all": ["a"],
        "between": [1, 2],
        "within_hours": ["08:00", "09:00"],
    }
    for op in ALL_OPERATORS:
        leaf = {"field": "f", "op": op} | ({} if op == "exists" else {"value": values.get(op, "a")})
        assert from_query(query_of(leaf)) == leaf


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"rules": []}, "combinator"),
        ({"combinator": "xor", "rules": [{}]}, "combinator"),
        ({"combinator": "and", "rules": []}, "rules"),
        ({"combinator": "and"}, "rules"),
        ({"combinator": "and", "not": 1, "rules": [{}]}, "not"),
        ({"combinator": "and", "rules": [{"field": "a", "operator": "=", "value": 1}, "or", {}]}, "rules.1"),
        ({"combinator": "and", "rules": [{"field": "a", "operator": "~", "value": 1}]}, "rules.0.operator"),
        ({"combinator": "and", "rules": [{"field": "a", "operator": ["="], "value": 1}]}, "rules.0.operator"),
        ({"combinator": "and", "rules": [{"field": "a", "operator": "=", "value": 1, "muted": True}]}, "rules.0.muted"),
        ({"combinator": "and", "rules": [{"field": "a", "operator": "=", "valueSource": "?"}]}, "rules.0.valueSource"),
    ],
)
def test_what_has_another_shape_is_refused_with_its_place(query: Any, place: str) -> None:
    with pytest.raises(BadQuery) as refused:
        from_query(query)
    assert ".".join(map(str, refused.value.place)) == place
    _, found = read_rules([{"name": "one", "when": query}, {"name": "rest"}])
    assert [fault.place[:3] for fault in found] == [("rules", 0, "when")]


def test_depth_and_number_are_bounded_before_anything_is_built() -> None:
    deep: Node = {"combinator": "and", "rules": [{"field": "a", "operator": "=", "value": 1}]}
    for _ in range(MAX_DEPTH):
        deep = {"combinator": "and", "rules": [deep]}
    with pytest.raises(BadQuery, match="levels deep"):
        from_query(deep)
    endless: Node = {"combinator": "and", "rules": []}
    endless["rules"].append(endless)
    with pytest.raises(BadQuery, match="levels deep"):
        from_query(endless)
    with pytest.raises(BadQuery, match="at most"):
        from_query({"combinator": "or", "rules": [{"field": "a", "operator": "=", "value": n} for n in range(501)]})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["combinator", "rules", "not", "field", "operator", "value", "valueSource"]),
            inner | st.sampled_from(["and", "=", "in"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JUNK)
def test_whatever_comes_is_read_or_refused(query: Any) -> None:
    try:
        tree = from_query(query)
    except BadQuery:
        return
    faults(tree)
