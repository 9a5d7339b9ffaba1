"""Conditions in the Common Expression Language, with our semantics spelt out, for asking another evaluator.

CEL knows no missing value and no comparison of a text with a number: these are errors there. Here both are false, so every comparison is
preceded by the question whether the fact is there and what type it has. Facts are one map, `f`.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from routing.rules import minutes_of

ENVIRONMENT = cel.NewEnv(variables={"f": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


@lru_cache(maxsize=1)
def _compiled(expression: str) -> Any:
    return ENVIRONMENT.compile(expression)


def ask(expression: str, facts: Mapping[str, Any]) -> bool:
    """Errors come back as values, whose Python form is a text, which is true: only a BOOL is an answer."""
    found = _compiled(expression).eval(data={"f": dict(facts)})
    assert found.type() == cel.Type.BOOL, f"{expression}: {found.value()}"
    return bool(found.value())


def exported(node: Mapping[str, Any]) -> str:
    for group, sign in (("all", " && "), ("any", " || ")):
        if group in node:
            return f"({sign.join(exported(child) for child in node[group])})"
    return f"!({exported(node['not'])})" if "not" in node else f"({_leaf(node)})"


def _leaf(leaf: Mapping[str, Any]) -> str:
    name, op, value = json.dumps(leaf["field"]), leaf["op"], leaf.get("value")
    fact = f"f[{name}]"
    is_there = f"{name} in f && {fact} != null"
    if op == "exists":
        return is_there
    if "other" in leaf:
        other = f"f[{json.dumps(leaf['other'])}]"
        alike = [f"({guard(fact)} && {guard(other)})" for guard in (_is_number, _is_text)]
        alike += [f"({_is(fact, 'bool')} && {_is(other, 'bool')})"] if op in ("==", "!=") else []
        both = f"{is_there} && {json.dumps(leaf['other'])} in f && ({' || '.join(alike)})"
        return f"!({both} && {fact} == {other})" if op == "!=" else f"{both} && {fact} {op} {other}"
    if op in ("!=", "not_in"):
        return f"!({_leaf({**leaf, 'op': {'!=': '==', 'not_in': 'in'}[op]})})"
    return f"{is_there} && {_compared(fact, op, value)}"


def _compared(fact: str, op: str, value: Any) -> str:
    match op:
        case "==" | "<" | "<=" | ">" | ">=":
            return f"{_is_like(fact, value)} && {fact} {op} {_literal(value)}"
        case "in":
            return f"({' || '.join(f'({_is_like(fact, one)} && {fact} == {_literal(one)})' for one in value)})"
        case "between":
            return f"{_is_number(fact)} && {fact} >= {_literal(value[0])} && {fact} <= {_literal(value[1])}"
        case "contains" | "starts_with" | "ends_with":
            function = {"contains": "contains", "starts_with": "startsWith", "ends_with": "endsWith"}[op]
            return f"{_is_text(fact)} && {fact}.{function}({_literal(value)})"
        case "has":
            return f"{_is(fact, 'list')} && {_literal(value)} in {fact}"
        case "has_any" | "has_all":
            wanted = f"[{', '.join(map(_literal, value))}]"
            return f"{_is(fact, 'list')} && {wanted}.{'exists' if op == 'has_any' else 'all'}(w, w in {fact})"
        case "within_hours":
            start, end = map(minutes_of, value)
            assert start is not None
            assert end is not None
            sign = "&&" if start < end else "||"
            return f"{_is_number(fact)} && ({fact} >= {start} {sign} {fact} < {end})"
    raise AssertionError(op)


def _is(fact: str, kind: str) -> str:
    return f"type({fact}) == {kind}"


def _is_text(fact: str) -> str:
    return _is(fact, "string")


def _is_number(fact: str) -> str:
    """Not-a-number differs from itself."""
    return f"({_is(fact, 'int')} || {_is(fact, 'double')}) && {fact} == {fact}"


def _is_like(fact: str, value: Any) -> str:
    if isinstance(value, bool):
        return _is(fact, "bool")
    return _is_text(fact) if isinstance(value, str) else _is_number(fact)


def _literal(value: Any) -> str:
    """Texts as in JSON, which CEL reads the same way as long as nothing is escaped that need not be."""
    return json.dumps(value, ensure_ascii=False)
