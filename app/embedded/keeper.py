"""The watchdog between Ringdesk and one server it started: it ends the server when Ringdesk ends, however that happens.

Run as a program of its own (`python -I -S keeper.py SPEC`), with the standard library only, so that it starts in
milliseconds and imports nothing of the service. Ringdesk holds the other end of this process's standard input:

- the line `stop` there: end the server gently (the `gentle` ladder of the spec);
- end of file, so Ringdesk is gone, kill -9 included: end it within two seconds (the `hurried` ladder);
- the server ends by itself: this process ends with the server's exit code, and Ringdesk sees that.

The keeper is the server's parent, so the pid it signals cannot have been given to anybody else meanwhile. A pipe, not
Linux's parent-death signal: that one is lost when the server changes its user, and macOS has none.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # without importing typing at run time
    from typing import Any


def start_stamp(pid: int) -> "str | None":
    """When process `pid` was started, as text that no later owner of the same pid shares; None when it does not run."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat, open("/proc/sys/kernel/random/boot_id") as boot:
            fields = stat.read().rpartition(b")")[2].split()
            return None if fields[0] in {b"Z", b"X"} else f"{boot.read().strip()}/{fields[19].decode()}"
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return None
    except ProcessLookupError:
        return None
    asked = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC"},
    )
    return " ".join(asked.stdout.split()) or None


def main(spec: "dict[str, Any]") -> int:
    """Start the server, report its pid on standard output, and stay until it has ended."""
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        # A handler that does nothing, not SIG_IGN: a shell could never trap what it was born ignoring.
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(ringer)
    try:
        server = _start(spec)
    except OSError as error:
        _say({"error": f"{error.strerror}: {error.filename}"})
        return 127
    record = str(spec["record"])
    try:
        _write_record(record, spec, server.pid)
        _say({"pid": server.pid})
        order = _wait(server, bell)
        if order == "gentle" and not _end(server, spec["gentle"], bell, heed_pipe=True):
            order = "hurried"
        if order == "hurried":
            _end(server, spec["hurried"], bell, heed_pipe=False)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, signal.SIGKILL)  # what a server's shell leaves behind in its process group
        _clean_up(record, spec)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _start(spec: "dict[str, Any]") -> "subprocess.Popen[bytes]":
    account = spec["account"]
    become = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
    return subprocess.Popen(  # noqa: S603
        spec["argv"],
        env=spec["env"],
        cwd=spec["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
        umask=0o077,
        **become,
    )


def _wait(server: "subprocess.Popen[bytes]", bell: int) -> "str | None":
    """Until the server ends (None), `stop` arrives ("gentle") or Ringdesk is gone ("hurried")."""
    while server.poll() is None:
        ready, _, _ = select.select([0, bell], [], [])
        if bell in ready:
            os.read(bell, 4096)
        if 0 in ready:
            try:
                return "gentle" if os.read(0, 4096) else "hurried"
            except OSError:
                return "hurried"
    return None


def _end(server: "subprocess.Popen[bytes]", ladder: "list[tuple[str, float]]", bell: int, *, heed_pipe: bool) -> bool:
    """Send each signal of `ladder` and give it its seconds; the last word is SIGKILL, to the whole process group.

    With `heed_pipe` it gives up as soon as Ringdesk is gone (False): then there is less time.
    """
    for name, seconds in [*ladder, ("SIGKILL", 5.0)]:
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, getattr(signal, name))
        while server.poll() is None and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([bell, 0] if heed_pipe else [bell], [], [], left)
            if bell in ready:
                os.read(bell, 4096)
            if 0 in ready and not os.read(0, 4096):
                return False
        if server.poll() is not None:
            break
    return True


def _write_record(record: str, spec: "dict[str, Any]", pid: int) -> None:
    """Write down who runs, so that a later start can end exactly these two and nobody else."""
    content = {
        "home": os.path.dirname(record),
        "server": [pid, start_stamp(pid)],
        "keeper": [os.getpid(), start_stamp(os.getpid())],
        "remove": spec["remove"],
    }
    with open(record + ".new", "w") as file:
        json.dump(content, file)
    os.replace(record + ".new", record)


def _clean_up(record: str, spec: "dict[str, Any]") -> None:
    import shutil  # here, because the keeper should stay small until it ends

    for path in spec["remove"]:
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(record)


def _say(message: "dict[str, Any]") -> None:
    with contextlib.suppress(OSError):  # Ringdesk may be gone already; end of file on standard input says so too.
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
