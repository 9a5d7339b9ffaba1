"""The organisation as one reviewed file: its shape, and where in the file a fault is.

    ringdesk apply org.yaml [--dry-run]

Keys are slugs, texts are {en: …, zh-CN: …}, durations end in `_s`. Unknown keys are refused with their line. Whatever the file
holds, reading it ends with an organisation or with OrgFileInvalid: it is typed by people, and may come from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from accounts.model import InvalidEmail, normalise_email
from core.calendar import days_of, hours_of
from core.errors import RingdeskError
from core.principal import Role
from core.texts import Text
from cti.menu import MOST_LEVELS
from cti.pbx_settings import AnyConnection, Generic, bad_paths
from infra.phone import parse_number, telephone_address
from infra.shapes import Region, Slug, Zone
from routing.lint import Finding, RosterAgent, lint
from routing.model import Pick, WrapMode
from routing.rules import check
from routing.text import read_rules

MAX_DEPTH = 80
MAX_NODES = 100_000


def _email(address: str) -> str:
    try:
        return normalise_email(address)
    except InvalidEmail as error:
        raise ValueError("this is not an e-mail address") from error


Email = Annotated[str, AfterValidator(_email)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)


class Organisation(Part):
    name: str = "Ringdesk"
    time_zone: Zone = "UTC"


class ServiceLevelIn(Part):
    within_s: int = Field(default=20, ge=1, le=86_400)
    target: float = Field(default=0.8, gt=0, le=1)


class TransferIn(Part):
    """`outside`: what numbers outside may begin with to which agents may transfer calls, in the form +49; none by default. Each such call is paid
    for by the organisation."""

    outside: list[Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]] = Field(default=[], max_length=200)


class CallerIdIn(Part):
    """Which of our numbers is shown. The first that fits counts: `queue` the call is made for, `region` of the callee (DE)."""

    number: str
    queue: Slug | None = None
    region: Region | None = None


class QuietHoursIn(Part):
    """No calls from `start` until `end` of the callee's clock. `regions`: of their number; without, wherever nothing else is said."""

    regions: list[Region] = []
    zones: list[Zone] = Field(min_length=1, max_length=20)
    start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class OutboundIn(Part):
    """Calls that agents make. `prefixes`: what numbers may begin with, in the form +49; none by default. Each call is paid for by the organisation."""

    prefixes: list[Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]] = Field(default=[], max_length=200)
    caller_ids: list[CallerIdIn] = Field(default=[], max_length=200)
    prefer_last_dialled: bool = False
    quiet_hours: list[QuietHoursIn] = Field(default=[], max_length=300)
    ring_s: int = Field(default=30, ge=5, le=120)


class WrapUpIn(Part):
    mode: WrapMode = "timed"
    seconds: int = Field(default=30, ge=0, le=3600)
    extension_s: int = Field(default=30, ge=0, le=3600)
    default_disposition: Slug | None = None


class CoolDownsIn(Part):
    reject_s: int = Field(default=30, ge=1, le=3600)
    busy_s: int = Field(default=10, ge=1, le=3600)
    no_answer_s: int | None = Field(default=None, ge=1, le=3600)


class OverflowIn(Part):
    """When the queue lets go of a caller, and where to: to another queue, or to the recorder (`voicemail`). Without either the caller hears that we
    call back, and the ticket stays open."""

    max_waiting: int | None = Field(default=None, ge=1, le=100_000)
    max_wait_s: int | None = Field(default=None, ge=5, le=86_400)
    if_nobody: Literal["wait", "overflow", "alert"] = "wait"
    to: Slug | None = None
    voicemail: bool = False

    @property
    def is_used(self) -> bool:
        return self.max_waiting is not None or self.max_wait_s is not None or self.if_nobody == "overflow"


class RecordingIn(Part):
    """Conversations that are recorded, after callers are told so. `decline_key`: what they press who do not want it; `keep_days`: how long it is kept."""

    decline_key: str | None = Field(default=None, pattern=r"^[0-9*]$")
    keep_days: int = Field(default=90, ge=1, le=3650)
    pause_on_hold: bool = True


def _is_off(recording: Any) -> str:
    return "off" if recording is False else "on"


RecordingOfQueue = Annotated[
    Annotated[RecordingIn, Tag("on")] | Annotated[Literal[False], Tag("off")], Discriminator(_is_off)
]


class QueueIn(Part):
    """`channel`: calls, or tickets that nobody called about. `drain_after_s`: when a waiting call may have an agent full of tickets kept free of
    more; None: never. `calendar`: when callers are let into it, by number and menu; `recording`: in place of what the number says, `false`: not recorded."""

    key: Slug
    name: Text
    channel: Literal["voice", "ticket"] = "voice"
    service_level: ServiceLevelIn = ServiceLevelIn()
    short_abandon_s: int = Field(default=5, ge=0, le=120)
    offer_timeout_s: int = Field(default=20, ge=5, le=600)
    wrap_up: WrapUpIn = WrapUpIn()
    cool_downs: CoolDownsIn = CoolDownsIn()
    misses_before_not_responding: int = Field(default=1, ge=1, le=10)
    pick: Pick = "longest_idle"
    overflow: OverflowIn = OverflowIn()
    drain_after_s: int | None = Field(default=30, ge=1, le=3600)
    time_zone: Zone | None = None
    calendar: Slug | None = None
    recording: RecordingOfQueue | None = None


class SkillIn(Part):
    key: Slug
    name: Text


class CapacityIn(Part):
    """How many of each at the same time; `units`: what all of it together may cost, None: no limit."""

    voice: int = Field(default=1, ge=0, le=1)
    ticket: int = Field(default=5, ge=0, le=1000)
    units: int | None = Field(default=None, ge=1, le=10_000)


class ChannelIn(Part):
    """What one piece of work costs of `capacity.units`, and beside work of which channels it does not count."""

    units: int = Field(default=1, ge=0, le=1000)
    interrupts: list[Literal["voice", "ticket"]] = []


class ChannelsIn(Part):
    voice: ChannelIn = ChannelIn(interrupts=["ticket"])
    ticket: ChannelIn = ChannelIn()


def _is_dated(skill: Any) -> str:
    return "dated" if isinstance(skill, dict | SkillUntil) else "level"


class SkillUntil(Part):
    """A level that counts up to the end of this day, in the organisation's time zone."""

    level: int = Field(ge=0, le=10)
    until: date = Field(le=date(2999, 12, 31))


SkillLevel = Annotated[
    Annotated[int, Field(ge=0, le=10), Tag("level")] | Annotated[SkillUntil, Tag("dated")], Discriminator(_is_dated)
]


class LimitIn(Part):
    """At most so many calls in any stretch of `per_s` seconds."""

    calls: int = Field(ge=1, le=1000)
    per_s: int = Field(ge=60, le=86_400)


class ServedIn(Part):
    """How a group serves a queue: smaller ranks first; what has waited less than `delay_s` is left to others."""

    rank: int = Field(default=1, ge=1, le=99)
    delay_s: int = Field(default=0, ge=0, le=9999)


class GroupIn(Part):
    """Agents who serve the same queues in the same order."""

    key: Slug
    queues: dict[Slug, ServedIn] = Field(min_length=1)


class AgentIn(Part):
    email: Email
    name: str = Field(min_length=1, max_length=120)
    role: Role = Role.AGENT
    language: Literal["en", "zh-CN"] | None = None
    skills: dict[Slug, SkillLevel] = {}
    queues: list[Slug] = []
    group: Slug | None = None
    """In place of `queues`."""
    capacity: CapacityIn = CapacityIn()
    limit: LimitIn | None = None
    weight: int = Field(default=1, ge=1, le=100)
    """Of `pick: weighted`."""
    extensions: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(default=[], max_length=20)
    """By what names telephone systems know this agent, beside the address: extensions, logins."""

    @property
    def levels(self) -> dict[str, int]:
        return {key: skill if isinstance(skill, int) else skill.level for key, skill in self.skills.items()}

    telephone: Annotated[str, Field(max_length=400), AfterValidator(telephone_address)] | None = None
    """Where this agent may take calls instead of in the browser: a number, as +4915112345678, or a SIP address, as sip:li@pbx.example.com. Each such call is
    paid for by the organisation."""


SpokenText = Literal[
    "greeting", "wait", "next", "nobody", "emergency", "hold", "transfer", "not_reached", "sorry", "deflected", "goodbye", "wait_short", "wait_up_to", "wait_range", "menu_again", "menu_back", "menu_main", "unreachable", "closed", "voicemail", "voicemail_key",
    "voicemail_thanks", "voicemail_empty", "consent", "consent_key",
]  # fmt: skip


class VoiceIn(Part):
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    texts: dict[SpokenText, str] = {}
    music: str | None = Field(default=None, max_length=500, pattern=r"^https://\S+$")
    """What a caller hears on hold."""


def _hours(texts: list[str]) -> list[str]:
    for text in texts:
        hours_of(text)
    return texts


def _days(week: dict[str, list[str]]) -> dict[str, list[str]]:
    seen: set[int] = set()
    for name in week:
        if seen & set(days_of(name)):
            raise ValueError(f"{name!r} is there twice")
        seen |= set(days_of(name))
    return week


HoursIn = Annotated[list[str], Field(max_length=10), AfterValidator(_hours)]


class CalendarIn(Part):
    """When numbers are open, by the wall clock of the zone. A day that `weekly` does not name is closed; so is a holiday; other days may have other
    hours."""

    key: Slug
    time_zone: Zone | None = None
    weekly: Annotated[dict[str, HoursIn], AfterValidator(_days)]
    holidays: list[date] = Field(default=[], max_length=1000)
    other_hours: dict[date, HoursIn] = Field(default={}, max_length=1000)

    def settings(self, zone: str) -> dict[str, Any]:
        week: list[list[str]] = [[] for _ in range(7)]
        for name, hours in self.weekly.items():
            for day in days_of(name):
                week[day] = hours
        other = {**{day: list[str]() for day in self.holidays}, **self.other_hours}
        return {
            "zone": self.time_zone or zone,
            "weekly": week,
            "other": {day.isoformat(): other[day] for day in sorted(other)},
        }


class MenuOptionIn(Part):
    """A way out of the menu: a queue, another menu, or the recorder. `words` may be said instead of the digit, in any language."""

    key: Slug
    digit: str = Field(pattern=r"^[0-9*]$")
    words: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(default=[], max_length=20)
    queue: Slug | None = None
    menu: Slug | None = None
    voicemail: bool = False


class MenuIn(Part):
    """What callers hear and choose before the line. Who chooses nothing, after two repeats, goes to `default`, or to that of the menu above, or to the
    number's queue. `back` and `main` are keys of a menu that is below another: to the one before, and to the first."""

    key: Slug
    prompt: Text
    options: list[MenuOptionIn] = Field(min_length=1, max_length=10)
    default: Slug | None = None
    timeout_s: int = Field(default=5, ge=1, le=30)
    back: str | None = Field(default="0", pattern=r"^[0-9*]$")
    main: str | None = Field(default=None, pattern=r"^[0-9*]$")

    def settings(self) -> dict[str, Any]:
        options = [
            {
                "key": o.key,
                "digit": o.digit,
                "queue": None if o.voicemail else o.queue,
                "menu": o.menu,
                "words": o.words,
            }
            for o in self.options
        ]
        return {
            "prompt": self.prompt, "options": options, "default": self.default, "timeout_s": self.timeout_s, "back": self.back, "main": self.main,
        }  # fmt: skip


class VoicemailIn(Part):
    """A number that takes messages: by a key while callers wait, and when it is closed. `silence_s` ends a message, `max_s` cuts it off."""

    key: str | None = Field(default="2", pattern=r"^[0-9*]$")
    max_s: int = Field(default=120, ge=5, le=600)
    silence_s: int = Field(default=5, ge=2, le=30)
    after_hours: bool = True


class NumberIn(Part):
    number: str
    region: Region
    queue: Slug
    voice: VoiceIn = VoiceIn()
    voicemail: VoicemailIn | None = None
    recording: RecordingIn | None = None
    """Whether its conversations are recorded; none is without this."""
    calendar: Slug | None = None
    """When it is open; always without one."""
    menu: Slug | None = None


class DispositionIn(Part):
    key: Slug
    name: Text
    digit: int | None = Field(default=None, ge=1, le=9)
    queue: Slug | None = None
    resolves_ticket: bool = False
    """After a call with this result nothing is left to do."""


@dataclass(frozen=True, slots=True)
class FileFault:
    line: int
    place: str
    message: str

    def __str__(self) -> str:
        parts = (f"line {self.line}" if self.line else "", self.place, self.message)
        return ": ".join(part for part in parts if part)


class OrgFile(Part):
    organisation: Organisation = Organisation()
    channels: ChannelsIn = ChannelsIn()
    transfer: TransferIn = TransferIn()
    outbound: OutboundIn = OutboundIn()
    queues: list[QueueIn] = Field(min_length=1)
    skills: list[SkillIn] = []
    groups: list[GroupIn] = []
    agents: list[AgentIn] = []
    calendars: list[CalendarIn] = []
    menus: list[MenuIn] = []
    numbers: list[NumberIn] = []
    dispositions: list[DispositionIn] = []
    cti_connections: list[AnyConnection] = []
    rules: list[dict[str, Any]] = [{"name": "default"}]
    _warnings: list[FileFault] = PrivateAttr(default_factory=list)

    def served_by(self, agent: AgentIn) -> dict[str, ServedIn]:
        """The agent's queues: its own, or its group's."""
        if agent.group is None:
            return dict.fromkeys(agent.queues, ServedIn())
        return next((dict(group.queues) for group in self.groups if group.key == agent.group), {})

    @property
    def warnings(self) -> list[FileFault]:
        """What somebody should look at, though the file may be applied."""
        return self._warnings


class OrgFileInvalid(RingdeskError):
    status, code, title = 422, "org_file_invalid", "The organisation file has faults"

    def __init__(self, path: str, faults: Sequence[FileFault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(f"{path}: {fault}" for fault in self.faults))


def read_org(path: Path) -> OrgFile:
    """Read and check the file. Raises OrgFileInvalid with every fault and its line."""
    return parse_org(_text_of(path), str(path))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OrgFileInvalid(str(path), [FileFault(0, "", "there is no such file")]) from None
    except UnicodeDecodeError:
        raise OrgFileInvalid(str(path), [FileFault(0, "", "is not UTF-8 text")]) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OrgFileInvalid(str(path), [FileFault(0, "", f"cannot be read: {reason}")]) from None


def read_rules_file(path: Path) -> tuple[list[dict[str, Any]], list[FileFault] | None]:
    """The rules of an organisation file, with what somebody should look at; or of a file that holds only `rules:`, which only the database
    can judge: then None. Raises OrgFileInvalid."""
    text, name = _text_of(path), str(path)
    document = _document(text, name)
    if not isinstance(document, dict) or set(document) != {"rules"} or not isinstance(document["rules"], list):
        org = parse_org(text, name)
        return org.rules, org.warnings
    rules, unreadable = read_rules(_plain(document["rules"]))
    if unreadable:
        raise OrgFileInvalid(name, [_fault(document, each.place, each.message) for each in unreadable])
    return rules, None


def parse_org(text: str, name: str = "org.yaml") -> OrgFile:
    document = _document(text, name)
    try:
        org = OrgFile.model_validate(_plain(document))
    except ValidationError as error:
        faults = [_fault(document, _place(item["loc"]), item["msg"]) for item in error.errors(include_url=False)]
        raise OrgFileInvalid(name, faults) from None
    rules, unreadable = read_rules(org.rules)
    if unreadable:
        raise OrgFileInvalid(name, [_fault(document, each.place, each.message) for each in unreadable])
    org = org.model_copy(update={"rules": rules})
    if faults := _cross_check(org, document):
        raise OrgFileInvalid(name, faults)
    findings = _findings(org)
    if errors := [_of_finding(document, found) for found in findings if found.severity == "error"]:
        raise OrgFileInvalid(name, errors)
    org.warnings.extend(_of_finding(document, found) for found in findings)
    org.warnings.extend(_left_to_nobody(org, document))
    return org


def _document(text: str, name: str) -> Any:
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise OrgFileInvalid(name, [FileFault(line, "", f"not YAML: {error.problem}")]) from None
    except RecursionError:
        raise OrgFileInvalid(name, [FileFault(0, "", TOO_DEEP)]) from None
    except (YAMLError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
        # Values that look like a date or a number and are none come as plain errors without a place.
        raise OrgFileInvalid(name, [FileFault(0, "", f"not YAML: {_first_line(error)}")]) from None
    if fault := next(_unusable(document), None):
        raise OrgFileInvalid(name, [fault])
    return document


def _findings(org: OrgFile) -> list[Finding]:
    """What is odd about the rules of a file that is well formed."""
    return lint(
        org.rules,
        offer_timeouts={queue.key: queue.offer_timeout_s for queue in org.queues},
        roster=[RosterAgent(frozenset(org.served_by(agent)), agent.levels) for agent in org.agents],
    )


def _of_finding(document: Any, found: Finding) -> FileFault:
    return _fault(document, found.place, f"rule {found.rule!r} {found.message}")


TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _unusable(document: Any) -> Iterator[FileFault]:
    """What no model gets to see: nesting without end, aliases that multiply, text that no database keeps."""
    stack: list[tuple[Any, int, int]] = [(document, 1, 1)]
    seen = 0
    while stack:
        value, depth, line = stack.pop()
        seen += 1
        if depth > MAX_DEPTH:
            yield FileFault(line, "", TOO_DEEP)
        if seen > MAX_NODES:
            yield FileFault(line, "", f"holds more than {MAX_NODES} values, aliases counted each time")
        if isinstance(value, dict):
            for key, item in value.items():
                at = line_of(value, (key,)) if _has_lines(value) else line
                stack += [(key, depth + 1, at), (item, depth + 1, at)]
        elif isinstance(value, list):
            for index, item in enumerate(value):
                stack.append((item, depth + 1, line_of(value, (index,)) if _has_lines(value) else line))
        elif isinstance(value, str) and any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in value):
            yield FileFault(line, "", "text may not hold NUL or unpaired surrogates")


def _has_lines(value: Any) -> bool:
    return getattr(value, "lc", None) is not None


def _plain(value: Any) -> Any:
    """Without ruamel's own types."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool | ScalarBoolean):
        return bool(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _fault(document: Any, place: Sequence[str | int], message: str) -> FileFault:
    return FileFault(line_of(document, place), _dotted(place), message.removeprefix("Value error, "))


def _place(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """As it is in the file: which of two shapes a value was taken for is not part of it."""
    if place[:1] == ("cti_connections",):  # after the number comes the dialect
        return (*place[:2], *place[3:])
    if place[:1] == ("queues",) and place[2:3] == ("recording",):
        return (*place[:3], *place[4:])
    return (*place[:4], *place[5:]) if place[2:3] == ("skills",) else place


def _dotted(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def line_of(document: Any, place: Sequence[str | int]) -> int:
    """The line of a place in the file, or of the nearest thing around it. Counts from 1."""
    line, current = 0, document
    for part in place:
        position = getattr(current, "lc", None)
        try:
            if isinstance(current, dict):
                if part not in current:
                    break
                line = position.key(part)[0] if position is not None else line
                current = current[part]
            elif isinstance(current, list) and isinstance(part, int) and part < len(current):
                line = position.item(part)[0] if position is not None else line
                current = current[part]
            else:
                break
        except (KeyError, TypeError, AttributeError):
            break
    return line + 1


def _left_to_nobody(org: OrgFile, document: Any) -> Iterator[FileFault]:
    """Queues that each of their agents leaves to others."""
    least: dict[str, int] = {}
    for agent in org.agents:
        for key, served in org.served_by(agent).items():
            least[key] = min(served.delay_s, least.get(key, served.delay_s))
    for index, queue in enumerate(org.queues):
        if delay_s := least.get(queue.key, 0):
            message = f"every agent leaves this queue to others for {delay_s} s or longer: whoever waits waits at least so long"
            yield _fault(document, ("queues", index, "key"), message)


def _cross_check(org: OrgFile, document: Any) -> list[FileFault]:
    """What one field says about another: unknown references, doubles, rules."""
    faults: list[FileFault] = []

    def fault(message: str, *place: str | int) -> None:
        faults.append(_fault(document, place, message))

    queues, skills = frozenset(q.key for q in org.queues), frozenset(s.key for s in org.skills)
    doubles = (
        ("queues", [q.key for q in org.queues], "key"),
        ("skills", [s.key for s in org.skills], "key"),
        ("groups", [g.key for g in org.groups], "key"),
        ("agents", [a.email for a in org.agents], "email"),
        ("calendars", [c.key for c in org.calendars], "key"),
        ("menus", [m.key for m in org.menus], "key"),
        ("numbers", [n.number for n in org.numbers], "number"),
        ("dispositions", [d.key for d in org.dispositions], "key"),
        ("cti_connections", [c.key for c in org.cti_connections], "key"),
    )
    for section, keys, field in doubles:
        for index, key in enumerate(keys):
            if key in keys[:index]:
                fault(f"{key!r} is there twice", section, index, field)
    ours = {number.number for number in org.numbers}
    for index, caller in enumerate(org.outbound.caller_ids):
        if caller.number not in ours:
            fault(f"{caller.number!r} is none of our numbers", "outbound", "caller_ids", index, "number")
        if caller.queue is not None and caller.queue not in queues:
            fault(f"there is no queue {caller.queue!r}", "outbound", "caller_ids", index, "queue")
    overflows = {q.key: q.overflow.to for q in org.queues}
    for index, queue_in in enumerate(org.queues):
        if message := _bad_overflow(queue_in, overflows):
            fault(message, "queues", index, "overflow", "to")
        if queue_in.overflow.voicemail and not queue_in.overflow.is_used:
            never = "is never used: say max_waiting, max_wait_s or if_nobody: overflow"
            fault(never, "queues", index, "overflow", "voicemail")
        if message := _default_disposition_fault(org, queue_in):
            fault(message, "queues", index, "wrap_up", "default_disposition")
    of_tickets = {q.key for q in org.queues if q.channel == "ticket"}
    calendars = {c.key for c in org.calendars}
    for index, queue_in in enumerate(org.queues):
        if queue_in.calendar is not None and queue_in.calendar not in calendars:
            fault(f"there is no calendar {queue_in.calendar!r}", "queues", index, "calendar")
        for name in ("calendar", "recording"):
            if queue_in.key in of_tickets and getattr(queue_in, name) is not None:
                fault("is for callers; this queue holds tickets", "queues", index, name)
        if queue_in.key in of_tickets and queue_in.overflow != OverflowIn():
            fault("is for callers; tickets wait", "queues", index, "overflow")
        elif queue_in.overflow.to in of_tickets:
            fault(f"{queue_in.overflow.to!r} holds tickets, not calls", "queues", index, "overflow", "to")
    for index, group in enumerate(org.groups):
        for queue in group.queues:
            if queue not in queues:
                fault(f"there is no queue {queue!r}", "groups", index, "queues", queue)
    groups = {group.key for group in org.groups}
    for index, agent in enumerate(org.agents):
        if agent.group is not None and agent.group not in groups:
            fault(f"there is no group {agent.group!r}", "agents", index, "group")
        elif agent.group is not None and agent.queues:
            fault("an agent of a group serves the group's queues: leave one of the two out", "agents", index, "queues")
        for name, channel in (("voice", org.channels.voice), ("ticket", org.channels.ticket)):
            units = agent.capacity.units
            if units is not None and getattr(agent.capacity, name) and channel.units > units:
                message = f"is less than what one costs (channels.{name}.units: {channel.units}): none would ever fit"
                fault(message, "agents", index, "capacity", "units")
        for n, queue in enumerate(agent.queues):
            if queue not in queues:
                fault(f"there is no queue {queue!r}", "agents", index, "queues", n)
            elif queue in agent.queues[:n]:
                fault(f"{queue!r} is there twice", "agents", index, "queues", n)
        for skill in agent.skills:
            if skill not in skills:
                fault(f"there is no skill {skill!r}", "agents", index, "skills", skill)
    rung: dict[str, str] = {}
    for index, agent in enumerate(org.agents):
        if agent.telephone in ours:
            fault("is one of our own numbers: whoever calls there would be called by us", "agents", index, "telephone")
        elif agent.telephone is not None and rung.setdefault(agent.telephone, agent.email) != agent.email:
            fault(f"is the telephone of {rung[agent.telephone]!r}", "agents", index, "telephone")
    known_as: dict[str, str] = {agent.email.casefold(): agent.email for agent in org.agents}
    for index, agent in enumerate(org.agents):
        for n, name in enumerate(agent.extensions):
            if (known := known_as.setdefault(name.casefold(), agent.email)) != agent.email:
                fault(f"{name!r} is what telephone systems call {known!r}", "agents", index, "extensions", n)
    for index, connection in enumerate(org.cti_connections):
        if connection.queue not in queues:
            fault(f"there is no queue {connection.queue!r}", "cti_connections", index, "queue")
        elif connection.queue in of_tickets:
            fault(f"{connection.queue!r} holds tickets, not calls", "cti_connections", index, "queue")
        for name, queue in connection.queues.items():
            if queue not in queues:
                fault(f"there is no queue {queue!r}", "cti_connections", index, "queues", name)
            elif queue in of_tickets:
                fault(f"{queue!r} holds tickets, not calls", "cti_connections", index, "queues", name)
        if isinstance(connection, Generic) and connection.mapping.body == "json":
            for name, message in bad_paths(connection.mapping):
                fault(message, "cti_connections", index, "mapping", name)
    for index, number in enumerate(org.numbers):
        if number.queue not in queues:
            fault(f"there is no queue {number.queue!r}", "numbers", index, "queue")
        elif number.queue in of_tickets:
            fault(f"{number.queue!r} holds tickets, not calls", "numbers", index, "queue")
        if number.menu is not None and number.menu not in {m.key for m in org.menus}:
            fault(f"there is no menu {number.menu!r}", "numbers", index, "menu")
        if number.calendar is not None and number.calendar not in calendars:
            fault(f"there is no calendar {number.calendar!r}", "numbers", index, "calendar")
        if parse_number(number.number, number.region).e164 != number.number:
            fault("must be a phone number in E.164 form, such as +14155550199", "numbers", index, "number")
    for index, menu in enumerate(org.menus):
        for place, message in (*_menu_faults(menu, queues - of_tickets), *_level_faults(menu, org.menus)):
            fault(message, "menus", index, *place)
    for index, disposition in enumerate(org.dispositions):
        if disposition.queue is not None and disposition.queue not in queues:
            fault(f"there is no queue {disposition.queue!r}", "dispositions", index, "queue")
        for other in org.dispositions[:index]:
            is_shared = other.queue is None or disposition.queue in (None, other.queue)
            if disposition.digit is not None and disposition.digit == other.digit and is_shared:
                fault(f"digit {other.digit} is that of {other.key!r}", "dispositions", index, "digit")
    rule_faults = check(org.rules, queues=queues, skills=skills, agents=frozenset(a.email.lower() for a in org.agents))
    faults += [_fault(document, f.place, f.message) for f in rule_faults]
    return faults


def _menu_faults(menu: MenuIn, queues: frozenset[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if menu.default is not None and menu.default not in queues:
        yield ("default",), f"there is no queue {menu.default!r} for calls"
    said: dict[str, str] = {}
    for n, option in enumerate(menu.options):
        before = menu.options[:n]
        if option.queue is not None and option.queue not in queues:
            yield ("options", n, "queue"), f"there is no queue {option.queue!r} for calls"
        if [option.queue is not None, option.menu is not None, option.voicemail].count(True) != 1:
            yield ("options", n), "say one of queue, menu and voicemail: true"
        for name in ("key", "digit"):
            if getattr(option, name) in [getattr(other, name) for other in before]:
                yield ("options", n, name), f"{getattr(option, name)!r} is there twice"
        for w, word in enumerate(option.words):
            if said.setdefault(word.casefold(), option.key) != option.key:
                yield ("options", n, "words", w), f"{word!r} is said for {said[word.casefold()]!r} too"


def _level_faults(menu: MenuIn, menus: Sequence[MenuIn]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the ways from one menu to another: none may lead round in a circle, or too deep."""
    by_key = {each.key: each for each in menus}
    below = {each.key: [o.menu for o in each.options if o.menu in by_key] for each in menus}
    for n, option in enumerate(menu.options):
        if option.menu is not None and option.menu not in by_key:
            yield ("options", n, "menu"), f"there is no menu {option.menu!r}"
        elif option.menu is not None and (circle := _way_between(option.menu, menu.key, below)):
            yield ("options", n, "menu"), f"goes round in a circle: {' → '.join([menu.key, *circle])}"
    if _levels(menu.key, below, MOST_LEVELS + 1) > MOST_LEVELS:
        yield ("key",), f"leads through more than {MOST_LEVELS} menus, one below the other"
    is_below = any(menu.key in keys for keys in below.values())
    for name, digit in (("back", menu.back), ("main", menu.main)):
        if is_below and digit is not None and digit in [option.digit for option in menu.options]:
            yield (name,), f"{digit!r} is that of an option"
    if is_below and menu.back is not None and menu.back == menu.main:
        yield ("main",), f"{menu.main!r} is that of back"


def _way_between(start: str, end: str, below: Mapping[str, Sequence[str | None]]) -> list[str] | None:
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        for key in below[way[-1]]:
            if key is not None and key not in seen:
                seen.add(key)
                ways.append([*way, key])
    return None


def _levels(start: str, below: Mapping[str, Sequence[str | None]], most: int) -> int:
    """How many menus lie one below the other, this one included; no more than `most` are counted. A circle, which is a fault of its own, counts none."""
    level, keys, seen = 0, {start}, {start}
    while keys and level < most:
        level += 1
        keys = {key for above in keys for key in below[above] if key is not None}
        seen |= keys
    is_round = any(_way_between(key, above, below) for above in seen for key in below[above] if key is not None)
    return 0 if is_round else level


def _bad_overflow(queue: QueueIn, overflows: dict[str, str | None]) -> str | None:
    """No caller may be sent round in a circle."""
    target = queue.overflow.to
    if target is None:
        return None
    if target not in overflows:
        return f"there is no queue {target!r}"
    if queue.overflow.voicemail:
        return "is one way out, voicemail another; say one of them"
    if not queue.overflow.is_used:
        return "is never used: say max_waiting, max_wait_s or if_nobody: overflow"
    way = [queue.key]
    while target is not None and target not in way:
        way.append(target)
        target = overflows.get(target)
    return f"goes round in a circle: {' → '.join([*way, target])}" if target == queue.key else None


def _default_disposition_fault(org: OrgFile, queue: QueueIn) -> str | None:
    key = queue.wrap_up.default_disposition
    found = next((d for d in org.dispositions if d.key == key), None)
    if key is None:
        return None
    if found is None:
        return f"there is no disposition {key!r}"
    if found.queue not in (None, queue.key):
        return f"{key!r} is one of queue {found.queue!r}"
    if found.resolves_ticket:
        return f"{key!r} resolves tickets, which nobody has said here; take one that does not"
    return None


def pools_of(org: OrgFile) -> dict[str, str]:
    """Queue → pool: queues that share agents are one pool, named after the first of its keys."""
    parent = {queue.key: queue.key for queue in org.queues}

    def root(key: str) -> str:
        while parent[key] != key:
            key = parent[key]
        return key

    for agent in org.agents:
        served = list(org.served_by(agent))
        for queue in served[1:]:
            a, b = sorted((root(served[0]), root(queue)))
            parent[b] = a
    return {queue.key: f"pool_{root(queue.key)}" for queue in org.queues}
