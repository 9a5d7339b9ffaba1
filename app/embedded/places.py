"""Where an embedded server lives, and as whom it runs.

PostgreSQL refuses to run as root, and the others need not. So as root a server runs as `nobody`; and when `nobody` cannot
enter the data directory (a checkout below `/root`), the data lives under `/var/lib/ringdesk/<hash>` and a symbolic link in
the data directory points there. No folder that is not ours is ever chmod-ed, and nothing above the data directory is touched.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ELSEWHERE: Final = Path("/var/lib/ringdesk")
"""Root's place for what an unprivileged server must be able to reach."""


class EmbeddedError(RuntimeError):
    """An embedded server cannot be started; the message is one plain sentence for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as when Ringdesk itself runs as root."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Home:
    """One server's folder: `folder` holds the lock, the record and the log and stays ours; `data` belongs to the server."""

    folder: Path
    data: Path
    account: Account | None

    is_elsewhere: bool = False
    """Whether the data directory holds only a link to `folder`."""

    @property
    def record(self) -> Path:
        return self.folder / "process.json"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


def home(data_dir: Path, name: str, *, throwaway: bool = False) -> Home:
    """The folder of server `name` under `data_dir`, made if it is missing.

    `throwaway` data that has to live elsewhere lies in a temporary folder instead of `/var/lib/ringdesk`.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        link = data_dir.resolve() / name
        return _home_as_root(link, throwaway=throwaway) if os.geteuid() == 0 else _home_as_user(link)
    except PermissionError as error:
        raise EmbeddedError(f"Ringdesk may not write to {error.filename}; choose another --data-dir.") from error


def run_dir(account: Account | None) -> Path:
    """A new folder for a Unix socket: short enough for the 104 bytes that macOS allows, closed to everybody else."""
    base = tempfile.gettempdir()
    path = Path(tempfile.mkdtemp(prefix="ringdesk-", dir=base if len(base) < 60 else "/tmp"))  # noqa: S108
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def runs_as(program: Path, account: Account | None) -> bool:
    """Whether `account` can start `program` (asked by starting it: modes, lists and mount options all count)."""
    if account is None:
        return os.access(program, os.X_OK)
    return _try_as(account, [str(program), "--version"])


def reachable(base: Path, parts: tuple[str, ...], program: str, account: Account | None) -> Path:
    """`base` itself, or a copy of its `parts` where `account` can run `base/program`."""
    if runs_as(base / program, account):
        return base
    if account is None:
        raise EmbeddedError(f"{base / program} cannot be run; install Ringdesk's packages again.")
    named = hashlib.sha256((base / program).read_bytes()).hexdigest()[:12]  # by content: all checkouts share one copy
    copy = ELSEWHERE / "programs" / named
    if not copy.exists():
        _copy(base, parts, copy)
    if not runs_as(copy / program, account):
        raise EmbeddedError(f"The user {account.name} cannot run {copy / program}, which is needed as root.")
    return copy


def _home_as_user(link: Path) -> Home:
    link.mkdir(mode=0o700, exist_ok=True)
    data = link / "data"
    if link.stat().st_uid != os.geteuid() or (data.exists() and data.stat().st_uid != os.geteuid()):
        raise EmbeddedError(f"{link} belongs to another user; run Ringdesk as that user or choose another --data-dir.")
    data.mkdir(mode=0o700, exist_ok=True)
    return Home(folder=link.resolve(), data=data.resolve(), account=None)


def _home_as_root(link: Path, *, throwaway: bool) -> Home:
    account = unprivileged()
    if link.is_symlink() and not link.exists():
        link.unlink()  # It points to what somebody erased.
    if not link.exists():
        if _try_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(link.parent)]):
            link.mkdir()
        else:
            link.symlink_to(_make_elsewhere(link, throwaway=throwaway))
    folder = link.resolve()
    if folder.stat().st_uid != 0:
        raise EmbeddedError(f"{link} was made by {link.owner()}; run Ringdesk as {link.owner()}, not as root.")
    os.chmod(folder, 0o711)  # noqa: S103 (others may pass through to their data, not look around)
    data = folder / "data"
    if not data.exists():
        data.mkdir(mode=0o700)
        os.chown(data, account.uid, account.gid)
    if not _try_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(data)]):
        raise EmbeddedError(
            f"The user {account.name}, who owns {data}, cannot enter it any more; open the folders above or move it."
        )
    return Home(folder=folder, data=data, account=account, is_elsewhere=link.is_symlink())


def _make_elsewhere(link: Path, *, throwaway: bool) -> Path:
    if throwaway:
        return Path(tempfile.mkdtemp(prefix="ringdesk-data-"))
    place = ELSEWHERE / hashlib.sha256(str(link.parent).encode()).hexdigest()[:12] / link.name
    place.parent.mkdir(parents=True, exist_ok=True)
    for folder in (ELSEWHERE, place.parent):
        os.chmod(folder, 0o711)  # noqa: S103 (both are ours)
    if place.exists():  # The data directory was erased; what it pointed to is kept, but not taken for its successor's.
        place.rename(_free_name(place))
    place.mkdir()
    return place


def _free_name(place: Path) -> Path:
    number = 1
    while (candidate := place.with_name(f"{place.name}.erased-{number}")).exists():
        number += 1
    return candidate


def _copy(base: Path, parts: tuple[str, ...], copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    for folder in (ELSEWHERE, copy.parent):
        os.chmod(folder, 0o711)  # noqa: S103 (both are ours)
    fresh = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    for part in parts:
        if (base / part).is_dir():
            shutil.copytree(base / part, fresh / part, symlinks=True)
        elif (base / part).exists():
            (fresh / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / part, fresh / part)
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
    try:
        fresh.rename(copy)
    except OSError:  # Another start was faster; its copy is as good.
        shutil.rmtree(fresh, ignore_errors=True)


def unprivileged() -> Account:
    """Whom root's servers run as."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "As root Ringdesk needs the user nobody for its servers; run it as a normal user."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid, "nobody")


def _try_as(account: Account, argv: list[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            argv, user=account.uid, group=account.gid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def erase(folder: Path) -> None:
    """Remove a folder of ours if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def runs_in(pid: int, folder: Path) -> bool:
    """Whether process `pid` runs with `folder` as its working directory (elsewhere than on Linux: names it in its command)."""
    if os.path.isdir("/proc/self"):
        try:
            return os.path.realpath(f"/proc/{pid}/cwd", strict=True) == str(folder)
        except OSError:
            return False
    asked = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(folder) in asked.stdout
