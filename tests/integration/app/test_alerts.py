"""What is read from `/metrics`: alert rules, dashboard, runbook. Whatever they name is really served, and each alert does its work."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from tests.integration.app.people import People
from tests.stack import Stack

ROOT: Final = Path(__file__).resolve().parents[3]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"


def read_yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


RULES: Final[list[dict[str, Any]]] = [
    rule for group in read_yaml((PROMETHEUS / "ringdesk.rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy" / "grafana" / "ringdesk.json").read_text())
METRIC: Final = re.compile(r"\b((?:ringdesk|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?")
OF_THE_SCRAPE: Final = {"up": {"job", "instance"}}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return [rule["expr"] for rule in RULES] + panels


async def scrape(stack: Stack) -> dict[str, set[str]]:
    """Each sample's name with the labels seen at it."""
    async with stack.http.get(f"{stack.url}/metrics") as response:
        text = await response.text()
    seen: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            seen.setdefault(sample.name, set()).update(sample.labels)
    return seen


async def test_rules_and_dashboard_read_what_is_served(stack: Stack, people: People) -> None:
    ava = await stack.agent("ava")
    leg = await stack.dial()
    await ava.take()
    await ava.ask("GET", "/desk")
    await stack.hook("/twilio/voice", {"CallSid": leg.sid}, auth_token="wrong")
    await stack.http.get(f"{stack.url}/socket.io/?EIO=4&transport=polling")
    leg.hang_up()
    await stack.quiet()
    seen = await scrape(stack)
    labelled = {"ringdesk_socket_refused_total": {"reason"}}  # what nobody does here
    known = seen | labelled | OF_THE_SCRAPE
    for expression in expressions():
        named = METRIC.findall(expression)
        assert named, expression
        for name, selector in named:
            assert name in known, f"{name} is not served: {expression}"
            asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
            assert asked <= known[name] | {"job", "instance"}, expression
        by = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        assert by <= {label for name, _ in named for label in known[name]} | {"instance"}, expression


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=100, check=False)


def test_each_alert_fires_stays_quiet_and_resolves() -> None:
    done = promtool("test", "rules", PROMETHEUS / "ringdesk.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("is_now", "becomes"), [("> 60", "> 6000"), ("> 60", "> 0"), ("for: 2m", "for: 20m")])
def test_tests_of_the_rules_notice_a_changed_rule(tmp_path: Path, is_now: str, becomes: str) -> None:
    tests = read_yaml((PROMETHEUS / "ringdesk.test.yml").read_text())
    tests["tests"] = [test for test in tests["tests"] if test["name"] == "RingdeskOutboxLag"]
    (tmp_path / "ringdesk.test.yml").write_text(json.dumps(tests))
    rules = (PROMETHEUS / "ringdesk.rules.yml").read_text()
    start = rules.index("RingdeskOutboxLag")
    (tmp_path / "ringdesk.rules.yml").write_text(rules[:start] + rules[start:].replace(is_now, becomes, 1))
    assert promtool("test", "rules", tmp_path / "ringdesk.test.yml").returncode != 0


def test_each_alert_has_its_three_moments() -> None:
    """Quiet, firing, over, in this order; so that a missing promtool hides no missing test."""
    tests = {test["name"]: test for test in read_yaml((PROMETHEUS / "ringdesk.test.yml").read_text())["tests"]}
    assert set(tests) == {rule["alert"] for rule in RULES}
    for name, test in tests.items():
        moments = [bool(moment["exp_samples"]) for moment in test["promql_expr_test"]]
        assert moments == [False, True, False], name
        assert all(f'alertname="{name}"' in moment["expr"] for moment in test["promql_expr_test"])


def test_rules_are_whole() -> None:
    assert len(RULES) >= 6
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert len(rule["annotations"]["summary"]) > 20
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_each_alert_has_its_page_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    pages = {page.split("\n", 1)[0]: page for page in text.split("\n## ")[1:]}
    assert set(pages) == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        page = pages[rule["alert"]]
        for part in ("**Means.**", "**First look.**", "**Mend.**", "**Prevention.**"):
            assert page.count(part) == 1, (rule["alert"], part)
        for metric in re.findall(r"ringdesk_[a-z_]+", page):
            assert any(metric in expression for expression in expressions()), metric


def test_dashboard_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
