"""docs/reference/invariants.md names every invariant, and only tests and checks that exist."""

import re
from pathlib import Path
from typing import Final

from tests import invariants
from tests.sim import checks

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (ROOT / "docs" / "reference" / "invariants.md").read_text(encoding="utf-8")
LAWS, BUGS = PAGE.split("## The bugs behind them")
TESTS: Final = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
}
CHECKS: Final = {
    check.__name__ for check in (*checks.ON_COMMIT, *checks.ON_DECISION, *checks.WHEN_CALM, *checks.AT_THE_END)
}
SQL: Final = {
    int(number)
    for name in (*invariants.SAFETY, *invariants.SETTLED, *invariants.DEPLOYED)
    for number in re.findall(r"\bR(\d+)", name.split(" ")[0])
}


def rows(part: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| ")
    ][1:]


def test_every_invariant_has_its_row_and_its_tests() -> None:
    found = {int(row[0]): row for row in rows(LAWS)}
    assert set(found) == set(range(1, 37))
    for number, row in found.items():
        named = re.findall(r"`(\w+)`", row[3])
        assert named, f"{number} has no test"
        numbers = rf"test_(?:r\d+_)*r0?{number}_"
        assert any(name.startswith(f"r{number:02}_") or re.match(numbers, name) for name in named), (
            f"{number}: none has its number"
        )
        assert ("SQL" not in row[3]) or number in SQL, f"{number}: no SQL of this number"


def test_every_bug_has_a_test_or_says_that_it_has_none() -> None:
    assert len(rows(BUGS)) == 23
    for row in rows(BUGS):
        assert re.findall(r"`(test_\w+)`", row[4]) or row[4] == "none yet", row[0]


def test_every_test_named_exists() -> None:
    for name in re.findall(r"`((?:test_|r\d\d_)\w+)`", PAGE):
        assert name in TESTS | CHECKS, name


def test_every_check_of_the_simulation_and_every_test_with_a_number_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", LAWS))
    assert named >= CHECKS
