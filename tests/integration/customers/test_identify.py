"""Who has this number: none, one, many, withheld, and why. Never a silent pick."""

from datetime import timedelta

import pytest

from core.phone import Number, NumberKind
from customers import queries, service
from customers.model import Match, NewIdentity, Tier
from infra.outbox import Tx
from infra.phone import parse_number
from tests.builders import TESTER, a_customer

US = "US"


async def test_unknown_number_matches_nobody(tx: Tx) -> None:
    found = await service.identify(tx.conn, parse_number("+14155550123", US))
    assert (found.match, found.candidates, found.customer) == (Match.NONE, (), None)


async def test_known_number_matches_one_with_evidence(tx: Tx) -> None:
    maria = await a_customer(tx, name="Maria Lopez", phone="+14155550123", tier=Tier.VIP, language="es", company="Acme")
    found = await service.identify(tx.conn, parse_number("(415) 555-0123", US))
    assert found.match is Match.ONE
    assert found.customer is not None
    assert (found.customer.id, found.customer.name, found.customer.tier) == (maria.id, "Maria Lopez", Tier.VIP)
    assert (found.customer.company, found.customer.language) == ("Acme", "es")
    evidence = found.customer.evidence
    assert (evidence.kind, evidence.value, evidence.source) == ("phone", "+14155550123", "manual")
    assert evidence.is_shared is False
    assert evidence.verified_at is None


async def test_number_of_two_is_never_picked_silently(tx: Tx) -> None:
    anna = await a_customer(tx, name="Anna", phone="+4930555100")
    ben = await a_customer(tx, name="Ben", phone="+4930555100")
    found = await service.identify(tx.conn, parse_number("030 555100", "DE"))
    assert found.match is Match.MANY
    assert found.customer is None
    assert {candidate.id for candidate in found.candidates} == {anna.id, ben.id}


async def test_shared_number_of_one_is_still_a_choice(tx: Tx) -> None:
    anna = await a_customer(tx, name="Anna", phone="+4930555100", is_shared=True)
    found = await service.identify(tx.conn, parse_number("+4930555100", "DE"))
    assert (found.match, [c.id for c in found.candidates], found.customer) == (Match.MANY, [anna.id], None)


async def test_one_person_with_two_numbers_is_one_candidate(tx: Tx) -> None:
    maria = await a_customer(tx, phone="+541123456789")
    await service.add_identity(tx, maria.id, NewIdentity("phone", "+5491123456789"), actor=TESTER)
    found = await service.identify(tx.conn, parse_number("+5491123456789", US))
    assert (found.match, len(found.candidates)) == (Match.ONE, 1)


async def test_argentine_mobile_is_found_with_and_without_its_nine(tx: Tx) -> None:
    maria = await a_customer(tx, phone="+541123456789")
    found = await service.identify(tx.conn, parse_number("+5491123456789", US))
    assert found.customer is not None
    assert found.customer.id == maria.id


async def test_old_mexican_mobile_form_is_the_same_line(tx: Tx) -> None:
    await a_customer(tx, phone="+525512345678")
    assert (await service.identify(tx.conn, parse_number("+5215512345678", US))).match is Match.ONE


@pytest.mark.parametrize("raw", ["+266696687", "anonymous", "+86282452253", ""])
async def test_withheld_number_matches_nobody_even_if_stored(tx: Tx, raw: str) -> None:
    for value in ("+266696687", "anonymous", "+86282452253", ""):
        await a_customer(tx, phone=value)
    found = await service.identify(tx.conn, parse_number(raw, US))
    assert (found.match, found.candidates) == (Match.WITHHELD, ())


@pytest.mark.parametrize("raw", ["911", "TWILIO", "+1415"])
async def test_emergency_and_unreadable_numbers_match_nobody(tx: Tx, raw: str) -> None:
    await a_customer(tx, phone=raw)
    assert (await service.identify(tx.conn, parse_number(raw, US))).match is Match.NONE


async def test_number_that_may_be_misread_is_shown_but_not_picked(tx: Tx) -> None:
    await a_customer(tx, phone="+4930123456712")
    plain = await service.identify(tx.conn, parse_number("+4930123456712", "DE"))
    odd = await service.identify(tx.conn, parse_number("+4930 1234567 p 12", "DE"))
    assert (plain.match, odd.match) == (Match.ONE, Match.MANY)
    assert odd.customer is None


async def test_longer_number_that_contains_a_known_one_is_somebody_else(tx: Tx) -> None:
    await a_customer(tx, phone="+4930123456")
    assert (await service.identify(tx.conn, parse_number("+49301234567", "DE"))).match is Match.NONE


async def test_short_sip_and_client_numbers_are_looked_up(tx: Tx) -> None:
    await a_customer(tx, name="Extension", phone="4711")
    await a_customer(tx, name="Sip", phone="sip:alice@example.com")
    await a_customer(tx, name="Client", phone="client:kiosk")
    for raw, name in (("4711", "Extension"), ("sip:alice@EXAMPLE.com:5060", "Sip"), ("client:kiosk", "Client")):
        found = await service.identify(tx.conn, parse_number(raw, US))
        assert found.customer is not None
        assert found.customer.name == name


async def test_client_named_like_a_number_is_not_that_customer(tx: Tx) -> None:
    await a_customer(tx, phone="+14155550123")
    assert (await service.identify(tx.conn, parse_number("client:+14155550123", US))).match is Match.NONE


async def test_extension_decides_between_people_of_one_switchboard(tx: Tx) -> None:
    await a_customer(tx, name="Anna", phone="+14155550100", extension="41")
    ben = await a_customer(tx, name="Ben", phone="+14155550100", extension="42")
    with_it = await service.identify(tx.conn, parse_number("+1 415 555 0100 ext. 42", US))
    without = await service.identify(tx.conn, parse_number("+1 415 555 0100", US))
    other = await service.identify(tx.conn, parse_number("+1 415 555 0100 ext. 99", US))
    assert with_it.customer is not None
    assert with_it.customer.id == ben.id
    assert (without.match, other.match) == (Match.MANY, Match.MANY)


async def test_at_most_five_candidates_best_evidence_first(tx: Tx) -> None:
    shared = [await a_customer(tx, name=f"Shared {n}", phone="+4930555100", is_shared=True) for n in range(5)]
    said = await a_customer(tx, name="Said", phone="+4930555100")
    proven = await service.create_customer(
        tx,
        name="Proven",
        identities=[NewIdentity("phone", "+4930555100", verified_at=tx.now - timedelta(days=1))],
        allow_duplicate=True,
        actor=TESTER,
    )
    found = await service.identify(tx.conn, parse_number("+4930555100", "DE"))
    assert found.match is Match.MANY
    assert [c.id for c in found.candidates] == [proven.id, said.id, *(c.id for c in shared[:3])]


async def test_email_address_is_not_found_as_a_phone(tx: Tx) -> None:
    await a_customer(tx, email="4711@example.com")
    value = Number(NumberKind.SIP, "x", "4711@example.com")
    assert (await service.identify(tx.conn, value)).match is Match.NONE
    assert len(await queries.customers_by_identity(tx.conn, kind="email", values=["4711@example.com"])) == 1
