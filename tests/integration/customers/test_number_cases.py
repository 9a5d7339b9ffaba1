"""The labelled set of callers' numbers (`tests/golden/numbers/cases.csv`): who is calling, as a person who knows them would say.

The one thing that must never happen is a silent wrong pick: `one` with somebody else, or with anybody where a person has to choose.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from customers import service
from customers.model import Identification, Match
from infra.outbox import Tx
from infra.phone import parse_number
from tests.builders import TESTER, a_customer

FILE: Final = Path(__file__).parents[2] / "golden" / "numbers" / "cases.csv"
CUSTOMERS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("Maria Lopez", "+14155550123", {}),
    ("Tom Reed", "+12125550147", {}),
    ("Petra Lang", "+4930123456", {}),
    ("Uwe Adler", "+49301234567", {}),
    ("Klaus Weber", "+493012345678", {}),
    ("Jonas Roth", "+491701234567", {}),
    ("王小明", "+8613800138000", {}),
    ("李华", "+8613900139000", {}),
    ("陈静", "+862158887766", {}),
    ("Anna Becker", "+4930555100", {"is_shared": True}),
    ("Jonas Becker", "+4930555100", {"is_shared": True}),
    ("Anna Hill", "+14155550100", {"is_shared": True, "extension": "41"}),
    ("Ben Ott", "+14155550100", {"is_shared": True, "extension": "42"}),
    ("赵云", "+861065529988", {"is_shared": True, "extension": "801"}),
    ("钱峰", "+861065529988", {"is_shared": True, "extension": "802"}),
    ("Reception of a hotel", "+442071838750", {"is_shared": True}),
    *((f"Employee {n}", "+33142685300", {}) for n in range(6)),
    ("Reception", "4711", {}),
    ("Alice Sip", "sip:alice@example.com", {}),
    ("Kiosk", "client:kiosk", {}),
    ("Lucía Ortega", "+525512345678", {}),
    ("Diego Paz", "+541123456789", {}),
    ("Gina Conti", "+390612345678", {}),
    # What a careless import may have stored: none of these is anybody's number.
    ("Nobody", "anonymous", {}),
    ("Nobody else", "+266696687", {}),
    ("Emergency", "+49112", {}),
)


class Case(NamedTuple):
    group: str
    label: str
    raw: str
    region: str
    who: str


with FILE.open(encoding="utf-8", newline="") as lines:
    CASES: Final = [Case(**row) for row in csv.DictReader(lines)]


def said(found: Identification) -> str:
    return found.candidates[0].name if found.match is Match.ONE else str(found.match)


def is_right(case: Case, found: Identification) -> bool:
    return found.match is not Match.ONE if case.who == "never one" else said(found) == case.who


def is_wrong_pick(case: Case, found: Identification) -> bool:
    return found.match is Match.ONE and found.candidates[0].name != case.who


async def _callers(tx: Tx) -> None:
    for name, phone, more in CUSTOMERS:
        await a_customer(tx, name=name, phone=phone, **more)


async def test_nobody_is_picked_wrongly_and_everybody_is_found(tx: Tx) -> None:
    await _callers(tx)
    found = [(case, await service.identify(tx.conn, parse_number(case.raw, case.region))) for case in CASES]
    assert [(case.label, case.raw, said(answer)) for case, answer in found if is_wrong_pick(case, answer)] == []
    wrong = [(case.label, case.raw, case.who, said(answer)) for case, answer in found if not is_right(case, answer)]
    assert wrong == [], "\n".join(map(str, wrong))
    assert all(answer.customer is None for _, answer in found if answer.match is not Match.ONE)


async def test_what_was_chosen_before_is_never_picked_either(tx: Tx) -> None:
    """Everything again, with somebody remembered for every number: no case becomes certain by that, and no certain one wrong."""
    await _callers(tx)
    stranger = await a_customer(tx, name="Somebody chosen before", phone="+12025550111")
    for value in {number.value for case in CASES if (number := parse_number(case.raw, case.region)).value is not None}:
        await service.remember_choice(tx, number=value, customer_id=stranger.id, actor=TESTER)
    for case in CASES:
        answer = await service.identify(tx.conn, parse_number(case.raw, case.region))
        assert not is_wrong_pick(case, answer), case
        assert answer.match is not Match.ONE or case.group in ("extension",), case


def test_the_set_is_what_it_says() -> None:
    groups = Counter(case.group for case in CASES)
    assert len({(case.raw, case.region) for case in CASES}) >= 200
    assert set(groups) >= {"us", "de", "cn", "shared", "substring", "withheld", "extension", "suspect"}
    assert min(groups[name] for name in ("us", "de", "cn", "shared", "substring", "withheld", "extension")) >= 20
    names = {name for name, _, _ in CUSTOMERS} | {"one", "many", "none", "withheld", "never one"}
    assert {case.who for case in CASES} <= names


@pytest.mark.parametrize("who", ["none", "many", "Petra Lang"])
def test_a_wrong_pick_would_be_seen(who: str) -> None:
    """The check itself: another customer, or anybody at all where nobody may be picked, is a wrong pick."""
    from tests.unit.customers.test_model import NUMBER, found  # the shapes of a match

    one = Identification(Match.ONE, (found(7).candidate,), NUMBER)
    case = Case("x", "x", "x", "DE", who)
    assert is_wrong_pick(case, one)
    assert not is_right(case, one)
