import ast
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import dev

ROOT = Path(dev.__file__).parent

FAKE_UV = """#!/bin/sh
# Stands in for uv: notes each call, and makes what the real one would make.
[ "$1" = --version ] && echo "uv 0.13.9" && exit
echo "$*" >> "$CALLS"
if [ -n "$UV_FAILS" ]; then echo "no such package"; exit 2; fi
case "$1 $2" in
  "venv --clear") mkdir -p .venv/bin; ln -sf {python} .venv/bin/python ;;
  "pip install") printf '#!/bin/sh\\necho "pid $$"\\necho "$0 $*"\\n' > .venv/bin/ringdesk; chmod +x .venv/bin/ringdesk ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    """A small checkout with the real dev.py and a stand-in for uv."""

    folder: Path
    calls: Path

    def start(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.folder / "dev.py"), *arguments],
            env={"PATH": f"{self.calls.parent}:/usr/bin:/bin", "CALLS": str(self.calls), **env},
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    def uv_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder, programs = tmp_path / "checkout", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    shutil.copy(ROOT / "dev.py", folder)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "requirements-dev.lock").write_text("a==1\n")
    uv = programs / "uv"
    uv.write_text(FAKE_UV.format(python=sys.executable))
    uv.chmod(0o755)
    return Checkout(folder, programs / "calls")


def test_old_python_gets_a_sentence_because_the_file_parses_there() -> None:
    tree = ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 6))
    first = [node for node in tree.body if not isinstance(node, ast.Expr)][:2]
    assert ast.unparse(first[0]) == "import sys"
    assert "needs Python 3.11 or newer" in ast.unparse(first[1])


def test_run_sets_up_and_becomes_the_service(checkout: Checkout) -> None:
    process = subprocess.Popen(
        [sys.executable, str(checkout.folder / "dev.py"), "run", "--port", "0", "--broker", "local", "--no-demo"],
        env={"PATH": f"{checkout.calls.parent}:/usr/bin:/bin", "CALLS": str(checkout.calls)},
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    said, _ = process.communicate(timeout=30)
    assert f"pid {process.pid}\n" in said
    service = checkout.folder / ".venv" / "bin" / "ringdesk"
    data_dir = checkout.folder / ".data"
    assert said.endswith(f"{service} up --port 0 --data-dir {data_dir} --broker local --no-demo\n")
    assert [call.split(" --python")[0] for call in checkout.uv_calls()] == [
        "venv --clear",
        "pip sync --require-hashes",
        "pip install --no-deps --no-build-isolation",
    ]


def test_data_dir_is_relative_to_where_one_stands(checkout: Checkout) -> None:
    said = checkout.start("run", "--port", "0", "--data-dir", "elsewhere").stdout
    assert "--data-dir /elsewhere --broker auto\n" in said


def test_second_start_sets_nothing_up(checkout: Checkout) -> None:
    checkout.start("run", "--port", "0")
    before = checkout.uv_calls()
    again = checkout.start("run", "--port", "0")
    assert checkout.uv_calls() == before
    assert again.stdout.startswith("pid ")


def test_changed_lock_is_installed_into_the_same_environment(checkout: Checkout) -> None:
    checkout.start("run", "--port", "0")
    (checkout.folder / "requirements-dev.lock").write_text("a==2\n")
    checkout.start("run", "--port", "0")
    assert [call.split()[:2] for call in checkout.uv_calls()[3:]] == [["pip", "sync"], ["pip", "install"]]


def test_moved_checkout_gets_a_new_environment(checkout: Checkout) -> None:
    checkout.start("run", "--port", "0")
    moved = Checkout(checkout.folder.rename(checkout.folder.with_name("moved")), checkout.calls)
    said = moved.start("run", "--port", "0").stdout
    assert [call.split()[0] for call in checkout.uv_calls()[3:]] == ["venv", "pip", "pip"]
    assert f"{moved.folder}/.venv/bin/ringdesk up" in said


def test_failed_step_shows_the_end_of_its_log_and_is_done_again(checkout: Checkout) -> None:
    failed = checkout.start("run", "--port", "0", UV_FAILS="1")
    assert failed.returncode == 1
    assert "no such package" in failed.stderr
    assert "the whole output is in" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert checkout.start("run", "--port", "0").returncode == 0


def test_used_port_is_one_sentence(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = checkout.start("run", "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        f"Port {port} is in use by another program: stop that, or add --port 0 for a free one."
    )
    assert checkout.uv_calls() == []


def test_impossible_port_is_one_sentence(checkout: Checkout) -> None:
    assert checkout.start("run", "--port", "70000").stderr.strip().startswith("There is no port 70000")


def test_missing_measurement_is_one_sentence(checkout: Checkout) -> None:
    assert checkout.start("bench", "routing").stderr.strip() == "No such measurement: routing. There are: none yet."


def test_unknown_option_of_run_is_refused(checkout: Checkout) -> None:
    assert checkout.start("run", "--prot", "1").returncode == 2


def test_services_are_denied_only_while_packages_are_installed(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with dev._no_service_starts(policy):
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()


def test_a_policy_that_was_there_comes_back_as_it_was(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o750)
    with pytest.raises(RuntimeError), dev._no_service_starts(policy):
        raise RuntimeError("apt-get broke")
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert stat.S_IMODE(policy.stat().st_mode) == 0o750
    assert list(tmp_path.iterdir()) == [policy]


@pytest.mark.parametrize("had_one", [True, False])
def test_a_policy_left_by_a_killed_run_is_cleared(tmp_path: Path, had_one: bool) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(dev.POLICY_TEXT)
    if had_one:
        (tmp_path / "policy-rc.d.ringdesk-kept").write_text("theirs")
    with dev._no_service_starts(policy):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == (["theirs"] if had_one else [])


def test_locks_that_name_a_host_are_found() -> None:
    assert dev.hosts_in_requirements("a==1 \\\n    --hash=sha256:00\n", "x.lock") == []
    assert dev.hosts_in_requirements("--index-url pypi\na==1\n", "x.lock") == ["x.lock:1 names a host"]
    assert dev.hosts_in_requirements("a @ https" + "://example.com/a.whl\n", "x.lock") == ["x.lock:1 names a host"]
    assert dev.hosts_in_npm_lock('{"packages": {"node_modules/a": {"version": "1"}}}') == []
    address = "https" + "://example.com/a.tgz"
    assert dev.hosts_in_npm_lock(json.dumps({"packages": {"node_modules/a": {"resolved": address}}}))
    assert dev.hosts_in_npmrc("omit-lockfile-registry-resolved=true\n") == []
    assert dev.hosts_in_npmrc("fund=false\n") == ["web/.npmrc lacks omit-lockfile-registry-resolved=true"]
    assert dev.hosts_in_npmrc("omit-lockfile-registry-resolved=true\nregistry = x\n")


def test_committed_locks_name_no_host() -> None:
    for name in dev.LOCKS:
        assert dev.hosts_in_requirements((ROOT / name).read_text(), name) == []


def test_pins_are_names_versions_and_markers() -> None:
    lock = "a==1 ; python_version < '3.12' \\\n    --hash=sha256:00\n    # via b\nb==2\n"
    assert dev.pins(lock) == {"a==1 ; python_version < '3.12'", "b==2"}


def test_verdict_names_what_failed_and_what_was_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    parts = dev.Parts()
    parts.call("good", ["true"])
    parts.call("bad", ["false"])
    assert parts.verdict(["Chromium"]) == 1
    said = capsys.readouterr().out
    assert "what needs Chromium" in said
    assert said.endswith("FAILED in 0 s: bad\n")


def test_verdict_of_success_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    parts = dev.Parts()
    parts.call("nothing chosen", ["sh", "-c", "exit 5"], fine={5})
    assert parts.verdict() == 0
    assert capsys.readouterr().out.endswith("all passed in 0 s\n")


def test_no_test_tree_is_forgotten() -> None:
    """`dev.py test` runs all of tests/; nothing else in the repository looks like a test."""
    skipped = {".venv", "node_modules", ".git", "web", ".dev", ".data"}
    strays = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped and Path(folder, name) != ROOT / "tests"]
        strays += [Path(folder, name) for name in files if name.startswith("test_") and name.endswith(".py")]
    assert strays == []
