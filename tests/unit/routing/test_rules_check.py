"""What `check` refuses, each with its place; what it lets pass can always be compiled and evaluated."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rules import MAX_BYTES, MAX_DEPTH, MAX_LEAVES, MAX_RULES, OPERATORS, Fault, check, compile_rules

QUEUES = frozenset({"support", "sales"})
SKILLS = frozenset({"billing", "german"})
LEAF = {"field": "customer.tier", "op": "==", "value": "vip"}
DEFAULT = {"name": "everybody"}


def faults_of(documents: Any) -> list[Fault]:
    return check(documents, queues=QUEUES, skills=SKILLS)


def place(fault: Fault) -> str:
    return ".".join(map(str, fault.place))


def of_rule(**fields: Any) -> list[tuple[str, str]]:
    """The faults of one rule before the default, without the prefix that all have."""
    found = faults_of([{"name": "first", "when": LEAF, **fields}, DEFAULT])
    return [(place(fault).removeprefix("rules.0."), fault.message) for fault in found]


def of_when(when: Any) -> list[tuple[str, str]]:
    return [(at.removeprefix("when").removeprefix("."), message) for at, message in of_rule(when=when)]


def of_leaf(**leaf: Any) -> list[tuple[str, str]]:
    return of_when(leaf)


def of_step(**step: Any) -> list[tuple[str, str]]:
    return [(at.removeprefix("then.steps.0."), m) for at, m in of_rule(then={"steps": [{"after_s": 0, **step}]})]


GOOD: list[dict[str, Any]] = [
    LEAF,
    {"field": "customer.tier", "op": "exists"},
    {"not": {"field": "customer.tier", "op": "exists"}},
    {"all": [LEAF, {"any": [LEAF, {"not": LEAF}]}]},
    {"field": "customer.tier", "op": "in", "value": ["vip", "gold"]},
    {"field": "customer.language", "op": "==", "other": "call.language"},
    {"field": "customer.id", "op": "between", "value": [1, 9.5]},
    {"field": "customer.id", "op": ">", "other": "time.weekday"},
    {"field": "ticket.is_new", "op": "!=", "value": True},
    {"field": "ticket.tags", "op": "has", "value": "urgent"},
    {"field": "ticket.tags", "op": "has_any", "value": ["urgent", "billing"]},
    {"field": "call.from", "op": "starts_with", "value": "+49"},
    {"field": "time.clock", "op": "within_hours", "value": ["22:00", "24:00"]},
    {"field": "time.clock", "op": "within_hours", "value": ["22:00", "06:00"]},
]


@pytest.mark.parametrize("when", GOOD)
def test_a_good_condition_passes(when: dict[str, Any]) -> None:
    assert of_when(when) == []


def test_a_whole_good_set_passes() -> None:
    steps = [{"after_s": 0, "require": [{"skill": "billing", "level": 3}], "offers": 2}, {"after_s": 30.5}]
    rules: list[dict[str, Any]] = [
        {"name": "VIP", "when": LEAF, "then": {"queue": "sales", "tier": 9, "boost_s": 86_400, "steps": steps}},
        {"name": "everybody", "then": None},
    ]
    assert faults_of(rules) == []
    assert compile_rules(1, rules).first_match({"customer.tier": "vip"}).then.queue == "sales"


@pytest.mark.parametrize("rules", [None, [], {}, "default", 1])
def test_a_set_is_a_list_of_at_least_one_rule(rules: Any) -> None:
    assert [place(fault) for fault in faults_of(rules)] == ["rules"]


def test_there_are_not_too_many_rules() -> None:
    rules = [{"name": f"rule {n}", "when": LEAF} for n in range(MAX_RULES)]
    assert [place(fault) for fault in faults_of([*rules, DEFAULT])] == ["rules"]
    assert faults_of([*rules[:-1], DEFAULT]) == []


@pytest.mark.parametrize("rule", [None, "VIP", 3, [], [LEAF]])
def test_a_rule_is_a_mapping(rule: Any) -> None:
    assert [place(fault) for fault in faults_of([rule, DEFAULT])] == ["rules.0"]


@pytest.mark.parametrize("name", [None, "", "  ", 7, ["a"], "x" * 121, "a\x00b", "a\ud800"])
def test_a_rule_needs_a_name(name: Any) -> None:
    assert [at for at, _ in of_rule(name=name)] == ["name"]


def test_two_rules_cannot_have_one_name() -> None:
    rules = [{"name": "a", "when": LEAF}, {"name": "a", "when": LEAF}, DEFAULT]
    assert [(place(fault), fault.message) for fault in faults_of(rules)] == [
        ("rules.1.name", "two rules are called 'a'")
    ]


def test_the_last_rule_is_the_default() -> None:
    assert [place(f) for f in faults_of([{"name": "only", "when": LEAF}])] == ["rules.0.when"]
    assert [place(f) for f in faults_of([{"name": "first"}, DEFAULT])] == ["rules.0"]


def test_unknown_keys_are_named() -> None:
    assert of_rule(priority=1) == [("priority", "unknown key")]
    assert of_rule(then={"que": "sales"}) == [("then.que", "unknown key")]
    assert of_leaf(**LEAF, note="x") == [("note", "unknown key")]
    assert of_step(skills=[]) == [("skills", "unknown key")]


@pytest.mark.parametrize("when", [None, [], "vip", 1, [LEAF], {}])
def test_a_condition_is_a_mapping(when: Any) -> None:
    assert [at for at, _ in of_when(when)] == (["field"] if when == {} else [""])


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ({"all": []}, "all"),
        ({"any": {}}, "any"),
        ({"any": LEAF}, "any"),
        ({"not": [LEAF]}, "not"),
        ({"all": [LEAF], "any": [LEAF]}, ""),
        ({"all": [LEAF], "field": "customer.tier"}, ""),
        ({"all": [LEAF, {"not": {"any": [{"not": None}]}}]}, "all.1.not.any.0.not"),
        ({"all": [LEAF, 5, LEAF]}, "all.1"),
    ],
)
def test_a_group_is_well_formed(when: Any, at: str) -> None:
    assert [found for found, _ in of_when(when)] == [at]


def test_faults_come_in_the_order_of_the_file() -> None:
    wrong = {"field": "x", "op": "=="}
    places = [at for at, _ in of_when({"all": [wrong, {"any": [wrong, wrong]}, *[wrong] * 9]})]
    expected = ["all.0", "all.1.any.0", "all.1.any.1", *(f"all.{n}" for n in range(2, 11))]
    assert places == [f"{at}.field" for at in expected]


NESTED: Any = []
for _ in range(10_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("leaf", "at"),
    [
        ({"op": "==", "value": 1}, "field"),
        ({"field": "customer.name", "op": "==", "value": 1}, "field"),
        ({"field": ["customer.tier"], "op": "==", "value": 1}, "field"),
        ({"field": NESTED, "op": "==", "value": 1}, "field"),
        ({"field": "customer.tier", "value": "vip"}, "op"),
        ({"field": "customer.tier", "op": "matches", "value": "v.*"}, "op"),
        ({"field": "customer.tier", "op": ["=="], "value": "vip"}, "op"),
        ({"field": "customer.tier", "op": {}, "value": "vip"}, "op"),
        ({"field": "customer.tier", "op": NESTED, "value": "vip"}, "op"),
        ({"field": "customer.tier", "op": "<", "value": "vip"}, "op"),
        ({"field": "ticket.is_new", "op": "in", "value": [True]}, "op"),
        ({"field": "ticket.tags", "op": "==", "value": "x"}, "op"),
        ({"field": "time.clock", "op": "==", "value": 600}, "op"),
        ({"field": "customer.tier", "op": "=="}, ""),
        ({"field": "customer.tier", "op": "==", "value": "a", "other": "call.to"}, ""),
        ({"field": "customer.tier", "op": "exists", "value": False}, ""),
        ({"field": "customer.tier", "op": "exists", "other": "call.to"}, ""),
        ({"field": "customer.tier", "op": "==", "other": "customer.id"}, "other"),
        ({"field": "customer.tier", "op": "==", "other": "nowhere"}, "other"),
        ({"field": "customer.tier", "op": "==", "other": ["call.to"]}, "other"),
        ({"field": "customer.tier", "op": "contains", "other": "call.to"}, "other"),
        ({"field": "time.clock", "op": "within_hours", "other": "time.clock"}, "other"),
        ({"field": "customer.tier", "op": "==", "value": None}, "value"),
        ({"field": "customer.tier", "op": "==", "value": 1}, "value"),
        ({"field": "customer.tier", "op": "==", "value": "a\x00"}, "value"),
        ({"field": "customer.tier", "op": "==", "value": "\udfff"}, "value"),
        ({"field": "customer.tier", "op": "in", "value": "vip"}, "value"),
        ({"field": "customer.tier", "op": "in", "value": []}, "value"),
        ({"field": "customer.tier", "op": "in", "value": ["vip", 1]}, "value"),
        ({"field": "customer.tier", "op": "in", "value": NESTED}, "value"),
        ({"field": "customer.tier", "op": "==", "value": NESTED}, "value"),
        ({"field": "customer.id", "op": "==", "value": "1"}, "value"),
        ({"field": "customer.id", "op": "==", "value": True}, "value"),
        ({"field": "customer.id", "op": "==", "value": float("nan")}, "value"),
        ({"field": "customer.id", "op": "<", "value": float("inf")}, "value"),
        ({"field": "customer.id", "op": "<", "value": 10**30}, "value"),
        ({"field": "customer.id", "op": "between", "value": [2, 1]}, "value"),
        ({"field": "customer.id", "op": "between", "value": [1]}, "value"),
        ({"field": "customer.id", "op": "between", "value": [1, None]}, "value"),
        ({"field": "ticket.is_new", "op": "==", "value": 1}, "value"),
        ({"field": "ticket.is_new", "op": "==", "value": "yes"}, "value"),
        ({"field": "ticket.tags", "op": "has", "value": ["x"]}, "value"),
        ({"field": "ticket.tags", "op": "has_all", "value": "x"}, "value"),
        ({"field": "call.from", "op": "starts_with", "value": 49}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": "09:00-17:00"}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["9:00", "17:00"]}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["09:00", "24:01"]}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["09:60", "17:00"]}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["09:00", "09:00"]}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["０９:００", "17:00"]}, "value"),
        ({"field": "time.clock", "op": "within_hours", "value": ["-1:00", "17:00"]}, "value"),
    ],
)  # fmt: skip
def test_a_comparison_is_well_typed(leaf: dict[str, Any], at: str) -> None:
    assert [found for found, _ in of_when(leaf)] == [at]


@pytest.mark.parametrize(
    ("then", "at"),
    [
        ("support", "then"),
        ([], "then"),
        ({"queue": "nowhere"}, "then.queue"),
        ({"queue": None}, "then.queue"),
        ({"queue": ["support"]}, "then.queue"),
        ({"queue": NESTED}, "then.queue"),
        ({"tier": 10}, "then.tier"),
        ({"tier": -1}, "then.tier"),
        ({"tier": True}, "then.tier"),
        ({"tier": 1.5}, "then.tier"),
        ({"tier": None}, "then.tier"),
        ({"boost_s": 86_401}, "then.boost_s"),
        ({"steps": [{"after_s": 0}, {"after_s": 9, "tier": 10}]}, "then.steps.1.tier"),
        ({"steps": [{"after_s": 0}, {"after_s": 9, "boost_s": None}]}, "then.steps.1.boost_s"),
        ({"tier": 1, "steps": [{"after_s": 0, "tier": 1}]}, "then.steps.0.tier"),
        ({"boost_s": "60"}, "then.boost_s"),
        ({"steps": {}}, "then.steps"),
        ({"steps": [{"after_s": n} for n in range(21)]}, "then.steps"),
        ({"steps": [[]]}, "then.steps.0"),
        ({"steps": [{}]}, "then.steps.0.after_s"),
        ({"steps": [{"after_s": 5}]}, "then.steps.0.after_s"),
        ({"steps": [{"after_s": True}]}, "then.steps.0.after_s"),
        ({"steps": [{"after_s": 0}, {"after_s": 0}]}, "then.steps.1.after_s"),
        ({"steps": [{"after_s": 0}, {"after_s": 9}, {"after_s": 8}]}, "then.steps.2.after_s"),
        ({"steps": [{"after_s": 0}, {"after_s": float("inf")}]}, "then.steps.1.after_s"),
        ({"steps": [{"after_s": 0}, {"after_s": float("nan")}]}, "then.steps.1.after_s"),
        ({"steps": [{"after_s": 0}, {"after_s": 86_401}]}, "then.steps.1.after_s"),
        ({"steps": [{"after_s": 0, "offers": 0}]}, "then.steps.0.offers"),
        ({"steps": [{"after_s": 0, "offers": 11}]}, "then.steps.0.offers"),
        ({"steps": [{"after_s": 0, "offers": True}]}, "then.steps.0.offers"),
        ({"steps": [{"after_s": 0, "require": {}}]}, "then.steps.0.require"),
        ({"steps": [{"after_s": 0, "require": ["billing"]}]}, "then.steps.0.require.0"),
        ({"steps": [{"after_s": 0, "require": [{}]}]}, "then.steps.0.require.0"),
        ({"steps": [{"after_s": 0, "require": [{"skill": "french"}]}]}, "then.steps.0.require.0"),
        ({"steps": [{"after_s": 0, "require": [{"skill": ["billing"]}]}]}, "then.steps.0.require.0"),
        ({"steps": [{"after_s": 0, "require": [{"skill": "billing", "lvl": 1}]}]}, "then.steps.0.require.0"),
        ({"steps": [{"after_s": 0, "require": [{"skill": "billing", "level": 11}]}]}, "then.steps.0.require.0.level"),
        ({"steps": [{"after_s": 0, "require": [{"skill": "billing", "level": True}]}]}, "then.steps.0.require.0.level"),
        ({"steps": [{"after_s": 0, "require": [{"skill": "billing", "level": "3"}]}]}, "then.steps.0.require.0.level"),
    ],
)  # fmt: skip
def test_a_consequence_is_well_formed(then: Any, at: str) -> None:
    assert [found for found, _ in of_rule(then=then)] == [at]


# --- limits ------------------------------------------------------------------------------------------------------------


def nested(depth: int, group: str = "not") -> Any:
    node: Any = LEAF
    for _ in range(depth - 1):
        node = {"not": node} if group == "not" else {group: [node]}
    return node


@pytest.mark.parametrize("group", ["not", "all", "any"])
def test_depth_is_limited(group: str) -> None:
    assert of_when(nested(MAX_DEPTH, group)) == []
    assert of_when(nested(MAX_DEPTH + 1, group)) == [("", f"a condition is nested at most {MAX_DEPTH} levels deep")]
    assert len(of_when(nested(10_000, group))) == 1  # and no RecursionError


def test_comparisons_are_limited() -> None:
    short = {"field": "call.to", "op": "exists"}
    assert [m for _, m in of_when({"any": [short] * (MAX_LEAVES + 1)})] == [
        f"a condition has at most {MAX_LEAVES} comparisons"
    ]
    assert MAX_LEAVES * len('{"field":"call.to"}') < MAX_BYTES * 2
    assert not any("comparisons" in message for _, message in of_when({"any": [short] * MAX_LEAVES}))


def test_a_wide_set_of_faults_is_cut_off() -> None:
    found = of_when({"any": [0] * 1_000_000})
    assert MAX_LEAVES < len(found) < MAX_LEAVES + 3


def test_size_is_limited_in_bytes() -> None:
    def text(size: int, char: str) -> dict[str, Any]:
        return {"field": "call.to", "op": "==", "value": char * size}

    assert of_when(text(16_000, "x")) == []
    assert of_when(text(20_000, "x")) == [("", f"a condition has at most {MAX_BYTES} bytes")]
    assert of_when(text(8_000, "号")) == [("", f"a condition has at most {MAX_BYTES} bytes")]


def test_a_list_inside_itself_is_refused() -> None:
    loop: dict[str, Any] = {"all": []}
    loop["all"] += [loop, loop]
    assert [m for _, m in of_when(loop)] == [f"a condition is nested at most {MAX_DEPTH} levels deep"]


def test_a_tree_that_multiplies_by_aliases_is_refused_at_once() -> None:
    node: Any = LEAF
    for _ in range(40):
        node = {"all": [node] * 10}
    assert [m for _, m in of_when(node)] == [f"a condition has at most {MAX_LEAVES} comparisons"]


# --- whatever comes ------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        "name",
        "when",
        "then",
        "all",
        "any",
        "not",
        "field",
        "op",
        "value",
        "other",
        "steps",
        "after_s",
        "require",
        "skill",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["customer.tier", "time.clock", "ticket.tags", "support", "billing", "09:00"]),
    st.sampled_from(sorted(frozenset().union(*OPERATORS.values()))),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS | st.integers(0, 3) | st.text(max_size=3), inner, max_size=4)),
    max_leaves=25,
)  # fmt: skip


@settings(deadline=None)
@given(ANYTHING)
def test_r32_whatever_comes_is_answered_with_faults_or_runs(document: Any) -> None:
    """No document raises; one without faults compiles, and its match never raises either."""
    for rules in (document, [document], [document, DEFAULT], [{"name": "x", "when": document}, DEFAULT]):
        if not check(rules, queues=QUEUES, skills=SKILLS):
            compile_rules(1, rules).first_match({"customer.tier": "vip"})


# --- whom to ask first -------------------------------------------------------------------------------------------------------------


def of_first_step(**step: Any) -> list[tuple[str, str]]:
    rules = [{"name": "all", "then": {"steps": [{"after_s": 0} | step]}}]
    return [(place(fault).removeprefix("rules.0.then.steps.0."), fault.message) for fault in faults_of(rules)]


@pytest.mark.parametrize(
    "step",
    [
        {"order": []},
        {"order": ["longest_idle"]},
        {"order": [{"skill": "billing"}, "preserve_specialists", "round_robin"]},
        {"order": ["best_skill"], "require": [{"skill": "billing"}]},
        {"order": ["best_skill"], "prefer": [{"skill": "billing", "level": 2}]},
        {"prefer": [{"skill": "billing"}]},
    ],
)
def test_a_good_order_passes(step: dict[str, Any]) -> None:
    assert of_first_step(**step) == []


@pytest.mark.parametrize(
    ("step", "at", "message"),
    [
        ({"order": "longest_idle"}, "order", "is a list of at most 5 criteria"),
        ({"order": [{"skill": "billing"}] * 6}, "order", "is a list of at most 5 criteria"),
        ({"order": ["fastest"]}, "order.0",
         "must be {skill: …} or one of longest_idle, round_robin, weighted, least_loaded, best_skill, preserve_specialists"),
        ({"order": ["prefer"]}, "order.0",
         "must be {skill: …} or one of longest_idle, round_robin, weighted, least_loaded, best_skill, preserve_specialists"),
        ({"order": [{"skill": "billing", "level": 2}]}, "order.0",
         "must be {skill: …} or one of longest_idle, round_robin, weighted, least_loaded, best_skill, preserve_specialists"),
        ({"order": [{"skill": "cooking"}]}, "order.0.skill", "there is no skill 'cooking'"),
        ({"order": ["round_robin", {"skill": "billing"}]}, "order.0",
         "round_robin tells any two agents apart: nothing after it would count"),
        ({"order": ["best_skill"]}, "order.0", "best_skill compares what the step requires or prefers, and it names nothing"),
        ({"prefer": [{"skill": "cooking"}]}, "prefer.0", "needs a known skill; known are: billing, german"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_meant_is_refused(step: dict[str, Any], at: str, message: str) -> None:
    assert of_first_step(**step) == [(at, message)]


@pytest.mark.parametrize(
    ("sticky", "faults"),
    [
        ({"agent": "last_agent", "wait_s": 30}, []),
        ({"agent": "Ava@example.com", "wait_s": 3600, "if_away": True}, []),
        ({"agent": "ticket_owner"}, [("wait_s", "must be a whole number of seconds from 1 to 3600")]),
        ({"agent": "nobody@example.com", "wait_s": 1},
         [("agent", "must be last_agent, ticket_owner or the address of an agent, not 'nobody@example.com'")]),
        ({"agent": ["last_agent"], "wait_s": 0, "if_away": 1},
         [("agent", "must be last_agent, ticket_owner or the address of an agent, not a list"),
          ("wait_s", "must be a whole number of seconds from 1 to 3600"), ("if_away", "must be true or false")]),
        ({"agent": "last_agent", "wait_s": 30, "until": 3}, [("until", "unknown key")]),
    ],
)  # fmt: skip
def test_whom_an_item_may_be_kept_for(sticky: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    rules = [{"name": "only", "then": {"sticky": sticky}}]
    found = check(rules, queues=QUEUES, skills=SKILLS, agents=frozenset({"ava@example.com"}))
    assert [(place(f).removeprefix("rules.0.then.sticky."), f.message) for f in found] == faults
    if not faults:
        kept = compile_rules(1, rules).rules[0].then.sticky
        assert kept is not None
        assert (kept.agent, kept.wait_s, kept.if_away) == (
            sticky["agent"],
            sticky["wait_s"],
            sticky.get("if_away", False),
        )


def test_sticky_is_a_mapping() -> None:
    assert of_rule(then={"sticky": "last_agent"}) == [("then.sticky", "is a mapping with agent, wait_s, if_away")]


# --- the rank of each step ------------------------------------------------------------------------------------------------


def test_a_rank_stays_in_force_until_a_later_step_says_another() -> None:
    steps = [{"after_s": 0}, {"after_s": 5, "tier": 2}, {"after_s": 9, "boost_s": 60}, {"after_s": 12, "tier": 0}]
    then = compile_rules(1, [{"name": "all", "then": {"boost_s": 10, "steps": steps}}]).rules[0].then
    assert [(s["tier"], s["boost_s"]) for s in then.steps] == [(0, 10), (2, 10), (2, 60), (0, 60)]
    assert (then.tier, then.boost_s) == (0, 10)


def test_the_first_step_may_say_the_rank_of_the_rule() -> None:
    then = compile_rules(1, [{"name": "all", "then": {"steps": [{"after_s": 0, "tier": 3}]}}]).rules[0].then
    assert (then.tier, then.boost_s) == (3, 0)


def test_steps_that_say_no_rank_are_kept_as_they_are() -> None:
    steps = [{"after_s": 0}, {"after_s": 5}]
    assert compile_rules(1, [{"name": "all", "then": {"tier": 4, "steps": steps}}]).rules[0].then.steps == tuple(steps)
