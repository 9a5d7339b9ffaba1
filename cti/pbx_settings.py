"""What the organisation file says of a telephone system: `cti_connections`. The same shape is kept in the database and read from there.

A mapping is declarative: each of our fields has a place in what is posted, a JSON path or the name of a form field, and where its words
are not ours, a table of them. It is checked when it is applied; what is posted later is at fault itself.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from cti.pbx import Cause, Direction, Kind
from infra.phone import NumberStyle, parse_styled
from infra.shapes import Region, Slug, Zone

IGNORE: Final = "ignore"
EVERY: Final = "[]"
_STEP = re.compile(r"([^.\[\]\s]+)|\[(\d{1,4}|\*|)\]")
Step: TypeAlias = str | int
"""A key, a position, or every element."""


def path_of(text: str) -> tuple[Step, ...]:
    """`$.data.agents[0].ext` → ("data", "agents", 0, "ext"). Raises ValueError."""
    rest = text.removeprefix("$.") if text.startswith("$.") else text.removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        if steps and rest[position] == ".":
            position += 1
        elif steps and rest[position] != "[":
            raise ValueError(f"{text!r} is no path; write it as data.call.id, agents[0].ext or agents[*].ext")
        match = _STEP.match(rest, position)
        if match is None:
            raise ValueError(f"{text!r} is no path; write it as data.call.id, agents[0].ext or agents[*].ext")
        key, index = match.groups()
        steps.append(key if key is not None else int(index) if index.isdecimal() else EVERY)
        position = match.end()
    if not steps or len(steps) > 20:
        raise ValueError("a path has 1 to 20 steps")
    return tuple(steps)


def _as_field(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _variable(name: str) -> str:
    if re.fullmatch(r"RINGDESK_CTI_[A-Z0-9_]{1,60}", name) is None:
        raise ValueError("names an environment variable that begins with RINGDESK_CTI_, such as RINGDESK_CTI_OFFICE")
    return name


Path = Annotated[str, Field(min_length=1, max_length=200)]
"""Checked as a path only where the body is JSON: see `bad_paths`."""
Variable = Annotated[str, AfterValidator(_variable)]
Words = dict[Annotated[str, Field(max_length=200)], Any]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)


class Numbers(Part):
    style: NumberStyle = "international"
    region: Region


class OutboundRule(Part):
    """`*` stands for one or more digits."""

    to: str = Field(pattern=r"^\+?[0-9*]{1,30}$")
    caller_id: str = Field(pattern=r"^\+?[0-9]{2,20}$")


class Outbound(Part):
    """Which number the called see: the first rule that fits, else the default."""

    rules: list[OutboundRule] = Field(default=[], max_length=200)
    default_caller_id: str | None = Field(default=None, pattern=r"^\+?[0-9]{2,20}$")


class Connection(Part):
    key: Slug
    queue: Slug
    """Of calls that name no queue we know, to a number we do not know."""
    numbers: Numbers
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    queues: dict[Annotated[str, Field(max_length=200)], Slug] = {}
    """The system's names of queues → ours."""
    blocked: list[str] = Field(default=[], max_length=10_000)

    @model_validator(mode="after")
    def _blocked_are_numbers(self) -> "Connection":
        for number in self.blocked:
            if parse_styled(number, self.numbers.style, self.numbers.region).value is None:
                raise ValueError(f"blocked: {number!r} is no number")
        return self


class Zammad(Connection):
    dialect: Literal["zammad"]
    token_env: Variable
    outbound: Outbound = Outbound()


class FieldIn(Part):
    """Where it stands, what its words mean, and what holds when it is not there."""

    path: Path | None = None
    values: Words | None = None
    default: str | None = Field(default=None, max_length=200)

    @model_validator(mode="after")
    def _says_something(self) -> "FieldIn":
        if self.path is None and self.default is None:
            raise ValueError("needs a path, or a default that always holds")
        if self.path is None and self.values is not None:
            raise ValueError("values without a path mean nothing")
        return self


class TimeIn(Part):
    """`unix` and `unix_ms` count seconds and milliseconds, `iso` is ISO 8601; else a pattern as in `%Y-%m-%d %H:%M:%S`. `zone` where the
    text names none."""

    path: Path
    format: str = Field(default="iso", max_length=60)
    zone: Zone = "UTC"

    @model_validator(mode="after")
    def _is_format(self) -> "TimeIn":
        if self.format not in ("iso", "unix", "unix_ms") and "%" not in self.format:
            raise ValueError("format must be iso, unix, unix_ms or a pattern such as %Y-%m-%d %H:%M:%S")
        return self


At = Annotated[FieldIn, BeforeValidator(_as_field)]
KINDS: Final = (*(kind.value for kind in Kind), IGNORE)


def _words(field: FieldIn, ours: tuple[str, ...]) -> FieldIn:
    """The words of a table must be ours, and so must the default."""
    wrong = [str(word) for word in (field.values or {}).values() if word not in ours]
    if field.default is not None and field.default not in ours:
        wrong.append(field.default)
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(ours)}")
    return field


def _event_words(field: FieldIn) -> FieldIn:
    return _words(field, KINDS)


def _direction_words(field: FieldIn) -> FieldIn:
    return _words(field, tuple(Direction))


def _cause_words(field: FieldIn) -> FieldIn:
    return _words(field, tuple(Cause))


def _times(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class Mapping(Part):
    """Our field → its place: a JSON path, or the name of a form field. Without a table the words are ours already."""

    body: Literal["json", "form"] = "json"
    event: Annotated[FieldIn, BeforeValidator(_as_field), AfterValidator(_event_words)]
    call: At
    from_: At = Field(alias="from")
    to: At | None = None
    direction: Annotated[FieldIn, BeforeValidator(_as_field), AfterValidator(_direction_words)] = FieldIn(default="in")
    user: At | None = None
    queue: At | None = None
    cause: Annotated[FieldIn, BeforeValidator(_as_field), AfterValidator(_cause_words)] | None = None
    at: Annotated[TimeIn, BeforeValidator(_times)] | None = None
    event_id: At | None = None
    previous_call: At | None = None
    """Of the call that this one goes on with, where a transfer is a new call."""


class Generic(Connection):
    dialect: Literal["generic"]
    secret_env: Variable
    mapping: Mapping


def bad_paths(mapping: Mapping) -> list[tuple[str, str]]:
    """Field and fault of every path that cannot be followed."""
    found = []
    for name in (
        "event",
        "call",
        "from_",
        "to",
        "direction",
        "user",
        "queue",
        "cause",
        "at",
        "event_id",
        "previous_call",
    ):
        field: FieldIn | TimeIn | None = getattr(mapping, name)
        if field is not None and field.path is not None:
            try:
                path_of(field.path)
            except ValueError as error:
                found.append((name.rstrip("_"), str(error)))
    return found


AnyConnection = Annotated[Zammad | Generic, Field(discriminator="dialect")]
_ADAPTER: Final[TypeAdapter[Zammad | Generic]] = TypeAdapter(AnyConnection)


def settings_of(connection: Zammad | Generic) -> dict[str, Any]:
    """For the database: without key and dialect, which have columns of their own."""
    return connection.model_dump(mode="json", by_alias=True, exclude={"key", "dialect"})


def connection_of(key: str, dialect: str, settings: dict[str, Any]) -> Zammad | Generic:
    return _ADAPTER.validate_python({"key": key, "dialect": dialect, **settings})
