"""Conditions in the shape that react-querybuilder edits, and back. What is kept is our own tree; this is how it travels to an editor.

    group = {"combinator": "and" | "or", "not"?: true, "rules": [group | rule, …]}
    rule  = {"field": …, "operator": …, "value": …, "valueSource"?: "value" | "field"}

Its operators are read (`=`, `beginsWith`, `doesNotContain`, `notIn`, `null` …), and ours that it lacks are added: `has`, `hasAny`, `hasAll`, `withinHours`. Lists
may be lists or texts with commas, numbers may be texts, as its plain inputs send them. Written are lists, numbers and booleans as they are. Reading what was written gives the same tree, but for groups
of one, which are their only member. `id`, `path` and `disabled` are the editor's own and say nothing. Source: the types of react-querybuilder 8 (RuleGroupType, RuleType, default operators).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from routing.rules import FIELDS, MAX_DEPTH, MAX_LEAVES, Kind

Node = dict[str, Any]
Place = tuple[str | int, ...]

_OPERATORS: Final = {
    "=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "contains": "contains", "beginsWith": "starts_with",
    "endsWith": "ends_with", "in": "in", "notIn": "not_in", "between": "between", "has": "has", "hasAny": "has_any",
    "hasAll": "has_all", "withinHours": "within_hours",
}  # fmt: skip
_WRITTEN: Final = {ours: theirs for theirs, ours in _OPERATORS.items()}
_NEGATED: Final = {
    "doesNotContain": "contains",
    "doesNotBeginWith": "beginsWith",
    "doesNotEndWith": "endsWith",
    "notBetween": "between",
}
_LISTS: Final = frozenset({"in", "not_in", "between", "has_any", "has_all", "within_hours"})
_GROUPS: Final = {"and": "all", "or": "any"}
_COMBINATORS: Final = {ours: theirs for theirs, ours in _GROUPS.items()}
_NUMBER: Final = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?", re.ASCII)
_OF_THE_EDITOR: Final = frozenset({"id", "path", "disabled"})


class BadQuery(ValueError):
    """What is wrong and where: `place` is the path inside the query."""

    def __init__(self, place: Place, message: str) -> None:
        self.place, self.message = place, message
        super().__init__(f"{'.'.join(map(str, place))}: {message}" if place else message)


def is_query(node: Any) -> bool:
    return isinstance(node, dict) and ("combinator" in node or "rules" in node)


def from_query(query: Any) -> Node:
    """The tree of an editor's query. Raises BadQuery for what has another shape; fields and values are `rules.check`'s to judge."""
    return _Reader().group(query, (), 1)


class _Reader:
    def __init__(self) -> None:
        self._rules = 0

    def group(self, group: Any, at: Place, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise BadQuery(at, f"a condition is nested at most {MAX_DEPTH} levels deep")
        _known(group, at, {"combinator", "not", "rules"})
        combinator, rules, negated = group.get("combinator"), group.get("rules"), group.get("not", False)
        if not isinstance(combinator, str) or combinator.lower() not in _GROUPS:
            raise BadQuery((*at, "combinator"), 'must be "and" or "or", the same between all rules of the group')
        if not isinstance(negated, bool):
            raise BadQuery((*at, "not"), "must be true or false")
        if not isinstance(rules, list) or not rules:
            raise BadQuery((*at, "rules"), "an empty group says nothing: give it a rule or remove it")
        children = [self._child(child, (*at, "rules", n), depth + 1) for n, child in enumerate(rules)]
        node = children[0] if len(children) == 1 else {_GROUPS[combinator.lower()]: children}
        return {"not": node} if negated else node

    def _child(self, child: Any, at: Place, depth: int) -> Node:
        if not isinstance(child, dict):
            raise BadQuery(at, "must be a rule or a group; a group says its combinator once")
        if is_query(child):
            return self.group(child, at, depth)
        self._rules += 1
        if self._rules > MAX_LEAVES:
            raise BadQuery(at, f"a condition has at most {MAX_LEAVES} comparisons")
        return _leaf(child, at)


def _known(part: Any, at: Place, known: set[str]) -> None:
    if not isinstance(part, dict):
        raise BadQuery(at, "must be an object")
    for key in part:
        if key not in known | _OF_THE_EDITOR:
            raise BadQuery((*at, str(key)), "unknown key")


def _leaf(rule: dict[str, Any], at: Place) -> Node:
    _known(rule, at, {"field", "operator", "value", "valueSource"})
    name, operator, value = rule.get("field"), rule.get("operator"), rule.get("value")
    if operator in ("null", "notNull"):
        exists = {"field": name, "op": "exists"}
        return exists if operator == "notNull" else {"not": exists}
    if isinstance(operator, str) and operator in _NEGATED:
        return {"not": _leaf({**rule, "operator": _NEGATED[operator]}, at)}
    if not isinstance(operator, str) or operator not in _OPERATORS:
        known = " ".join(sorted({*_OPERATORS, *_NEGATED, "null", "notNull"}))
        raise BadQuery((*at, "operator"), f"is not one of {known}")
    kind = FIELDS.get(name) if isinstance(name, str) else None
    op = "has" if operator == "contains" and kind is Kind.LIST else _OPERATORS[operator]
    source = rule.get("valueSource", "value")
    if source == "field":
        return {"field": name, "op": op, "other": value}
    if source != "value":
        raise BadQuery((*at, "valueSource"), 'must be "value" or "field"')
    return {"field": name, "op": op, "value": _listed(value, kind) if op in _LISTS else _one(value, kind)}


def _listed(value: Any, kind: Kind | None) -> Any:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    return [_one(each, kind) for each in value] if isinstance(value, list) else value


def _one(value: Any, kind: Kind | None) -> Any:
    """As its plain inputs send numbers and booleans."""
    if kind is Kind.NUMBER and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if kind is Kind.BOOL and value in ("true", "false"):
        return value == "true"
    return value


def query_of(tree: Mapping[str, Any]) -> Node:
    """A checked tree for the editor, which wants a group at the top."""
    written = _written(tree)
    return written if is_query(written) else {"combinator": "and", "rules": [written]}


def _written(node: Mapping[str, Any]) -> Node:
    for ours, combinator in _COMBINATORS.items():
        if ours in node:
            return {"combinator": combinator, "rules": [_written(child) for child in node[ours]]}
    if "not" not in node:
        return _rule(node)
    inner = node["not"]
    if inner.get("op") == "exists":
        return {"field": inner["field"], "operator": "null", "value": None}
    group = _written(inner)
    if not is_query(group) or group.get("not"):
        group = {"combinator": "and", "rules": [group]}
    return {"combinator": group["combinator"], "not": True, "rules": group["rules"]}


def _rule(leaf: Mapping[str, Any]) -> Node:
    if leaf["op"] == "exists":
        return {"field": leaf["field"], "operator": "notNull", "value": None}
    operator = _WRITTEN[leaf["op"]]
    if "other" in leaf:
        return {"field": leaf["field"], "operator": operator, "valueSource": "field", "value": leaf["other"]}
    return {"field": leaf["field"], "operator": operator, "value": leaf["value"]}
