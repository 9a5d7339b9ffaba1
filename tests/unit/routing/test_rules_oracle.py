"""Three evaluators and one meaning: the closures that decide calls, a plain reading of the tree, and CEL as its makers evaluate it."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rules import ALL_OPERATORS, FIELDS, OPERATORS, Kind, check, compile_tree, explain_tree, misfits
from routing.text import condition_text, parse
from tests.unit.routing.cel import ask, exported
from tests.unit.routing.trees import FACTS, TREES, reference

TREES_DRAWN: Final = 1800
FACTS_A_TREE: Final = 3
BIGGEST: Final = 2**63 - 1
"""CEL's whole numbers end here."""


def representable(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if type(fact) is not int or abs(fact) <= BIGGEST}


@settings(deadline=None)
@given(TREES, FACTS)
def test_r33_closures_a_plain_reading_and_cel_say_the_same(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    facts = representable(facts)
    assert compile_tree(tree)(facts) is reference(tree, facts) is ask(exported(tree), facts)


TEXTS: Final = ["", "a", "ab", "ba", "vip", 'x\\" || true // ', "it's", "a\nb", "客户", "\U0001f600"]
NUMBERS: Final = [-3, -1, 0, 0.0, 0.5, 1, 1.0, 2, 2.5, 7]
STRANGE: Final = [None, "1", "true", 1, 0, True, [], ["a"], "", float("nan"), float("inf"), 1440]
OF_KIND: Final[dict[Kind, list[Any]]] = {
    Kind.TEXT: TEXTS,
    Kind.NUMBER: NUMBERS,
    Kind.BOOL: [True, False],
    Kind.LIST: TEXTS,
    Kind.CLOCK: [0, 359, 360, 720, 1319, 1320, 1439],
}
TIMES: Final = ["00:00", "06:00", "12:00", "22:00", "24:00"]


def a_leaf(random: Random) -> dict[str, Any]:
    field = random.choice(sorted(FIELDS))
    kind = FIELDS[field]
    op = random.choice(sorted(OPERATORS[kind]))
    values = OF_KIND[kind]
    leaf: dict[str, Any] = {"field": field, "op": op}
    if op == "exists":
        return leaf
    if op == "within_hours":
        return leaf | {"value": random.sample(TIMES, 2)}
    if op == "between":
        return leaf | {"value": sorted(random.sample(values, 2))}
    if op in ("in", "not_in", "has_any", "has_all"):
        return leaf | {"value": random.sample(values, random.randint(1, 2))}
    if op in ("==", "!=", "<", "<=", ">", ">=") and random.random() < 0.2:
        return leaf | {"other": random.choice(sorted(name for name, each in FIELDS.items() if each is kind))}
    return leaf | {"value": random.choice(values)}


def a_tree(random: Random, depth: int = 4) -> dict[str, Any]:
    draw = random.random()
    if depth == 0 or draw < 0.4:
        return a_leaf(random)
    if draw < 0.55:
        return {"not": a_tree(random, depth - 1)}
    group = "all" if draw < 0.78 else "any"
    return {group: [a_tree(random, depth - 1) for _ in range(random.randint(1, 3))]}


def some_facts(random: Random, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Of the fields that the tree asks for most are there, most of the right type, many with a value that it names."""
    facts: dict[str, Any] = {}
    for verdict in explain_tree(tree, {}):
        draw, kind = random.random(), FIELDS[verdict.field]
        if draw < 0.12:
            continue
        named = verdict.value if isinstance(verdict.value, list) else [verdict.value]
        pool = STRANGE if draw < 0.25 else named if draw < 0.6 and kind is not Kind.CLOCK else OF_KIND[kind]
        if kind is Kind.LIST and draw >= 0.25:
            facts[verdict.field] = random.sample(pool, random.randint(0, len(pool)) if draw < 0.6 else 2)
        else:
            facts[verdict.field] = random.choice(pool)
    return facts


def test_r33_closures_a_plain_reading_and_cel_say_the_same_of_thousands() -> None:
    random = Random(20_261)
    came_out: Counter[tuple[str, bool]] = Counter()
    for number in range(TREES_DRAWN):
        tree = a_tree(random)
        assert check([{"name": "x", "when": tree}, {"name": "d"}], queues=frozenset(), skills=frozenset()) == []
        test, expression = compile_tree(tree), exported(tree)
        of_text = compile_tree(parse(condition_text(tree)))
        for _ in range(FACTS_A_TREE):
            facts = some_facts(random, tree)
            said = test(facts), of_text(facts), reference(tree, facts), ask(expression, facts)
            assert len(set(said)) == 1, (number, condition_text(tree), facts, said)
            came_out.update((verdict.op, verdict.is_true) for verdict in explain_tree(tree, facts))
    missing = [(op, is_true) for op in ALL_OPERATORS for is_true in (True, False) if came_out[op, is_true] < 20]
    assert missing == [], "too little was tried"


# --- total -------------------------------------------------------------------------------------------------------------


ANY_FACT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=2)
    | st.complex_numbers() | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2) | st.tuples(inner),
    max_leaves=4,
)  # fmt: skip


@settings(deadline=None)
@given(TREES, st.dictionaries(st.sampled_from(sorted(FIELDS)), ANY_FACT))
def test_r31_whatever_the_facts_are_the_answer_is_yes_or_no(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    assert compile_tree(tree)(facts) in (True, False)
    assert type(compile_tree(tree)(facts)) is bool
    assert set(misfits(facts)) <= set(facts)  # counted, not raised


@settings(deadline=None)
@given(TREES, FACTS)
def test_r31_each_comparison_is_made_at_most_once(tree: dict[str, Any], facts: dict[str, Any]) -> None:
    class Counting(dict[str, Any]):
        asked = 0

        def get(self, key: str, default: Any = None, /) -> Any:
            self.asked += 1
            return super().get(key, default)

    counting = Counting(facts)
    leaves = explain_tree(tree, facts)
    compile_tree(tree)(counting)
    assert counting.asked <= 2 * len(leaves)  # two where a field is compared with another
