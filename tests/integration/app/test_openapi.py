"""The OpenAPI document is valid, whole and true: every route is in it, and no generated request gets another answer than it says."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from limits import parse
from openapi_spec_validator import validate
from yarl import URL

from app.web import OPERATIONS, build_app, openapi_document
from core.principal import Role
from infra import openapi
from tests import builders
from tests.integration.app.generated import Request, requests
from tests.integration.app.people import People, ask
from tests.stack import Stack

DOCUMENT = openapi_document("test")
EXAMPLES = 200
TAGS = sorted({operation.tag for operation in OPERATIONS})


def test_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for part in value.values() for each in references(part)]
        return [each for part in value for each in references(part)] if isinstance(value, list) else []

    found = references(DOCUMENT)
    assert found
    assert {each.removeprefix("#/components/schemas/") for each in found} <= set(schemas)


def test_names_of_operations_are_unique_and_each_says_what_it_does() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    assert [n for n, count in Counter(each["operationId"] for each in operations).items() if count > 1] == []
    for each in operations:
        assert len(each["summary"]) > 10
        assert each["summary"].endswith((".", "."))
        assert each["tags"]
        assert "default" in each["responses"] or {"422", "503"} <= set(each["responses"])


def test_parameters_that_are_promised_fit_into_a_request_line() -> None:
    """aiohttp refuses lines over 8,190 bytes before anything of ours sees them."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            texts = [
                40
                if schema.get("format") == "date-time"
                else max(map(len, schema["enum"]))
                if "enum" in schema
                else schema.get("maxLength", 10_000)
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "query"
                for schema in (parameter["schema"], *parameter["schema"].get("anyOf", ()))
                if schema.get("type") == "string"
            ]
            assert sum(texts) < 2500, (method, path, texts)


async def test_every_route_of_the_api_is_in_it(stack: Stack) -> None:
    app = await build_app(stack.parts)
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert served - documented == {("GET", "/api/v1/openapi.json"), ("GET", "/api/docs")}
    assert documented <= served


async def test_served_document_and_page_are_of_this_service(stack: Stack, people: People) -> None:
    _, answer, _ = await ask(people.nobody, "GET", "/api/v1/openapi.json")
    assert answer["paths"] == DOCUMENT["paths"]
    async with people.nobody.get("/api/docs") as response:
        page = await response.text()
    for path in DOCUMENT["paths"]:
        assert path.replace("{", "{") in page


class Judge:
    """Knows what each operation may answer."""

    def __init__(self) -> None:
        self._validators: dict[str, Draft202012Validator] = {}

    def faults(self, path: str, method: str, status: int, kind: str, body: bytes) -> str | None:
        operation = DOCUMENT["paths"][path][method]
        if status >= 500:
            return f"status {status}"
        if str(status) not in operation["responses"]:
            return f"status {status} is not documented"
        content = operation["responses"][str(status)].get("content")
        if content is None:
            return "a body where none is documented" if body else None
        if kind not in content:
            return f"{kind} is not documented for {status}"
        fault = best_match(self._validator(content[kind]["schema"]).iter_errors(json.loads(body)))
        return None if fault is None else f"{fault.json_path}: {fault.message[:300]}"

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        return self._validators[key]


@pytest.fixture
async def known(stack: Stack, people: People) -> list[int]:
    """Ids of things that exist: tickets, customers, a talk of Ava's, its offer and work item."""
    ava = await stack.agent("ava")
    leg = await stack.dial()
    call_id, _ = await ava.take()
    assert leg.is_talking
    ids = {call_id, ava.id, 1}
    async with stack.parts.resources.outbox.transaction() as tx:
        ids.add((await builders.a_customer(tx, name="Maria Lopez", phone="+14155550188", email="m@example.com")).id)
    for table in ("tickets", "offers", "work_items"):
        ids |= {row["id"] for row in await stack.rows(f"SELECT id FROM {table}")}
    return sorted(ids)


@pytest.mark.timeout(300)  # EXAMPLES for each operation of the tag: a minute where it is quiet, three where it is not
@pytest.mark.parametrize("tag", TAGS)
async def test_generated_requests_get_documented_answers(
    stack: Stack, people: People, known: list[int], monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setattr(openapi, "API_PER_PRINCIPAL", parse("1000000 per second"))
    judge, loop = Judge(), asyncio.get_running_loop()
    browsers = {role: await people.browser(role) for role in (Role.ADMIN, Role.INTEGRATION)}
    browsers[Role.AGENT] = await people.browser(name="ava")
    seen: Counter[int] = Counter()

    async def send(client: ClientSession, request: Request) -> tuple[int, str, bytes]:
        url = URL(stack.url + request.path, encoded=True)
        headers = dict(request.headers) | ({} if request.body is None else {"Content-Type": "application/json"})
        async with client.request(request.method, url, data=request.body, headers=headers) as response:
            return response.status, response.content_type, await response.read()

    async def answer(name: str, role: Role, request: Request) -> tuple[int, str, bytes]:
        client = await people.browser(role) if name == "log_out" else browsers[role]
        return await send(client, request)

    def hold(path: str, method: str, name: str, role: Role) -> None:
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, print_blob=False,
            phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(requests(DOCUMENT, path, method, known))
        def each(request: Request) -> None:
            status, kind, body = asyncio.run_coroutine_threadsafe(answer(name, role, request), loop).result(30)
            seen[status] += 1
            fault = judge.faults(path, method, status, kind, body)
            assert fault is None, f"{fault}\n{request}\n{body[:500]!r}"

        each()

    for operation in OPERATIONS:
        if operation.tag == tag:
            role = next(
                r for r in (Role.AGENT, Role.ADMIN, Role.INTEGRATION) if r in operation.roles or not operation.roles
            )
            await asyncio.to_thread(hold, operation.path, operation.method.lower(), operation.name, role)
    assert sum(count for status, count in seen.items() if status < 300) > 20, f"hardly any success: {seen}"
    await stack.rows("DELETE FROM timers WHERE kind = 'ticketing.due' RETURNING 1")
    await stack.settle_down()
