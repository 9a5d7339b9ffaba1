"""The API's route layer: one declaration gives parsing, rights, idempotency, the response and the OpenAPI 3.1 document.

    routes = Routes("tickets")

    @routes.command("POST", "/api/v1/tickets/{id}/notes", roles=STAFF, body=NoteIn, returns=NoteOut, status=201)
    async def add_note(tx: Tx, call: Call[NoteIn]) -> NoteOut: ...

    @routes.query("/api/v1/tickets", roles=STAFF, params=TicketFilter, returns=TicketPage)
    async def list_tickets(conn: Connection, call: Call[TicketFilter]) -> TicketPage: ...

A command runs in one transaction; with an `Idempotency-Key` its answer is stored in that transaction and repeated. A query
gets a connection. A `bare` command gets neither and opens its own transaction: for slow work (password hashes) that must not
hold a connection meanwhile. Rights are deny by default: `roles` has no default. `PUBLIC` operations see `call.principal` None.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from core.errors import Conflict, Forbidden, Invalid, Unauthenticated
from core.principal import Principal, Role
from infra.crashpoints import crashpoint
from infra.http import REQUEST_ID, HttpProblem, json_response, path_id
from infra.outbox import Tx
from infra.postgres import Connection
from infra.ratelimit import API_PER_PRINCIPAL
from infra.resources import RESOURCES, Resources

PRINCIPAL: Final = "principal"


class _Everybody(frozenset[Role]):
    """No role is needed. A type of its own: a set of roles that came out empty by mistake must open nothing."""


PUBLIC: Final[frozenset[Role]] = _Everybody()
MAX_BODY: Final = 256 * 1024

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out")


class ApiModel(BaseModel):
    """Base of request bodies: unknown fields are refused by name, so that a typing error is not silently ignored."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, str_max_length=20_000, regex_engine="rust-regex"
    )

    @model_validator(mode="before")
    @classmethod
    def _only_storable(cls, values: Any) -> Any:
        """Postgres stores no NUL and no number beyond 64 bits, JSON has no NaN, and half a surrogate pair has no UTF-8 form:
        the caller's error, never a failure of ours."""
        place = _unstorable(values, "")
        if place is not None:
            raise ValueError(
                f"{place or 'value'}: text may not hold NUL or unpaired surrogates, numbers must be finite and below 2^63"
            )
        return values


def _unstorable(value: Any, place: str) -> str | None:
    """Where the first value is that no column takes; None when there is none."""
    if isinstance(value, str):
        return place if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value) else None
    if isinstance(value, (int, float)):
        return None if -(2.0**63) <= value < 2.0**63 else place  # NaN is nowhere between
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        if any(_unstorable(key, place) is not None for key in value):
            return place
        parts = [(f"{place}.{key}".lstrip("."), part) for key, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{place}[{index}]", part) for index, part in enumerate(value)]
    return next((found for name, part in parts if (found := _unstorable(part, name)) is not None), None)


class ApiQuery(ApiModel):
    """Base of the parameters of a query. A request line has 8,190 bytes: what is promised must fit in."""

    model_config = ConfigDict(str_max_length=500)


class Nothing(ApiModel):
    """No body, no parameters."""


class Problem(BaseModel):
    """RFC 9457 problem details; `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    errors: list[dict[str, str]] | None = None


@dataclass(slots=True)
class Call(Generic[In]):
    """One request, parsed. `data` is the body of a command or the parameters of a query."""

    request: web.Request
    resources: Resources
    data: In
    principal: Principal | None

    @property
    def who(self) -> Principal:
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    def id(self, name: str = "id") -> int:
        return path_id(self.request, name)

    @property
    def request_id(self) -> str:
        return cast("str", self.request[REQUEST_ID])

    @property
    def if_match(self) -> int | None:
        """The version in an If-Match header, as an alternative to `version` in the body."""
        value = self.request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
        return int(value) if value.isdecimal() and len(value) < 10 else None


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    roles: frozenset[Role]
    summary: str
    tag: str
    name: str
    data: type[BaseModel]
    returns: Any
    status: int
    errors: tuple[str, ...]
    is_command: bool
    handler: Callable[..., Awaitable[Any]]
    is_bare: bool = False
    media: str | None = None
    """What a file is that is answered instead of JSON, whole or in parts."""


class Routes:
    """The operations of one package, in the order of the file."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.operations: list[Operation] = []

    def command(
        self,
        method: str,
        path: str,
        *,
        roles: frozenset[Role],
        body: type[In] = Nothing,  # type: ignore[assignment]
        returns: Any = None,
        status: int = 200,
        errors: Sequence[str] = (),
    ) -> Callable[[Callable[[Tx, Call[In]], Awaitable[Any]]], Callable[[Tx, Call[In]], Awaitable[Any]]]:
        def register(handler: Callable[[Tx, Call[In]], Awaitable[Any]]) -> Callable[[Tx, Call[In]], Awaitable[Any]]:
            self._add(method, path, roles, body, returns, status, errors, True, handler)
            return handler

        return register

    def bare(
        self,
        method: str,
        path: str,
        *,
        roles: frozenset[Role],
        body: type[In] = Nothing,  # type: ignore[assignment]
        returns: Any = None,
        status: int = 200,
        errors: Sequence[str] = (),
        media: str | None = None,
    ) -> Callable[[Callable[[Call[In]], Awaitable[Any]]], Callable[[Call[In]], Awaitable[Any]]]:
        def register(handler: Callable[[Call[In]], Awaitable[Any]]) -> Callable[[Call[In]], Awaitable[Any]]:
            self._add(method, path, roles, body, returns, status, errors, True, handler, is_bare=True, media=media)
            return handler

        return register

    def query(
        self,
        path: str,
        *,
        roles: frozenset[Role],
        params: type[In] = Nothing,  # type: ignore[assignment]
        returns: Any = None,
        errors: Sequence[str] = (),
    ) -> Callable[[Callable[[Connection, Call[In]], Awaitable[Any]]], Callable[[Connection, Call[In]], Awaitable[Any]]]:
        def register(
            handler: Callable[[Connection, Call[In]], Awaitable[Any]],
        ) -> Callable[[Connection, Call[In]], Awaitable[Any]]:
            self._add("GET", path, roles, params, returns, 200, errors, False, handler)
            return handler

        return register

    def _add(
        self,
        method: str,
        path: str,
        roles: frozenset[Role],
        data: type[BaseModel],
        returns: Any,
        status: int,
        errors: Sequence[str],
        is_command: bool,
        handler: Callable[..., Awaitable[Any]],
        *,
        is_bare: bool = False,
        media: str | None = None,
    ) -> None:
        name: str = getattr(handler, "__name__")  # noqa: B009
        if not roles and roles is not PUBLIC:
            raise ValueError(f"{name}: nobody may do this; say PUBLIC if everybody may")
        summary = (handler.__doc__ or name.replace("_", " ").capitalize()).strip().split("\n")[0]
        self.operations.append(
            Operation(
                method,
                path,
                roles,
                summary,
                self.tag,
                name,
                data,
                returns,
                status,
                tuple(errors),
                is_command,
                handler,
                is_bare,
                media,
            )
        )


def mount(app: web.Application, operations: Sequence[Operation]) -> None:
    """Register the operations with the application."""
    for operation in operations:
        app.router.add_route(operation.method, operation.path, _endpoint(operation))


def _endpoint(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    adapter = None if operation.returns is None else TypeAdapter(operation.returns)

    async def endpoint(request: web.Request) -> web.StreamResponse:
        resources = request.config_dict[RESOURCES]
        principal: Principal | None = request.get(PRINCIPAL)
        await _authorise(operation, principal, resources)
        data = await (_body(request, operation.data) if operation.is_command else _params(request, operation.data))
        call = Call(request, resources, data, principal)
        if operation.is_bare:
            status, payload = operation.status, _encode(adapter, await operation.handler(call))
        elif operation.is_command:
            status, payload = await _command(operation, adapter, call)
        else:
            async with resources.database.acquire() as conn:
                result = await operation.handler(conn, call)
            status, payload = operation.status, _encode(adapter, result)
        if isinstance(payload, web.StreamResponse):
            return payload
        if payload is None:
            return web.Response(status=204)
        response = json_response(payload, status=status)
        for prepare in request.get("response_hooks", ()):
            prepare(response)
        return response

    return endpoint


async def _authorise(operation: Operation, principal: Principal | None, resources: Resources) -> None:
    if operation.roles is PUBLIC:
        return
    if principal is None:
        raise Unauthenticated
    if principal.role not in operation.roles:
        raise Forbidden("Your role does not allow this.")
    await resources.limiter.hit_in_lots(API_PER_PRINCIPAL, "api", str(principal.user_id))


def _encode(adapter: TypeAdapter[Any] | None, result: Any) -> Any:
    if result is None or isinstance(result, web.StreamResponse):
        return result
    return adapter.dump_json(result) if adapter is not None else orjson.dumps(result)


async def _command(operation: Operation, adapter: TypeAdapter[Any] | None, call: Call[Any]) -> tuple[int, Any]:
    key = call.request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        raise Invalid("Idempotency-Key must have 1 to 200 printable ASCII characters.")
    request = call.request
    if key is not None:
        raw = f"{request.method} {request.path_qs}\n".encode() + await request.read()
        fingerprint = hashlib.sha256(raw).digest()
    owner = "public" if call.principal is None else f"user:{call.principal.user_id}"

    async def body(tx: Tx) -> tuple[int, Any]:
        if key is not None and (stored := await _stored_answer(tx, owner, key, fingerprint)) is not None:
            return stored
        payload = _encode(adapter, await operation.handler(tx, call))
        status = 204 if payload is None else operation.status
        if key is not None and not isinstance(payload, web.StreamResponse):
            await tx.conn.execute(KEEP_ANSWER, owner, key, status, payload)
        crashpoint("command.before_commit")
        return status, payload

    answer = await call.resources.outbox.transact(body, request_id=call.request_id)
    crashpoint("command.before_reply")
    return answer


CLAIM_KEY: Final = """
INSERT INTO idempotency_keys (principal, key, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (principal, key) DO NOTHING RETURNING key
"""
STORED_ANSWER: Final = "SELECT fingerprint, status, response FROM idempotency_keys WHERE principal = $1 AND key = $2"
KEEP_ANSWER: Final = "UPDATE idempotency_keys SET status = $3, response = $4 WHERE principal = $1 AND key = $2"


async def _stored_answer(tx: Tx, owner: str, key: str, fingerprint: bytes) -> tuple[int, Any] | None:
    """A second request with the key waits for the first one's transaction, then gets its answer."""
    if await tx.conn.fetchval(CLAIM_KEY, owner, key, fingerprint) is not None:
        return None
    row = await tx.conn.fetchrow(STORED_ANSWER, owner, key)
    if row is None or row["status"] is None:
        raise Conflict("The first request with this Idempotency-Key has not ended well; use a new key.")
    if row["fingerprint"] != fingerprint:
        raise Conflict("This Idempotency-Key was used for a different request.", hint="use a new key")
    return row["status"], row["response"]


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """Parse the raw bytes: a body that is not UTF-8 or not JSON is the caller's error, never ours."""
    raw = await request.read()
    if len(raw) > MAX_BODY:
        raise HttpProblem(413, "The request body is too large.")
    if model is Nothing and not raw.strip():
        return Nothing()
    if raw and request.content_type != "application/json":
        raise HttpProblem(415, "Send JSON with Content-Type: application/json.")
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise _invalid(error) from None


async def _params(request: web.Request, model: type[BaseModel]) -> BaseModel:
    values: dict[str, Any] = {}
    for name in request.query:
        field = model.model_fields.get(name)
        many = request.query.getall(name)
        is_list = field is not None and "list" in str(field.annotation)
        values[name] = many if is_list else many[-1]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> Invalid:
    """Field and message only; the input is not echoed."""
    errors = [
        {"field": ".".join(str(part) for part in item["loc"]) or "body", "message": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    first = errors[0]
    return Invalid(f"{first['field']}: {first['message']}", errors=errors)


# --- the document --------------------------------------------------------------------------------------------------


def document(
    operations: Sequence[Operation], *, version: str, extra_models: Sequence[type[BaseModel]] = ()
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the operations. `extra_models` (socket messages) are put among the schemas."""
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = []
    for index, operation in enumerate(operations):
        inputs.append(((index, "in"), "validation", TypeAdapter(operation.data)))
        if operation.returns is not None:
            inputs.append(((index, "out"), "serialization", TypeAdapter(operation.returns)))
    inputs.append((("problem", ""), "serialization", TypeAdapter(Problem)))
    inputs.extend((("extra", model.__name__), "serialization", TypeAdapter(model)) for model in extra_models)
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for index, operation in enumerate(operations):
        entry = _describe(operation, lambda kind, i=index, mode="validation": schemas[((i, kind), mode)])
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    components = definitions.get("$defs", {})
    models: tuple[type[BaseModel], ...] = (Problem, *extra_models)
    for model in models:
        components.setdefault(
            model.__name__, TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ringdesk API",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-ringdesk"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeat a request with its key, and it gets the first one's answer without happening twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


def _describe(operation: Operation, schema: Callable[..., Any]) -> dict[str, Any]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    answer: dict[str, Any] = {"description": "OK"}
    if operation.returns is not None:
        answer["content"] = {"application/json": {"schema": schema("out", mode="serialization")}}
    responses: dict[str, Any] = {str(operation.status if operation.returns is not None else 204): answer}
    if operation.media is not None:
        file = {"description": "The file", "content": {operation.media: {}}}
        responses = {"200": file, "206": {**file, "description": "The part of it that was asked for"}}
        responses["416"] = {"description": "There is no such part"}
    failures = {"422": "Invalid", "503": "Unavailable"}
    if operation.roles:
        failures |= {"401": "Not logged in", "403": "Not allowed", "429": "Too many requests"}
    if operation.is_command:
        failures |= {"409": "Conflict", "413": "Too large", "415": "Not JSON"}
    if "{" in operation.path:
        failures |= {"404": "Not found"}
    failures |= {"403": "Not allowed", "404": "Not found"}
    for code in operation.errors:
        failures.setdefault(code, "Error")
    responses |= {code: {"description": text, **problem} for code, text in sorted(failures.items())}
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": responses,
        "security": [{"session": []}, {"token": []}] if operation.roles else [],
        "x-roles": sorted(operation.roles),
    }
    parameters: list[dict[str, Any]] = [
        {
            "name": part[1:-1],
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        }
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    if operation.is_command and not operation.is_bare:
        parameters.append(IDEMPOTENCY_KEY)
    if operation.is_command:
        if operation.data is not Nothing:
            entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema("in")}}}
    else:
        shape = operation.data.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, field in shape.get("properties", {}).items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": field})
    if parameters:
        entry["parameters"] = parameters
    return entry
