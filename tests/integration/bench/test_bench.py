"""Every measurement runs in its smoke version and says what it should. No figure is judged: this machine may be busy.

Each starts servers of its own; the short version of the tests runs the two with the most machinery."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from app.embedded import find_rabbitmq

ROOT: Final = Path(__file__).resolve().parents[3]
WITHIN_S: Final = 300
FULL: Final = pytest.mark.skipif(os.environ.get("RINGDESK_TEST_FULL") != "1", reason="only with --full")
BENCHES: Final = sorted(path.stem for path in (ROOT / "bench").glob("*.py"))


async def quick(name: str, out: Path, *words: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"bench.{name}", "--quick", "--out", str(out), *words,
        cwd=ROOT, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S - 20):
            said = await process.stdout.read()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()  # its servers and helpers end with it
            await process.wait()
    assert code == 0, said.decode(errors="replace")[-3000:]
    return dict(json.loads((out / f"{name}.json").read_text()))


def test_the_measurements_are_those_of_the_plan() -> None:
    assert BENCHES == [
        "call_to_pop",
        "customer_page",
        "day",
        "desks",
        "figures",
        "floor",
        "pops",
        "relay",
        "routing",
        "soak",
        "starts",
        "ticket_list",
        "tickets",
    ]


@FULL
@pytest.mark.timeout(WITHIN_S)
@pytest.mark.parametrize("name", [name for name in BENCHES if name not in ("call_to_pop", "desks", "pops", "soak")])
async def test_a_measurement_writes_rows_and_the_machine_and_no_place(name: str, tmp_path: Path) -> None:
    found = await quick(name, tmp_path)
    assert found["bench"] == name
    assert found["quick"]
    assert found["rows"]
    assert found["machine"]["cores"] >= 1
    assert name == "day" or set(found["servers"]) >= {"postgres", "valkey"}
    assert str(ROOT) not in json.dumps(found)


@pytest.mark.timeout(WITHIN_S)
async def test_a_day_has_the_same_callers_whatever_the_policy(tmp_path: Path) -> None:
    found = await quick("day", tmp_path)
    offered = {row["what"]: row["offered"]["median"] for row in found["rows"] if "offered" in row}
    by_policy = {what: n for what, n in offered.items() if what.endswith(": everybody")}
    assert len(by_policy) == 5
    assert set(by_policy.values()) == {offered["as they come: important"] + offered["as they come: others"]}
    assert all(row["handled"]["median"] > 0 for row in found["rows"] if row["what"].endswith(": agents"))


@pytest.mark.timeout(WITHIN_S)
@pytest.mark.parametrize(
    "part",
    [
        "local",
        pytest.param("rabbitmq", marks=[FULL, pytest.mark.skipif(find_rabbitmq() is None, reason="no RabbitMQ")]),
    ],
)
async def test_every_call_pops_up_once_on_floor_and_product(part: str, tmp_path: Path) -> None:
    found = await quick("call_to_pop", tmp_path, "--only", part)
    sides = {row["side"]: row for row in found["rows"] if row.get("part") == part and "n" in row}
    assert {"floor same", "product"} <= set(sides)
    for row in sides.values():
        assert (row["lost"], row["shown_twice"], row["failures"]) == (0, 0, [])
        assert row["n"] >= 10
    whole = [row for row in found["rows"] if "whole calls/s" in row["what"] and "failures" in row]
    assert {row["side"] for row in whole} == {"floor same", "product"}
    assert all((row["lost"], row["unfinished"], row["failures"]) == (0, 0, []) for row in whole)
    assert f"{part}, 10 calls/s, p99 to floor same" in found["ratios"]


@pytest.mark.timeout(WITHIN_S)
async def test_a_board_reaches_every_desk_and_all_come_back(tmp_path: Path) -> None:
    found = await quick("desks", tmp_path)
    ours = next(row for row in found["rows"] if row.get("side") == "product")
    assert (ours["desks"], ours["lost"]) == (20, 0)
    assert ours["broadcasts"] >= 1
    storm = next(row for row in found["rows"] if "come back" in row["what"])
    assert storm["connected"] == 20
    if shutil.which("node") and (ROOT / "web" / "node_modules" / "socket.io").exists():
        assert any(row.get("side") == "npm socket.io" for row in found["rows"])


@pytest.mark.timeout(WITHIN_S)
async def test_every_call_of_a_shift_is_accounted_for(tmp_path: Path) -> None:
    found = await quick("soak", tmp_path)
    rows = {row["what"]: row for row in found["rows"]}
    calls = rows["calls"]
    assert calls["made"] >= 5
    assert (calls["made"], calls["lost"], calls["unknown"]) == (calls["answered"] + calls["abandoned"], 0, 0)
    assert sum(calls["outcomes"].values()) == calls["made"]
    assert rows["faults of the provider"]["rest_all"] > 0
    assert (rows["invariants"]["broken"], rows["service"]["tasks_failed"]) == (0, 0)
    assert rows["invariants"]["checked"] > 30
