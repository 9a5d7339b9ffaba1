"""docs/reference/edge-cases.md has each of the 54 cases, and names only tests that exist."""

import re
from typing import Final

from tests.test_invariants_document import ROOT, TESTS

PAGE: Final = (ROOT / "docs" / "reference" / "edge-cases.md").read_text(encoding="utf-8")
ROWS: Final = {
    int(number): cells
    for number, *cells in (
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d", line)
    )
}
CASES: Final = 54


def test_every_case_has_its_row_and_its_tests_or_says_what_is_missing() -> None:
    assert list(ROWS) == list(range(1, CASES + 1))
    for number, (_, expected, tests) in ROWS.items():
        assert tests.startswith("later: ") or (expected and re.findall(r"`test_\w+`", tests)), number


def test_every_test_named_exists() -> None:
    for name in re.findall(r"`(test_\w+)`", PAGE):
        assert name in TESTS, name


def test_every_test_with_the_number_of_a_case_stands_at_it() -> None:
    for name in TESTS:
        if found := re.match(r"test_edge_case_(\d+)_", name):
            assert f"`{name}`" in ROWS[int(found[1])][2], name
