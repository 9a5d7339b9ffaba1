"""What is reported about rules is certain: no facts contradict it. And the usual mistakes are found."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.lint import RosterAgent, lint
from routing.rules import compile_rules

Rules = list[dict[str, Any]]
ANYBODY = RosterAgent(frozenset({"support", "sales"}), {"billing": 10, "german": 10})


def is_(field: str, value: Any, op: str = "==") -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def found(rules: Rules, *, roster: list[RosterAgent] | None = None, offer_timeout_s: int = 20) -> list[tuple[str, str]]:
    timeouts = {"support": offer_timeout_s, "sales": offer_timeout_s}
    findings = lint(rules, offer_timeouts=timeouts, roster=[ANYBODY] if roster is None else roster)
    return [(finding.code, finding.rule) for finding in findings]


def ruled(*conditions: dict[str, Any], default: str = "rest") -> Rules:
    return [*({"name": f"r{n}", "when": when} for n, when in enumerate(conditions)), {"name": default}]


@pytest.mark.parametrize(
    "when",
    [
        {"all": [is_("customer.tier", "vip"), is_("customer.tier", "gold")]},
        {"all": [is_("customer.tier", "vip"), {"not": is_("customer.tier", "vip")}]},
        {"all": [is_("customer.id", 5, "<"), is_("customer.id", 5, ">")]},
        {"all": [is_("customer.id", [1, 3], "between"), is_("customer.id", [2, 2.5], "in"), is_("customer.id", 3, ">=")]},
        {"all": [is_("customer.company", "Acme"), {"not": {"field": "customer.company", "op": "exists"}}]},
        {"all": [is_("time.clock", ["08:00", "12:00"], "within_hours"), is_("time.clock", ["12:00", "18:00"], "within_hours")]},
        {"all": [is_("time.weekday", 5, ">"), is_("time.weekday", [6, 7], "not_in")]},
        {"not": {"any": [is_("ticket.is_new", True), is_("ticket.is_new", False)]}},
        {"all": [{"any": [is_("customer.tier", "vip"), is_("customer.tier", "gold")]}, is_("customer.tier", "silver")]},
        {"all": [{"field": "call.language", "op": "==", "other": "customer.language"},
                 {"not": {"field": "call.language", "op": "==", "other": "customer.language"}}]},
    ],
)  # fmt: skip
def test_condition_that_can_never_match(when: dict[str, Any]) -> None:
    assert found(ruled(when)) == [("never_matches", "r0")]


@pytest.mark.parametrize(
    "when",
    [
        {"all": [is_("customer.tier", "vip", "!="), is_("customer.tier", "gold", "!=")]},
        {"all": [is_("customer.id", 5, ">="), is_("customer.id", 5, "<=")]},
        {"all": [is_("customer.id", 1, ">"), is_("customer.id", 2, "<")]},
        {"all": [is_("time.clock", ["22:00", "06:00"], "within_hours"), is_("time.clock", ["05:00", "07:00"], "within_hours")]},
        {"all": [is_("call.from", "+49", "starts_with"), is_("call.from", "99", "ends_with"), is_("call.from", "30", "contains")]},
        {"all": [is_("call.from", "ab", "starts_with"), is_("call.from", "b", "ends_with"), is_("call.from", "ab")]},
        {"all": [is_("ticket.tags", "a", "has"), {"not": is_("ticket.tags", "b", "has")}]},
        {"not": is_("customer.tier", "vip")},
    ],
)  # fmt: skip
def test_condition_that_may_match(when: dict[str, Any]) -> None:
    assert found(ruled(when)) == []


def test_rule_behind_one_that_takes_all_its_calls() -> None:
    broad, narrow = is_("customer.tier", ["vip", "gold"], "in"), is_("customer.tier", "gold")
    findings = lint(ruled(broad, narrow), offer_timeouts={}, roster=[ANYBODY])
    (finding,) = findings
    assert (finding.severity, finding.code, finding.rule, finding.place) == ("error", "unreachable", "r1", ("rules", 1))
    assert "'r0'" in finding.message
    assert found(ruled(narrow, broad)) == []


def test_rule_behind_several_that_together_take_all_its_calls() -> None:
    early, late = is_("customer.id", 100, "<"), is_("customer.id", 100, ">=")
    between = is_("customer.id", [50, 150], "between")
    findings = lint(ruled(early, late, between), offer_timeouts={}, roster=[ANYBODY])
    assert [(f.code, f.rule) for f in findings] == [("unreachable", "r2")]
    assert "the rules before it" in findings[0].message
    assert found(ruled(early, between)) == []


def test_default_that_no_call_needs_is_only_a_warning() -> None:
    day = is_("time.clock", ["08:00", "18:00"], "within_hours")
    night = is_("time.clock", ["18:00", "08:00"], "within_hours")
    (finding,) = lint(ruled(day, night), offer_timeouts={}, roster=[ANYBODY])
    assert (finding.severity, finding.code, finding.rule) == ("warning", "default_not_needed", "rest")


def test_rule_that_never_matches_takes_nothing_from_others() -> None:
    never = {"all": [is_("customer.tier", "vip"), is_("customer.tier", "gold")]}
    assert found(ruled(never, is_("customer.tier", "vip"))) == [("never_matches", "r0")]


def test_steps_that_nobody_can_serve() -> None:
    then = {"queue": "support", "steps": [
        {"after_s": 0, "require": [{"skill": "german", "level": 8}]},
        {"after_s": 60, "require": [{"skill": "german", "level": 2}]},
        {"after_s": 120, "require": [{"skill": "billing"}]},
    ]}  # fmt: skip
    german = RosterAgent(frozenset({"support"}), {"german": 3})
    findings = lint([{"name": "d", "then": then}], offer_timeouts={}, roster=[german])
    assert [(f.code, f.place, f.severity) for f in findings] == [
        ("nobody_in_step", ("rules", 0, "then", "steps", 0), "warning"),
        ("nobody_able", ("rules", 0, "then", "steps", 2), "warning"),
    ]
    assert "60 s" in findings[0].message
    elsewhere = RosterAgent(frozenset({"sales"}), {"german": 10, "billing": 10})
    assert found([{"name": "d", "then": {"queue": "support"}}], roster=[elsewhere]) == [("nobody_able", "d")]
    assert found([{"name": "d", "then": {"queue": "support"}}], roster=[]) == []


def test_step_shorter_than_the_time_to_answer() -> None:
    then = {"queue": "support", "steps": [{"after_s": 0}, {"after_s": 19}, {"after_s": 39}]}
    findings = lint([{"name": "d", "then": then}], offer_timeouts={"support": 20, "sales": 5}, roster=[ANYBODY])
    assert [(f.code, f.place) for f in findings] == [("shorter_than_offer", ("rules", 0, "then", "steps", 0))]
    assert "19 s" in findings[0].message
    assert "20 s" in findings[0].message


def test_many_and_deep_rules_end_soon_and_with_what_is_certain() -> None:
    wide = [{"any": [is_("customer.tier", f"t{n}.{m}") for m in range(20)]} for n in range(25)]
    contradiction = {"all": [is_("customer.tier", "vip"), is_("customer.tier", "gold")]}
    assert found(ruled({"all": wide}, contradiction))[-1:] == [("never_matches", "r1")]
    assert found(ruled(*(is_("customer.id", n) for n in range(199)))) == []


# --- certain ------------------------------------------------------------------------------------------------------------

TIERS = ("vip", "gold", None)
LEAVES = st.one_of(
    st.builds(is_, st.just("customer.tier"), st.sampled_from(TIERS[:2]), st.sampled_from(["==", "!="])),
    st.builds(is_, st.just("customer.id"), st.integers(0, 3), st.sampled_from(["==", "!=", "<", "<=", ">", ">="])),
    st.builds(is_, st.just("ticket.is_new"), st.booleans(), st.sampled_from(["==", "!="])),
    st.builds(lambda v: is_("ticket.tags", v, "has"), st.sampled_from(["a", "b"])),
    st.builds(lambda v: is_("call.from", v, "starts_with"), st.sampled_from(["+4", "+49", "+1"])),
    st.builds(lambda f: {"field": f, "op": "exists"}, st.sampled_from(["customer.tier", "customer.id"])),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda c: {"all": c}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda c: {"any": c}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda c: {"not": c}, inner),
    ),
    max_leaves=6,
)
FACTS = st.fixed_dictionaries(
    {
        "customer.tier": st.sampled_from(TIERS),
        "customer.id": st.one_of(st.none(), st.integers(-1, 4), st.floats(-1, 4)),
        "ticket.is_new": st.booleans(),
        "ticket.tags": st.sampled_from([[], ["a"], ["b"], ["a", "b"], None]),
        "call.from": st.sampled_from([None, "+4", "+4930", "+1415", "x"]),
    }
)


@given(st.lists(TREES, min_size=1, max_size=4), st.lists(FACTS, min_size=1, max_size=30))
def test_no_call_ever_takes_a_rule_that_was_reported(
    conditions: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> None:
    rules = ruled(*conditions)
    reported = {rule for code, rule in found(rules) if code in ("never_matches", "unreachable", "default_not_needed")}
    compiled = compile_rules(1, rules)
    assert not reported & {compiled.first_match(facts).name for facts in calls}


def test_rules_made_to_be_slow_are_read_in_seconds() -> None:
    """Each pair of these has thousands of ways to hold; whoever writes them gets less advice, not a service that hangs."""
    fields = ("customer.tier", "customer.company", "customer.language", "call.language", "call.to", "ticket.state")
    rules = ruled(
        *(
            {"all": [{"any": [is_(field, f"{n}.{m}.{field}", "!=") for m in range(4)]} for field in fields]}
            for n in range(150)
        )
    )
    assert found(rules) == []  # the time-out of every test holds for it too


def test_a_rank_that_falls() -> None:
    steps = [{"after_s": 0}, {"after_s": 30, "tier": 2}, {"after_s": 60, "boost_s": 10}, {"after_s": 90, "tier": 1}]
    findings = lint([{"name": "d", "then": {"tier": 1, "steps": steps}}], offer_timeouts={}, roster=[ANYBODY])
    assert [(f.code, f.place, f.severity) for f in findings] == [
        ("rank_falls", ("rules", 0, "then", "steps", 3, "tier"), "warning")
    ]
    assert "falls from 2 to 1" in findings[0].message
