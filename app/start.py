"""What every process does at its start: say what happens, listen, stop on signals, keep the garbage collector away."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Iterator

from core.errors import RingdeskError


class CannotStart(RingdeskError):
    code, title = "cannot_start", "Ringdesk cannot start"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - these lines are the command's output


def say_part(name: str, where: str, seconds: float, detail: str = "") -> None:
    say(f"  {name:<10} {where:<44} {seconds:5.1f} s{f'  {detail}' if detail else ''}")


def listen(host: str, port: int) -> socket.socket:
    """Bind first: a used port is said before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"Port {port} on {host} is in use or not allowed ({error.strerror}). Choose another with --port, or --port 0 for a free one."
        ) from None
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """For imports: they make objects that stay, and walking those again and again would cost a start a fifth of a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """As if these were not installed: python-socketio imports every back end that it finds, structlog what makes tracebacks pretty,
    whether or not it is used."""
    hiding = [name for name in packages if name not in sys.modules]
    for name in hiding:
        sys.modules[name] = None  # type: ignore[assignment]  # documented: its import then raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in hiding:
            del sys.modules[name]


def keep_what_started() -> None:
    """At the end of a start: what is there lives as long as the process, so the garbage collector never walks it again.

    A full collection over 100,000 objects of modules and models would stall every answer for a twentieth of a second."""
    gc.collect()
    gc.freeze()


def stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
