"""Requests made from the OpenAPI document: mostly as the schemas say, often a little wrong, sometimes plainly hostile."""

import json
import string
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from hypothesis import strategies as st

Document = dict[str, Any]

NASTY_TEXTS: Final = (
    "", " ", "\x00", "a\x00b", "\ud800", "\u202eabc", "😀𠮷", "' OR 1=1--", "%", "_", "\\", "%00", "../../etc/passwd", "{}", "${x}",
    "<script>", "\r\nX: y", "x" * 5000, "null", "NaN", "-1", "1e999", "٣", "T-2026-000123-8", "+14155550199", "open", "support",
)  # fmt: skip
NASTY_NUMBERS: Final = (0, -1, 1, 2, 3, 100, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30)
NASTY_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    [],
    {},
    [None],
    {"x": 1},
    "",
    0,
    -1,
    1.5,
    1e308,
    10**400,
    "\x00",
    [[[[[[]]]]]],
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...] = ()


def requests(document: Document, path: str, method: str, known: list[int]) -> st.SearchStrategy[Request]:
    """For one operation. `known`: ids that exist."""
    operation = document["paths"][path][method]
    parameters = operation.get("parameters", [])
    in_path = [p["name"] for p in parameters if p["in"] == "path"]
    in_query = [p for p in parameters if p["in"] == "query"]
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return st.builds(
        lambda ids, query, body, key: Request(
            method.upper(), _filled(path, dict(zip(in_path, ids, strict=True))) + query, body, key
        ),
        st.tuples(*(_path_value(known) for _ in in_path)),
        _query(document, in_query, known),
        st.none() if schema is None else _body(document, schema, known),
        st.sampled_from([(), (), (), (("Idempotency-Key", "same"),), (("If-Match", '"1"'),)]),
    )


def _filled(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(value, safe="", errors="surrogatepass"))
    return path


def _path_value(known: list[int]) -> st.SearchStrategy[str]:
    ids = st.sampled_from(known).map(str) if known else st.just("1")
    return st.one_of(
        ids, ids, ids, st.integers().map(str), st.sampled_from([t or "0" for t in NASTY_TEXTS if len(t) < 99])
    )


def _query(document: Document, parameters: list[Any], known: list[int]) -> st.SearchStrategy[str]:
    def text(value: Any) -> list[str]:
        if isinstance(value, list):
            return [each for part in value for each in text(part)]
        return [] if value is None else [str(value)[:900]]  # a longer line never reaches the service

    def joined(values: dict[str, Any]) -> str:
        pairs = [f"{name}={quote(t, errors='surrogatepass')}" for name, value in values.items() for t in text(value)]
        return f"?{'&'.join(pairs)}" if pairs else ""

    fields: dict[str, st.SearchStrategy[Any]] = {
        p["name"]: st.one_of(value_of(document, p["schema"], known), st.sampled_from(NASTY_TEXTS)) for p in parameters
    }
    extra = st.dictionaries(st.sampled_from(["stray", "limit", "q"]), st.sampled_from(NASTY_TEXTS), max_size=1)
    some = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda a, b: joined(a | b), some, st.one_of(st.just({}), st.just({}), st.just({}), extra))


def _body(document: Document, schema: Document, known: list[int]) -> st.SearchStrategy[bytes]:
    valid = value_of(document, schema, known)
    spoilt = st.builds(_spoil, valid, st.integers(0, 3), st.sampled_from(NASTY_VALUES), st.integers(0, 20))
    raw = st.one_of(
        st.binary(max_size=30), st.sampled_from([b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":1,"a":2}'])
    )
    as_json = st.one_of(valid, valid, valid, spoilt, spoilt, st.sampled_from(NASTY_VALUES)).map(to_json)
    return st.one_of(as_json, as_json, as_json, as_json, as_json, raw)


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=True).encode()


def _spoil(value: Any, how: int, nasty: Any, which: int) -> Any:
    if not isinstance(value, dict) or not value:
        return nasty
    name = sorted(value)[which % len(value)]
    match how:
        case 0:
            return {key: part for key, part in value.items() if key != name}
        case 1:
            return value | {name: nasty}
        case 2:
            return value | {"stray": nasty}
        case _:
            return value | {name: _spoil(value[name], which % 3, nasty, which + 1)}


def value_of(document: Document, schema: Document, known: list[int]) -> st.SearchStrategy[Any]:
    """Values that fit the schema (as pydantic writes it)."""
    if "$ref" in schema:
        return st.deferred(lambda: value_of(document, _resolved(document, schema["$ref"]), known))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return st.one_of(*(value_of(document, each, known) for each in schema[union]))
    match schema.get("type"):
        case "object":
            return _object(document, schema, known)
        case "array":
            items = value_of(document, schema.get("items", {}), known)
            return st.lists(items, min_size=schema.get("minItems", 0), max_size=min(schema.get("maxItems", 3), 3))
        case "string":
            return _string(schema)
        case "integer":
            low, high = (
                schema.get("minimum", -(2**40)),
                schema.get("maximum", schema.get("exclusiveMaximum", 2**40) - 1),
            )
            fitting = [number for number in (*known, *NASTY_NUMBERS) if low <= number <= high]
            return st.one_of(st.sampled_from(fitting), st.integers(low, high))
        case "number":
            return st.floats(schema.get("minimum", -1e9), schema.get("maximum", 1e9), allow_nan=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(NASTY_TEXTS))
    return st.recursive(
        scalars,
        lambda s: st.one_of(st.lists(s, max_size=2), st.dictionaries(st.text(max_size=5), s, max_size=2)),
        max_leaves=5,
    )


def _resolved(document: Document, reference: str) -> Document:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/")]
    schema: Document = found
    return schema


def _object(document: Document, schema: Document, known: list[int]) -> st.SearchStrategy[Any]:
    properties = {name: value_of(document, each, known) for name, each in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    if not properties:
        values = schema.get("additionalProperties")
        inner = value_of(document, values if isinstance(values, dict) else {}, known)
        return st.dictionaries(st.text(string.ascii_lowercase, max_size=6), inner, max_size=3)
    return st.fixed_dictionaries(
        {name: value for name, value in properties.items() if name in required},
        optional={name: value for name, value in properties.items() if name not in required},
    )


def _string(schema: Document) -> st.SearchStrategy[Any]:
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda at: f"{at.isoformat()}Z")
    if "pattern" in schema:
        try:
            return st.from_regex(schema["pattern"], fullmatch=False).filter(lambda text: len(text) < 400)
        except Exception:  # a dialect that Python does not speak
            return st.sampled_from(NASTY_TEXTS)
    most = min(schema.get("maxLength", 60), 60)
    plain = st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=most)
    return st.one_of(plain, plain, st.sampled_from(NASTY_TEXTS))
