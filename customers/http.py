"""Customers over HTTP: list, search, create, change. One customer with tickets and timeline is served by ticketing."""

import base64
import binascii
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, Field

from accounts.model import normalise_email
from core.errors import Invalid
from core.principal import READERS, STAFF, Role, actor_of
from customers import queries, service
from customers.model import (
    CustomerCard,
    CustomerSummary,
    InvalidPhone,
    NewIdentity,
    Tier,
    like_patterns,
)
from customers.queries import Place
from infra.openapi import ApiModel, ApiQuery, Call, Routes
from infra.outbox import Tx
from infra.phone import parse_number, parse_typed
from infra.postgres import Connection

ROUTES: Final = Routes("customers")
WRITERS: Final = STAFF | {Role.INTEGRATION}

Name = Annotated[str, Field(min_length=1, max_length=200)]
Company = Annotated[str, Field(max_length=200)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$")]
Region = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Note = Annotated[str, Field(max_length=10_000)]


class CustomerFilter(ApiQuery):
    """`q`: words that name, company, number or address contain. `phone`: exactly this number; national forms need `region`."""

    q: Annotated[str, Field(max_length=200)] | None = None
    phone: Annotated[str, Field(max_length=60)] | None = None
    region: Region | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str, Field(max_length=1500, pattern="^[A-Za-z0-9_-]*$")] | None = None


class CustomerPage(BaseModel):
    items: list[CustomerSummary]
    next_cursor: str | None


class CustomerIn(ApiModel):
    name: Name
    phone: Annotated[str, Field(max_length=60)] | None = None
    region: Region = "US"
    email: Annotated[str, Field(max_length=254)] | None = None
    company: Company | None = None
    tier: Tier = Tier.STANDARD
    language: Language | None = None
    note: Note = ""
    allow_duplicate: bool = False


class CustomerChange(ApiModel):
    """Only the fields that are there are set. `version` may come as If-Match instead."""

    version: Annotated[int, Field(ge=1, lt=2**31, strict=True)] | None = None
    name: Name | None = None
    company: Company | None = None
    tier: Tier | None = None
    language: Language | None = None
    note: Note | None = None


@ROUTES.query("/api/v1/customers", roles=READERS, params=CustomerFilter, returns=CustomerPage)
async def list_customers(conn: Connection, call: Call[CustomerFilter]) -> CustomerPage:
    """Search customers by words or by number, in the order of their names."""
    asked, after = call.data, _place(call.data.cursor)
    if asked.phone is not None:
        values = _numbers(asked.phone, asked.region)
        items, place = await queries.customers_by_phone(conn, values=values, after=after, limit=asked.limit)
    else:
        patterns = like_patterns(asked.q or "")
        items, place = await queries.search_customers(conn, patterns=patterns, after=after, limit=asked.limit)
    return CustomerPage(items=items, next_cursor=_cursor(place))


def _numbers(phone: str, region: str | None) -> list[str]:
    """What the number may be stored as. A `+` that a client forgot to encode has arrived as a blank."""
    readings = [parse_number(phone, region or "ZZ"), parse_number(f"+{phone.lstrip('+')}", "ZZ")]
    return [reading.value for reading in readings if reading.value is not None]


@ROUTES.command("POST", "/api/v1/customers", roles=WRITERS, body=CustomerIn, returns=CustomerCard, status=201)
async def create_customer(tx: Tx, call: Call[CustomerIn]) -> CustomerCard:
    """Create a customer. 409 `customer_exists` with candidates when the number or address is known already."""
    new = call.data
    return await service.create_customer(
        tx,
        name=new.name,
        company=new.company or None,
        tier=new.tier,
        language=new.language,
        note=new.note,
        identities=_identities(new),
        allow_duplicate=new.allow_duplicate,
        actor=actor_of(call.who),
    )


def _identities(new: CustomerIn) -> list[NewIdentity]:
    identities = []
    if new.phone:
        number = parse_typed(new.phone, new.region)
        if number.e164 is None or number.is_suspect:
            message = "write the whole number, best with country code: +14155550123"
            raise InvalidPhone(
                "phone: this is not a telephone number.", errors=[{"field": "phone", "message": message}]
            )
        identities.append(NewIdentity("phone", number.e164, extension=number.extension))
    if new.email:
        identities.append(NewIdentity("email", normalise_email(new.email)))
    return identities


@ROUTES.command("PATCH", "/api/v1/customers/{id}", roles=WRITERS, body=CustomerChange, returns=CustomerCard)
async def change_customer(tx: Tx, call: Call[CustomerChange]) -> CustomerCard:
    """Change a customer. 409 `version_conflict` with `current` when somebody was faster."""
    given: dict[str, Any] = {name: getattr(call.data, name) for name in call.data.model_fields_set - {"version"}}
    version = call.data.version or call.if_match
    if version is None:
        raise Invalid("version: say which version you change.", errors=[{"field": "version", "message": "is missing"}])
    for name in ("name", "tier", "note"):
        if name in given and given[name] is None:
            raise Invalid(f"{name}: may not be null.", errors=[{"field": name, "message": "may not be null"}])
    if given.get("company") == "":
        given["company"] = None
    return await service.update_customer(tx, call.id(), version=version, changed=given, actor=actor_of(call.who))


def _cursor(place: Place | None) -> str | None:
    if place is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps([place.name, place.id])).decode().rstrip("=")


def _place(cursor: str | None) -> Place:
    if cursor is None:
        return Place()
    try:
        name, customer_id = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError):
        name = customer_id = None
    if not isinstance(name, str) or type(customer_id) is not int or not 0 <= customer_id < 2**63 or "\x00" in name:
        raise Invalid("cursor: is not one of ours.", errors=[{"field": "cursor", "message": "is not one of ours"}])
    return Place(name, customer_id)
