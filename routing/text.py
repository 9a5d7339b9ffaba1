"""Conditions as text, in the spelling of TaskRouter's expressions, and back: `customer.tier == "vip" AND NOT ticket.is_new == true`.

    condition  = all { OR all }
    all        = part { AND part }
    part       = NOT part | ( condition ) | comparison
    comparison = field  == != < <= > >=  value or field     (`=` is read as `==`; `== null` is NOT … EXISTS, `!= null` is … EXISTS)
               | field  HAS CONTAINS STARTS_WITH ENDS_WITH  value
               | field  IN, NOT IN, HAS_ANY, HAS_ALL  [value, …]
               | field  BETWEEN [low, high]
               | field  WITHIN_HOURS ["HH:MM", "HH:MM"]
               | field  EXISTS
    value      = "text" | 'text' | number | true | false

Words count in capitals and not. A field may begin with `task.`, which says nothing. Texts have the escapes of JSON, and \\'. The tree is what
is kept; its text is made anew each time. Reading the text of a tree gives that tree again, but for groups of one, which are their only
member. Nesting, length and number of comparisons are bounded before anything is built.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from routing.query_builder import BadQuery, from_query, is_query
from routing.rules import FIELDS, MAX_BYTES, MAX_DEPTH, MAX_LEAVES, Fault, check_leaf

Node = dict[str, Any]

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<quote>["'])
      | (?P<sign>==|!=|<=|>=|[=<>()\[\],])""",
    re.VERBOSE | re.ASCII,
)
_QUOTED: Final = {quote: re.compile(rf"(?P<text>(?:[^\\{quote}]|\\.)*){quote}", re.DOTALL) for quote in ('"', "'")}
_STRANGE: Final = re.compile(r"[^\s()\[\],]+|.", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_COMPARED: Final = ("==", "!=", "<", "<=", ">", ">=")
_ONE: Final = {"HAS": "has", "CONTAINS": "contains", "STARTS_WITH": "starts_with", "ENDS_WITH": "ends_with"}
_MANY: Final = {
    "IN": "in", "NOT IN": "not_in", "HAS_ANY": "has_any", "HAS_ALL": "has_all", "BETWEEN": "between",
    "WITHIN_HOURS": "within_hours",
}  # fmt: skip
_SPELT: Final = {op: word for words in (_ONE, _MANY) for word, op in words.items()}
_RESERVED: Final = frozenset({"AND", "OR", "NOT", "EXISTS", "TRUE", "FALSE", "NULL", "IN", *_ONE, *_MANY})
_OPERATORS: Final = f"{' '.join(_COMPARED)} {' '.join(_ONE)} {' '.join(_MANY)} EXISTS"


class BadText(ValueError):
    """What is wrong and where: `column` counts characters from 1, over all lines."""

    def __init__(self, column: int, message: str) -> None:
        self.column, self.message = column, message
        super().__init__(f"column {column}: {message}")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """number, word, text, sign, or end."""
    shown: str
    value: Any
    column: int


def parse(text: str) -> Node:
    """The tree of a condition over our fields. Raises BadText; what comes back passes `rules.check`, but for nesting and bytes."""
    return _Reader(text, is_ours=True).whole()


def syntax_tree(text: str) -> Node:
    """As `parse`, but fields may have any names, and keep `task.`; values have not been compared with them. Raises BadText."""
    return _Reader(text, is_ours=False).whole()


def read_rules(documents: Any) -> tuple[Any, list[Fault]]:
    """A list of rules in which conditions may be text or an editor's queries, with trees instead; and where they cannot be read."""
    if not isinstance(documents, list):
        return documents, []
    faults: list[Fault] = []
    read: list[Any] = []
    for index, document in enumerate(documents):
        when = document.get("when") if isinstance(document, dict) else None
        if isinstance(when, str):
            try:
                document = {**document, "when": parse(when)}
            except BadText as error:
                faults.append(Fault(("rules", index, "when"), str(error)))
        elif is_query(when):
            try:
                document = {**document, "when": from_query(when)}
            except BadQuery as error:
                faults.append(Fault(("rules", index, "when", *error.place), error.message))
        read.append(document)
    return read, faults


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        column = at + 1
        if found is None:
            strange = _STRANGE.match(text, at)
            assert strange is not None
            raise BadText(column, f"{strange[0][:40]!r} means nothing here; texts stand in quotes")
        at = found.end()
        kind, shown = str(found.lastgroup), found.group()
        if kind == "space":
            continue
        value: Any = shown
        if kind == "number":
            value = float(shown) if re.search(r"[.eE]", shown) else _whole(shown, column)
        elif kind == "quote":
            quoted = _QUOTED[shown].match(text, at)
            if quoted is None:
                raise BadText(column, f"this text has no closing {shown}")
            at, kind, value = quoted.end(), "text", _unescaped(quoted["text"], column + 1)
            shown = text[column - 1 : at]
        yield _Token(kind, shown, value, column)
    yield _Token("end", "the end", None, len(text) + 1)


def _whole(shown: str, column: int) -> int:
    if len(shown) > 20:
        raise BadText(column, "the number is too long")
    return int(shown)


def _unescaped(text: str, column: int) -> str:
    def one(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise BadText(column + found.start(), f"unknown escape \\{code}; a backslash itself is written \\\\")
        return _ESCAPES[code]

    plain = _ESCAPE.sub(one, text)
    # Two halves, as JSON writes what is beyond the first 65,536 characters.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\\u" in text else plain


class _Reader:
    """Recursive descent. It goes as deep as parentheses and NOT do, which is counted."""

    def __init__(self, text: str, *, is_ours: bool) -> None:
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise BadText(1, f"a condition has at most {MAX_BYTES} bytes")
        self._tokens = list(_tokens(text))
        self._at = 0
        self._leaves = 0
        self._is_ours = is_ours

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise BadText(1, 'is empty; write a comparison, such as customer.tier == "vip", or leave `when` out')
        node = self._condition(1)
        if self._next.kind != "end":
            raise BadText(self._next.column, f"expected AND, OR or the end, not {self._shown}")
        return node

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    @property
    def _shown(self) -> str:
        token = self._next
        return token.shown if token.kind == "end" else repr(token.shown[:40])

    def _is_word(self, word: str, *, ahead: int = 0) -> bool:
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.kind == "word" and token.value.upper() == word

    def _is_sign(self, sign: str) -> bool:
        return self._next.kind == "sign" and self._next.value == sign

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _condition(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._is_word("OR"):
            self._take()
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else {"any": parts}

    def _all(self, depth: int) -> Node:
        parts = [self._part(depth)]
        while self._is_word("AND"):
            self._take()
            parts.append(self._part(depth))
        return parts[0] if len(parts) == 1 else {"all": parts}

    def _part(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise BadText(self._next.column, f"a condition is nested at most {MAX_DEPTH} levels deep")
        if self._is_word("NOT"):
            self._take()
            return {"not": self._part(depth + 1)}
        if not self._is_sign("("):
            return self._comparison()
        opened = self._take()
        node = self._condition(depth + 1)
        if not self._is_sign(")"):
            raise BadText(
                self._next.column,
                f"expected AND, OR or `)` for the `(` of column {opened.column}, not {self._shown}",
            )
        self._take()
        return node

    def _comparison(self) -> Node:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise BadText(self._next.column, f"a condition has at most {MAX_LEAVES} comparisons")
        field = self._next
        if field.kind != "word" or field.value.upper() in _RESERVED:
            hint = "; write the field first" if field.kind in ("text", "number") else ""
            raise BadText(field.column, f"expected a field, NOT or `(`, not {self._shown}{hint}")
        self._take()
        sign = self._next
        leaf: Node = {"field": self._name(field)}
        operand = self._operator(leaf)
        if operand is not None and operand.kind == "word" and operand.value.lower() == "null":
            if leaf["op"] not in ("==", "!="):
                raise BadText(operand.column, "null is only compared by == and !=; or write EXISTS")
            exists = {"field": leaf["field"], "op": "exists"}
            self._check(exists, field, sign, operand)
            return exists if leaf["op"] == "!=" else {"not": exists}
        self._check(leaf, field, sign, operand)
        return leaf

    def _name(self, token: _Token) -> str:
        name = str(token.value)
        return name.removeprefix("task.") if self._is_ours else name

    def _operator(self, leaf: Node) -> _Token | None:
        """Adds op, and value or other, to the leaf. Returns where the operand begins."""
        token = self._take()
        word = token.value.upper() if token.kind == "word" else ""
        if word == "NOT" and self._is_word("IN"):
            self._take()
            word = "NOT IN"
        if word == "EXISTS":
            leaf["op"] = "exists"
            return None
        operand = self._next
        if word in _MANY:
            leaf["op"], leaf["value"] = _MANY[word], self._list(word)
        elif word in _ONE:
            leaf["op"], leaf["value"] = _ONE[word], self._value()
        elif token.kind == "sign" and (token.value in _COMPARED or token.value == "="):
            leaf["op"] = "==" if token.value == "=" else token.value
            if operand.kind == "word" and operand.value.upper() not in _RESERVED:
                leaf["other"] = self._name(self._take())
            else:
                leaf["value"] = self._value()
        else:
            shown = token.shown if token.kind == "end" else repr(token.shown[:40])
            raise BadText(
                token.column, f"expected an operator after {leaf['field']}, not {shown}; there are: {_OPERATORS}"
            )
        return operand

    def _value(self) -> Any:
        token = self._next
        if token.kind in ("text", "number"):
            return self._take().value
        if token.kind == "word" and token.value.lower() in _CONSTANTS:
            return _CONSTANTS[self._take().value.lower()]
        hint = "; texts stand in quotes" if token.kind == "word" else ""
        raise BadText(token.column, f"expected a value, not {self._shown}{hint}")

    def _list(self, word: str) -> list[Any]:
        if not self._is_sign("["):
            raise BadText(self._next.column, f"expected a list after {word}, such as [1, 2], not {self._shown}")
        self._take()
        values = [self._value()]
        while self._is_sign(","):
            self._take()
            values.append(self._value())
        if not self._is_sign("]"):
            raise BadText(self._next.column, f"expected `,` or `]`, not {self._shown}")
        self._take()
        return values

    def _check(self, leaf: Node, field: _Token, sign: _Token, operand: _Token | None) -> None:
        if not self._is_ours:
            return
        for fault in check_leaf(leaf, ()):
            at = {"field": field, "op": sign}.get(str(fault.place[0]) if fault.place else "", operand or sign)
            is_a_field = "other" not in leaf or leaf["other"] in FIELDS
            raise BadText(
                at.column,
                fault.message if is_a_field else f"there is no field {leaf['other']!r}; texts stand in quotes",
            )


# --- writing -----------------------------------------------------------------------------------------------------------


def condition_text(node: Mapping[str, Any]) -> str:
    """A checked tree as text."""
    return _written(node, binds=0)


def _written(node: Mapping[str, Any], *, binds: int) -> str:
    """`binds`: 0 nothing around it, 1 a member of OR, 2 a member of AND, 3 after NOT. What binds as loosely, or more so, needs parentheses."""
    if "not" in node:
        return f"NOT {_written(node['not'], binds=3)}"
    if "all" not in node and "any" not in node:
        return _leaf(node)
    children = node["all"] if "all" in node else node["any"]
    if len(children) == 1:
        return _written(children[0], binds=binds)
    own, word = (2, " AND ") if "all" in node else (1, " OR ")
    text = word.join(_written(child, binds=own) for child in children)
    return f"({text})" if binds >= own else text


def _leaf(leaf: Mapping[str, Any]) -> str:
    name, op = leaf["field"], leaf["op"]
    if op == "exists":
        return f"{name} EXISTS"
    value = leaf["other"] if "other" in leaf else _literal(leaf["value"])
    return f"{name} {_SPELT.get(op, op)} {value}"


def _literal(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False)
