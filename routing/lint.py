"""What is odd about rules that are well formed: some never match, some are never reached, some steps nobody can serve.

Whether a condition can be true is decided by trying: it is taken apart into sets of comparisons that must hold together, and for each
field in such a set the values that could make a difference are tried on the very closures that decide calls. For numbers, times, yes/no
and plain texts these few values are enough to be sure; for parts of texts and for lists they are not, and then the benefit of the
doubt is given. So what is reported is certain, and not everything odd is found. The work for each question
is bounded (`MAX_TERMS`, `MAX_TRIES`), and so is all of it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from routing.rules import FIELDS, RANK, Kind, Test, compile_tree, minutes_of, ranked_steps

Place = tuple[str | int, ...]
Literals = tuple[tuple[str, bool], ...]
"""Comparisons (as JSON text, which can be compared and kept in sets), each with whether it must hold or must not."""

MAX_TERMS: Final = 256
MAX_TRIES: Final = 20_000
"""Comparisons of a value for one question about a rule."""
MAX_TRIES_IN_ALL: Final = 500_000
"""About a second."""
DAY: Final = 1440
WEEKDAYS: Final = tuple(range(1, 8))
ALWAYS_KNOWN: Final = frozenset({"call.queue", "customer.match", "ticket.is_new", "time.clock", "time.weekday"})
SOMETHING_ELSE: Final = "\ue000"
"""A text that nobody writes: for "any other value"."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: the rules must not be published. `warning`: they may, but somebody should look. `code` is stable."""

    severity: Literal["error", "warning"]
    code: str
    rule: str
    place: Place
    message: str


@dataclass(frozen=True, slots=True)
class RosterAgent:
    queues: frozenset[str]
    skills: Mapping[str, int]


def lint(
    documents: Sequence[Mapping[str, Any]], *, offer_timeouts: Mapping[str, int], roster: Sequence[RosterAgent]
) -> list[Finding]:
    """Findings about rules that `rules.check` has passed. `offer_timeouts`: seconds by queue; `roster`: empty asks nothing of it.
    Pure; a second at most."""
    return [
        *_unmatched(documents),
        *_unserved(documents, roster),
        *_hurried(documents, offer_timeouts),
        *_sinking(documents),
    ]


# --- rules that never take a call ---------------------------------------------------------------------------------------


class _TooMuch(Exception):
    """The conditions are too many to look at all of them."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    field: str
    leaf: Mapping[str, Any]
    test: Test


class _Prover:
    """Takes conditions apart and tries; remembers what was tried, and gives up when one question takes too much."""

    def __init__(self) -> None:
        self._left = 0
        self._left_in_all = MAX_TRIES_IN_ALL
        self._leaves: dict[str, _Leaf] = {}
        self._known: dict[frozenset[tuple[str, bool]], bool] = {}

    def begin(self) -> None:
        """A new question."""
        self._left = MAX_TRIES

    def terms(self, node: Mapping[str, Any] | None, *, wanted: bool = True) -> list[Literals]:
        """The ways in which a condition comes out as `wanted`: all comparisons of one of these hold together."""
        if node is None:
            return [()] if wanted else []
        if "not" in node:
            return self.terms(node["not"], wanted=not wanted)
        if "all" in node or "any" in node:
            children = node.get("all") or node["any"]
            parts = [self.terms(child, wanted=wanted) for child in children]
            if ("all" in node) is wanted:
                found: list[Literals] = [()]
                for part in parts:
                    found = self.both(found, part)
                return found
            return [term for part in parts for term in part]
        text = json.dumps(node, sort_keys=True, ensure_ascii=False)
        if text not in self._leaves:
            self._leaves[text] = _Leaf(node["field"], node, compile_tree(node))
        return [((text, wanted),)]

    def both(self, some: Iterable[Literals], others: Sequence[Literals]) -> list[Literals]:
        """Without what cannot be, and without what follows from the rest. Raises _TooMuch."""
        found: dict[frozenset[tuple[str, bool]], None] = {}
        for one in some:
            for other in others:
                more = [(text, wanted) for text, wanted in other if self.is_possible({*one, (text, not wanted)})]
                together = frozenset((*one, *more))
                if together not in found and self.is_possible(together):
                    found[together] = None
                    if len(found) > MAX_TERMS:
                        raise _TooMuch
        return [tuple(term) for term in found]

    def can_hold(self, node: Mapping[str, Any] | None) -> bool:
        return any(self.is_possible(term) for term in self.terms(node))

    def is_possible(self, literals: Iterable[tuple[str, bool]]) -> bool:
        """False only when no facts at all make all of these come out as wanted. Raises _TooMuch."""
        wanted = frozenset(literals)
        known = self._known.get(wanted)
        if known is None:
            known = self._known[wanted] = self._try(wanted)
        return known

    def _try(self, literals: frozenset[tuple[str, bool]]) -> bool:
        if any((text, not wanted) in literals for text, wanted in literals):
            return False
        by_field: dict[str, list[tuple[_Leaf, bool]]] = {}
        for text, wanted in literals:
            leaf = self._leaves[text]
            if "other" not in leaf.leaf:  # two fields beside each other: anything may be
                by_field.setdefault(leaf.field, []).append((leaf, wanted))
        return all(self._can_field(name, leaves) for name, leaves in by_field.items())

    def _can_field(self, name: str, leaves: Sequence[tuple[_Leaf, bool]]) -> bool:
        values, is_sure = _values(name, [leaf.leaf for leaf, _ in leaves])
        cost = len(values) * len(leaves)
        self._left -= cost
        self._left_in_all -= cost
        if self._left < 0 or self._left_in_all < 0:
            raise _TooMuch
        return (
            any(all(leaf.test({name: value}) is wanted for leaf, wanted in leaves) for value in values) or not is_sure
        )


def _values(name: str, leaves: Sequence[Mapping[str, Any]]) -> tuple[list[Any], bool]:
    """Values of the field that could make a difference, and whether there can be no others."""
    kind = FIELDS[name]
    nothing = [] if name in ALWAYS_KNOWN else [None]
    said = [
        value
        for leaf in leaves
        if "value" in leaf
        for value in (leaf["value"] if isinstance(leaf["value"], list) else [leaf["value"]])
    ]
    if name == "time.weekday":
        return list(WEEKDAYS), True
    if kind is Kind.BOOL:
        return [*nothing, True, False], True
    if kind is Kind.NUMBER:
        numbers = sorted(set(said))
        between = [(low + high) / 2 for low, high in pairwise(numbers)]
        around = [numbers[0] - 1, numbers[-1] + 1] if numbers else [0]
        return [*nothing, *numbers, *between, *around], True
    if kind is Kind.CLOCK:
        marks = [minutes for text in said if (minutes := minutes_of(text)) is not None]
        return [0, *(mark % DAY for mark in marks)], True
    parts = [leaf for leaf in leaves if leaf["op"] in ("starts_with", "contains", "ends_with")]
    if kind is Kind.TEXT:
        ordered = [
            [leaf["value"] for leaf in parts if leaf["op"] == op] for op in ("starts_with", "contains", "ends_with")
        ]
        return [*nothing, SOMETHING_ELSE, *said, "".join(text for texts in ordered for text in texts)], not parts
    return [*nothing, [], said, *([value] for value in said)], False


def _unmatched(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    findings: list[Finding] = []
    prover = _Prover()
    reachable: list[int] = []
    for index, document in enumerate(documents):
        name, when, place = document["name"], document.get("when"), ("rules", index)
        try:
            prover.begin()
            if not prover.can_hold(when):
                message = "can never match: its comparisons exclude each other"
                findings.append(Finding("error", "never_matches", name, (*place, "when"), message))
                continue
            before = _taken_by(prover, documents, reachable, when)
        except _TooMuch:
            continue
        reachable.append(index)
        if before is None:
            continue
        who = f"the rule {before!r} before it" if before else "the rules before it"
        if when is None:
            message = f"is never needed: every call is taken by {who}"
            findings.append(Finding("warning", "default_not_needed", name, place, message))
        else:
            message = f"is never reached: every call that it fits is taken by {who}"
            findings.append(Finding("error", "unreachable", name, place, message))
    return findings


def _taken_by(
    prover: _Prover, documents: Sequence[Mapping[str, Any]], earlier: Sequence[int], when: Mapping[str, Any] | None
) -> str | None:
    """The name of the one earlier rule that takes every call of this condition, "" when several do together, None when none do."""
    own = prover.terms(when)
    for index in earlier:
        try:
            prover.begin()
            if not prover.both(own, prover.terms(documents[index].get("when"), wanted=False)):
                return str(documents[index]["name"])
        except _TooMuch:
            continue
    left = own
    prover.begin()
    for index in earlier:
        left = prover.both(left, prover.terms(documents[index].get("when"), wanted=False))
        if not left:
            return ""
    return None


# --- steps that nobody can serve, or that are over before an offer is ----------------------------------------------------


def _steps(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((document.get("then") or {}).get("steps") or [{"after_s": 0}])


def _can_serve(agent: RosterAgent, queue: str | None, step: Mapping[str, Any]) -> bool:
    return (queue is None or queue in agent.queues) and all(
        agent.skills.get(need["skill"], -1) >= need.get("level", 1) for need in step.get("require", ())
    )


def _unserved(documents: Sequence[Mapping[str, Any]], roster: Sequence[RosterAgent]) -> list[Finding]:
    findings: list[Finding] = []
    for index, document in enumerate(documents if roster else ()):
        queue, steps = (document.get("then") or {}).get("queue"), _steps(document)
        who = "nobody on the roster" if queue is None else f"nobody who serves {queue}"
        served = [any(_can_serve(agent, queue, step) for agent in roster) for step in steps]
        for number, step in enumerate(steps):
            if served[number]:
                continue
            later = next((steps[n]["after_s"] for n in range(number + 1, len(steps)) if served[n]), None)
            place = ("rules", index, "then", *(("steps", number) if "require" in step else ()))
            if later is None:
                message = f"{who} can serve this step or one after it: such calls would wait until somebody can"
                findings.append(Finding("warning", "nobody_able", document["name"], place, message))
                break
            message = f"{who} can serve this step: such calls wait {later - step['after_s']:g} s in it for nothing"
            findings.append(Finding("warning", "nobody_in_step", document["name"], place, message))
    return findings


def _hurried(documents: Sequence[Mapping[str, Any]], offer_timeouts: Mapping[str, int]) -> list[Finding]:
    findings = []
    for index, document in enumerate(documents):
        queue = (document.get("then") or {}).get("queue")
        known = (
            [offer_timeouts[queue]]
            if isinstance(queue, str) and queue in offer_timeouts
            else list(offer_timeouts.values())
        )
        timeout = min(known, default=0)
        for number, (step, following) in enumerate(pairwise(_steps(document))):
            lasts = following["after_s"] - step["after_s"]
            if lasts < timeout:
                place = ("rules", index, "then", "steps", number)
                message = f"lasts {lasts:g} s, but an agent has {timeout} s to answer: the next step begins meanwhile"
                findings.append(Finding("warning", "shorter_than_offer", document["name"], place, message))
    return findings


# --- steps in which who has waited longer falls back -----------------------------------------------------------------------


def _sinking(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    findings = []
    for index, document in enumerate(documents):
        steps = ranked_steps(document.get("then") or {})
        for number, (before, step) in enumerate(pairwise(steps), 1):
            for key in RANK:
                if step.get(key, 0) < before.get(key, 0):
                    place = ("rules", index, "then", "steps", number, key)
                    message = f"falls from {before[key]} to {step[key]}: who has waited longer is overtaken by who comes later"
                    findings.append(Finding("warning", "rank_falls", document["name"], place, message))
    return findings
