from collections import Counter

from simulator.chance import Chance
from simulator.people.callers import CallerHabits, Crowd

CUSTOMERS = ["+14155550100", "+4930901820", "+8613800138000"]


def a_crowd(seed: int = 1, customers: list[str] = CUSTOMERS) -> Crowd:
    return Crowd(Chance(seed), CallerHabits(), customers)


def test_the_same_seed_brings_the_same_callers() -> None:
    first, second = a_crowd(), a_crowd()
    assert [first.next_call("+1") for _ in range(50)] == [second.next_call("+1") for _ in range(50)]


def test_a_crowd_is_mixed() -> None:
    crowd = a_crowd()
    kinds = Counter(
        "customer" if c in CUSTOMERS else c if c == "anonymous" else "stranger"
        for c in (crowd.next_call("+4930")["from"] for _ in range(400))
    )
    assert kinds["customer"] > kinds["stranger"] > kinds["anonymous"] > 10


def test_customers_call_the_line_of_their_country() -> None:
    crowd = a_crowd()
    callers = {crowd.next_call("+4930901899")["from"] for _ in range(100)}
    assert callers & set(CUSTOMERS) == {"+4930901820"}


def test_patience_stays_within_its_limits() -> None:
    crowd = a_crowd(customers=[])
    patience = [crowd.next_call("+1")["patience_s"] for _ in range(300)]
    assert min(patience) >= 4
    assert max(patience) <= 60
