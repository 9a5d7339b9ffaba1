"""The import rule holds, and each of its contracts bites: a violation planted in a copy of the code is found."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES: Sequence[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]
PURE_NAMES = {"model.py", "rules.py", "taskrouter.py", "text.py", "decide.py", "life.py", "messages.py"}

LAYERS = "Packages import downwards only"
INSIDE = "Inside a package"
PURE = "Decisions and models do no I/O"
SIMULATOR = "The simulator speaks only over the wire"
SIMULATOR_USERS = "Only the composition root knows the simulator"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of our packages to plant violations in."""
    copy = tmp_path_factory.mktemp("code")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
        )
    shutil.copy(ROOT / ".importlinter", copy)
    return copy


def _lint(code: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=code,
        env=os.environ | {"COLUMNS": "200", "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_our_code_keeps_the_rule() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        (LAYERS, "core/ids.py", "import infra.bus"),
        (LAYERS, "infra/bus.py", "import accounts"),
        (LAYERS, "accounts/planted.py", "import customers"),
        (LAYERS, "customers/planted.py", "import cti"),
        (LAYERS, "cti/planted.py", "import customers"),
        (LAYERS, "ticketing/planted.py", "import routing"),
        (LAYERS, "routing/planted.py", "import realtime"),
        (LAYERS, "realtime/planted.py", "import reporting"),
        (LAYERS, "reporting/planted.py", "import app"),
        (INSIDE, "ticketing/model.py", "import ticketing.queries"),
        (INSIDE, "customers/queries.py", "import customers.service"),
        (INSIDE, "routing/service.py", "import routing.http"),
        (INSIDE, "cti/http.py", "import cti.consumers"),
        (INSIDE, "routing/rules.py", "import routing.queries"),
        (PURE, "routing/decide.py", "import random"),
        (PURE, "routing/rules.py", "import time"),
        (PURE, "ticketing/model.py", "import asyncpg"),
        (PURE, "realtime/messages.py", "import socketio"),
        (PURE, "customers/model.py", "import infra.postgres"),
        (PURE, "core/ids.py", "import aiohttp"),
        (SIMULATOR, "simulator/planted.py", "import cti"),
        (SIMULATOR_USERS, "cti/planted.py", "import simulator"),
    ],
)
def test_planted_violation_is_found(code: Path, contract: str, module: str, line: str) -> None:
    planted = code / module
    before = planted.read_text() if planted.exists() else None
    needed = [code / f"{name.replace('.', '/')}.py" for name in line.split()[1:] if "." in name]
    made = [path for path in needed if not path.exists() and not path.with_suffix("").is_dir()]
    try:
        for path in made:
            path.write_text("")
        planted.write_text(f"{before or ''}\n{line}\n")
        done = _lint(code)
    finally:
        for path in made:
            path.unlink()
        if before is None:
            planted.unlink()
        else:
            planted.write_text(before)
    assert done.returncode == 1, done.stdout
    broken = [" ".join(text.split()) for text in done.stdout.splitlines() if text.rstrip().endswith("BROKEN")]
    assert any(text.startswith(contract) for text in broken), done.stdout


def _pure_modules() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if package == "core" or path.name in PURE_NAMES:
                yield path


CLOCKS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("uuid", "uuid1"), ("uuid", "uuid4"), ("os", "urandom"), ("os", "environ"), ("os", "getenv"),
}  # fmt: skip
SOURCES_OF_CHANCE = {"random", "secrets", "time"}


def _impurities(source: str) -> list[str]:
    """Where a module reads a clock, chance or the environment: mentions count, since they may be passed on and called."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            base = node.value
            last = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
            if (last, node.attr) in CLOCKS or last in SOURCES_OF_CHANCE:
                found.append(f"{node.lineno}: {last}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                if node.module in SOURCES_OF_CHANCE or (node.module, name.name) in CLOCKS:
                    found.append(f"{node.lineno}: {node.module}.{name.name}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            found.append(f"{node.lineno}: open")
    return found


@pytest.mark.parametrize("path", list(_pure_modules()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pure_module_takes_time_and_seeds_as_arguments(path: Path) -> None:
    assert _impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime\nx = field(default_factory=datetime.utcnow)",
        "from datetime import date\nx = date.today()",
        "import time\nx = time.time()",
        "from time import monotonic\nx = monotonic()",
        "import random\nx = random.choice([1])",
        "from uuid import uuid4\nx = uuid4()",
        "import os\nx = os.environ['X']",
        "x = open('x')",
    ],
)
def test_impurity_is_found(source: str) -> None:
    assert _impurities(source)


def test_clock_given_as_argument_is_fine() -> None:
    assert not _impurities(
        "def f(now: datetime, clock: Clock) -> bool:\n    return clock.now() > now + timedelta(seconds=1)"
    )


def test_core_imports_only_the_standard_library_and_pydantic() -> None:
    allowed = sys.stdlib_module_names | {"core", "pydantic"}
    for path in sorted((ROOT / "core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "core"] if isinstance(node, ast.ImportFrom) else []
            strangers = [name for name in names if name.split(".")[0] not in allowed]
            assert not strangers, f"{path.name} imports {strangers}"


def test_every_package_is_in_the_layers() -> None:
    text = (ROOT / ".importlinter").read_text()
    layers = text.split("type = layers", 1)[1].split("[importlinter", 1)[0]
    assert {name for name in PACKAGES if name not in layers} == {"simulator"}
    roots = text.split("root_packages =", 1)[1].split("include_external", 1)[0].split()
    assert roots == sorted(PACKAGES)
