"""Rules from a workflow of TaskRouter: what is taken over, and that nothing is left out without being named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.org import parse_org
from routing.rules import check
from routing.taskrouter import Imported, import_workflow
from tests.command import run

QUEUES = {"WQ1": "german", "WQ2": "support"}
FIELDS = {"selected_language": "call.language", "tier": "customer.tier"}
TARGET = {"queue": "WQ1"}
WORKFLOW: dict[str, Any] = {
    "task_routing": {
        "filters": [
            {
                "filter_friendly_name": "German VIP",
                "expression": "selected_language == 'de' AND task.tier IN ['vip', 'gold']",
                "targets": [
                    {"queue": "WQ1", "expression": "worker.skills HAS 'german' AND worker.levels.german >= 3", "priority": 5,
                     "timeout": 30, "order_by": "worker.levels.german DESC"},
                    {"expression": "worker.routing.skills HAS 'german' AND (worker.routing.levels.billing > 1)", "timeout": "60"},
                    {"queue": "WQ1"},
                ],
            },
            {"friendly_name": "Back again", "expression": "NOT ticket.is_new == true", "targets": [{"queue": "WQ2"}]},
        ],
        "default_filter": {"queue": "WQ2"},
    }
}  # fmt: skip


def imported(document: Any) -> Imported:
    return import_workflow(document, queues=QUEUES, fields=FIELDS)


def of_filter(*targets: Any, expression: str = "tier == 'vip'", **more: Any) -> tuple[Any, list[tuple[str, str]]]:
    """What becomes of one filter, or None; and what was left out, places from the filter on."""
    found = imported({"task_routing": {
        "filters": [{"filter_friendly_name": "one", "expression": expression, "targets": list(targets), **more}],
        "default_filter": {"queue": "WQ2"},
    }})  # fmt: skip
    rule = next((rule["then"] for rule in found.rules if rule["name"] == "one"), None)
    return rule, [(".".join(map(str, each.place[3:])), each.message) for each in found.left_out]


def test_a_workflow_becomes_rules() -> None:
    found = imported(WORKFLOW)
    assert found.left_out == []
    assert found.rules == [
        {
            "name": "German VIP",
            "when": {"all": [
                {"field": "call.language", "op": "==", "value": "de"},
                {"field": "customer.tier", "op": "in", "value": ["vip", "gold"]},
            ]},
            "then": {"queue": "german", "tier": 5, "steps": [
                {"after_s": 0, "require": [{"skill": "german", "level": 3}], "order": [{"skill": "german"}]},
                {"after_s": 30, "require": [{"skill": "german", "level": 1}, {"skill": "billing", "level": 2}]},
                {"after_s": 90},
            ]},
        },
        {
            "name": "Back again",
            "when": {"not": {"field": "ticket.is_new", "op": "==", "value": True}},
            "then": {"queue": "support", "steps": [{"after_s": 0}]},
        },
        {"name": "default", "then": {"queue": "support"}},
    ]  # fmt: skip
    assert found.skills == {"german", "billing"}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("type == 'sales'", "there is no field 'type' here; say which is meant by --field type=…"),
        ("tier > 3", "customer.tier: '>' does not fit"),
        ("tier ==", "expression: column 8: expected a value"),
        ("tier == 'vip' AND 1 == 1", "expression: column 19: expected a field"),
        ("channel.type IN task.types", "expression: column 17: expected a list"),
    ],
)
def test_a_filter_whose_condition_cannot_be_said_is_left_out_whole(expression: str, said: str) -> None:
    rule, left_out = of_filter(TARGET, expression=expression)
    assert rule is None
    assert [(place, message.startswith(f"left out whole: {said}")) for place, message in left_out] == [("", True)]


def test_queues_have_to_be_named() -> None:
    assert of_filter({"queue": "WQ9"}) == (
        None, [("", "left out whole: say which queue WQ9 is by --queue WQ9=…")]
    )  # fmt: skip
    assert of_filter({"timeout": 5}) == (None, [("", "left out whole: it names no queue")])
    found = imported({"task_routing": {"filters": [], "default_filter": {"queue": "WQ9"}}})
    assert found.rules == [{"name": "default"}]
    assert found.left_out[0].place == ("task_routing", "default_filter", "queue")
    assert imported({"task_routing": {}}).left_out[0].message.startswith("is missing")


def test_a_target_whose_workers_cannot_be_said_is_left_out_and_its_time_goes_by() -> None:
    first, second, third = ({"queue": "WQ1", "timeout": 10} | more for more in (
        {"expression": "worker.languages HAS task.language"}, {}, {"known_worker_sid": "WK1"}
    ))  # fmt: skip
    rule, left_out = of_filter(first, second, third, {"queue": "WQ1", "expression": "worker.levels.german >= 2"})
    assert rule["steps"] == [{"after_s": 0}, {"after_s": 30, "require": [{"skill": "german", "level": 2}]}]
    assert [place for place, _ in left_out] == ["targets.0.expression", "targets.2.known_worker_sid"]
    assert of_filter(first)[0] is None


@pytest.mark.parametrize(
    "expression",
    ["worker.skills HAS 'a' OR worker.skills HAS 'b'", "NOT worker.skills HAS 'a'", "worker.levels.a == 3", "worker.levels.a > 10",
     "worker.name == 'x'", "worker.levels.a >= 2.5", "worker.levels.a > true", "task.x == 1", "(", 5],
)  # fmt: skip
def test_what_steps_cannot_require(expression: Any) -> None:
    rule, left_out = of_filter({**TARGET, "timeout": 5}, {**TARGET, "expression": expression})
    assert rule["steps"] == [{"after_s": 0}]
    assert left_out[0][0] == "targets.1.expression"


def test_a_priority_counts_until_a_later_target_says_another() -> None:
    def tiers(*targets: dict[str, Any]) -> tuple[Any, list[Any]]:
        rule, left_out = of_filter(*({**TARGET, "timeout": 5, **target} for target in targets), TARGET)
        assert [place for place, _ in left_out if "priority" in place] == []
        return rule.get("tier"), [step.get("tier") for step in rule["steps"]]

    assert tiers({"priority": 1}, {"priority": 4}) == (1, [None, 4, None])
    assert tiers({}, {"priority": "2"}, {"priority": 2}, {"priority": 0}) == (None, [None, 2, None, 0, None])
    assert tiers({"priority": 3, "timeout": 0}, {}) == (3, [None, None]), "of a target that was over at once"


def test_what_is_kept_with_a_remark() -> None:
    def remarks(*targets: Any, **more: Any) -> list[str]:
        return [place for place, _ in of_filter(*targets, **more)[1]]

    assert remarks({**TARGET, "priority": 99}) == ["targets.0.priority"]
    assert of_filter({**TARGET, "priority": 99})[0]["tier"] == 9
    assert remarks({**TARGET, "priority": "task.x"}) == ["targets.0.priority"]
    assert remarks({**TARGET, "order_by": "worker.age"}) == ["targets.0.order_by"]
    assert remarks({**TARGET, "timeout": 20}) == ["targets.0.timeout"]
    assert remarks({**TARGET, "timeout": "soon"}) == ["targets.0.timeout"]
    assert remarks(TARGET, TARGET) == ["targets.1"]
    assert remarks({**TARGET, "timeout": 5}, {"queue": "WQ2"}, TARGET) == ["targets.1.queue"]
    assert remarks({**TARGET, "timeout": 0, "priority": 0}, TARGET) == ["targets.0"]
    assert of_filter({**TARGET, "timeout": 0}, {**TARGET, "expression": "worker.levels.a > 1"})[0]["steps"] == [
        {"after_s": 0, "require": [{"skill": "a", "level": 2}]}
    ]
    assert remarks(TARGET, new_thing=1) == ["new_thing"]
    assert of_filter({**TARGET, "timeout": 99_999}, TARGET)[0] is None  # a step may open a day after, at most


def test_a_filter_for_every_task_ends_the_rules() -> None:
    every = {"filter_friendly_name": "all", "expression": "1 == 1", "targets": [TARGET]}
    found = imported({"task_routing": {"filters": [every, every], "default_filter": {"queue": "WQ2"}}})
    assert found.rules == [{"name": "all", "then": {"queue": "german", "steps": [{"after_s": 0}]}}]
    assert [each.place[-1] for each in found.left_out] == [1]


def test_two_filters_of_one_name_become_two_rules() -> None:
    same = {"filter_friendly_name": "x", "expression": "tier == 'vip'", "targets": [TARGET]}
    names = [rule["name"] for rule in imported({"task_routing": {"filters": [same, same, same]}}).rules]
    assert names == ["x", "x 2", "x 3", "default"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 100) | st.text(max_size=5)
    | st.sampled_from(["WQ1", "1==1", "tier == 'vip'", "worker.skills HAS 'a'"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
TARGETS = st.fixed_dictionaries({}, optional=dict.fromkeys(
    ["queue", "expression", "priority", "timeout", "order_by", "skip_if"], VALUES))  # fmt: skip
FILTERS = st.fixed_dictionaries({}, optional={
    "filter_friendly_name": VALUES, "expression": VALUES, "targets": st.lists(TARGETS, max_size=3) | VALUES})  # fmt: skip


@settings(deadline=None)
@given(st.lists(FILTERS | VALUES, max_size=4), VALUES)
def test_whatever_the_document_holds_the_rules_are_good(filters: list[Any], default: Any) -> None:
    found = imported({"task_routing": {"filters": filters, "default_filter": default}})
    assert check(found.rules, queues=frozenset(QUEUES.values()), skills=found.skills) == []


# --- the command -------------------------------------------------------------------------------------------------------


async def test_what_the_command_prints_is_part_of_an_organisation_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(WORKFLOW))
    words = [
        "rules", "import-taskrouter", str(file), "--queue", "WQ1=german", "--queue", "WQ2=support",
        "--field", "selected_language=call.language", "--field", "tier=customer.tier",
    ]  # fmt: skip
    assert await run(*words) == 0
    printed = capsys.readouterr()
    assert 'when: call.language == "de" AND customer.tier IN ["vip", "gold"]\n' in printed.out
    assert printed.err == "skills that have to be there: billing, german\n"
    org = (
        "queues: [{key: german, name: {en: G}}, {key: support, name: {en: S}}]\n"
        "skills: [{key: german, name: {en: G}}, {key: billing, name: {en: B}}]\n"
    )
    assert parse_org(org + printed.out).rules == imported(WORKFLOW).rules
    assert await run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"rules": imported(WORKFLOW).rules}
    assert await run(*words[:-2]) == 1
    refused = capsys.readouterr()
    assert "name: Back again" in refused.out
    assert (
        "left out: task_routing.filters[0]: left out whole: there is no field 'tier' here; say which is meant by --field tier=…"
        in refused.err
    )
    assert await run(*words[:-2], "--partial") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: no such file or directory"),
        ("{", "Expecting property name"),
        ("[]", "this is no workflow"),
        ("[" * 100_000, "nested too deeply"),
        ('{"task_routing": {"filters": 5}}', "this is no workflow"),
    ],
)
async def test_files_that_hold_no_workflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "workflow.json"
    if text is not None:
        file.write_text(text)
    assert await run("rules", "import-taskrouter", str(file)) == 1
    assert said in capsys.readouterr().err
    assert await run("rules", "import-taskrouter", str(file), "--queue", "WQ1") == 1
    assert "NAME=OURS" in capsys.readouterr().err
