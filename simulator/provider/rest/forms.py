"""Reading requests as the provider does: forms, flags, date filters, pages."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from simulator.config import Target
from simulator.provider.flow import DocumentRequest, Inline, Program
from simulator.provider.leg import StatusCallback
from simulator.provider.rest.shapes import RestFailed

MAX_INLINE_TWIML = 4000
MAX_PAGE = 1000

T = TypeVar("T")


def form_value(value: object) -> str:
    return value if isinstance(value, str) else "(file)"


class Form(dict[str, str]):
    """Fields of a write; `lists` keeps the repeated ones."""

    lists: dict[str, list[str]]


async def read(request: web.Request) -> Form:
    posted = await request.post()
    form = Form({name: form_value(value) for name, value in posted.items()})
    form.lists = {name: [form_value(v) for v in posted.getall(name)] for name in posted}
    return form


def target(form: Mapping[str, str], name: str, method: str) -> Target | None:
    url = form.get(name)
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise RestFailed(400, 21205, f"{name} is not a valid URL: {url}")
    return Target(url, "GET" if form.get(method, "").upper() == "GET" else "POST")


def program(form: Form) -> Program | None:
    if (url := target(form, "Url", "Method")) is not None:
        return DocumentRequest(url)
    if body := form.get("Twiml"):
        if len(body) > MAX_INLINE_TWIML:
            raise RestFailed(400, 20001, f"Twiml must be at most {MAX_INLINE_TWIML} characters")
        return Inline(body)
    return None


def callback(form: Form, name: str, default: str) -> StatusCallback | None:
    """Events come as repeated parameters; one space-separated value is a single unknown event, and counts for none."""
    url = target(form, name, f"{name}Method")
    if url is None:
        return None
    return StatusCallback(url, frozenset(form.lists.get(f"{name}Event") or default.split()))


def flag(form: Mapping[str, str], name: str, default: bool) -> bool:
    return {"true": True, "false": False}.get(form.get(name, "").lower(), default)


def whole(form: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = form.get(name, "")
    return min(int(value), most) if value.isdigit() else default


def is_dialable(to: str) -> bool:
    return to.startswith(("client:", "sip:")) or (to.startswith("+") and 4 <= len(to) <= 16 and to[1:].isdigit())


def time_filter(query: Mapping[str, str], name: str) -> Callable[[datetime | None], bool]:
    """`Name=`, `Name<=` and `Name>=`; a bare date means that whole day (UTC)."""
    from_, to = moment(query.get(f"{name}>")), moment(query.get(f"{name}<"))
    day = moment(query.get(name))

    def passes(at: datetime | None) -> bool:
        if from_ is None and to is None and day is None:
            return True
        return (
            at is not None
            and (from_ is None or at >= from_)
            and (to is None or at <= to)
            and (day is None or day <= at < day + timedelta(days=1))
        )

    return passes


def moment(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        if len(value) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        at = datetime.fromisoformat(value)
    except ValueError as failed:
        raise RestFailed(400, 20001, f"Not a date: {value}") from failed
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def page(
    request: web.Request,
    name: str,
    found: list[T],
    sid_of: Callable[[T], str],
    shape: Callable[[T], dict[str, Any]],
) -> web.Response:
    """One page. The token names the last entry seen, so that new calls do not shift the pages."""
    query = request.query
    size = min(max(whole(query, "PageSize", 50, MAX_PAGE), 1), MAX_PAGE)
    number = whole(query, "Page", 0, 1_000_000)
    token = query.get("PageToken", "").removeprefix("PA")
    start = next((i + 1 for i, entry in enumerate(found) if sid_of(entry) == token), number * size)
    shown = found[start : start + size]
    filters = {k: v for k, v in query.items() if k not in {"Page", "PageToken", "PageSize"}}
    mount = request.path.index("/2010-04-01")

    def uri(page_number: int, after: str = "") -> str:
        more = {"PageSize": str(size), "Page": str(page_number)} | ({"PageToken": f"PA{after}"} if after else {})
        return f"{request.path[mount:]}?{urlencode(filters | more)}"

    has_more = start + size < len(found)
    return web.json_response(
        {
            name: [shape(entry) for entry in shown],
            "page": number,
            "page_size": size,
            "start": start,
            "end": start + max(len(shown) - 1, 0),
            "uri": uri(number),
            "first_page_uri": uri(0),
            "next_page_uri": uri(number + 1, sid_of(shown[-1])) if has_more else None,
            "previous_page_uri": uri(number - 1) if number > 0 else None,
        }
    )
