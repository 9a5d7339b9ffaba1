"""Logs and metrics. Log messages are static, facts stand beside them, personal data only under `pii.*` and masked."""

import asyncio
import logging
import sys
import traceback
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Every metric of the service. Labels are small closed sets: never ids, numbers or names."""

    def __init__(self) -> None:
        self.http_seconds = Histogram(
            "ringdesk_http_request_seconds",
            "Time to answer, by route",
            ["route", "method", "status"],
            registry=REGISTRY,
            buckets=FAST,
        )
        self.webhooks = Counter(
            "ringdesk_webhooks_total", "Provider webhooks", ["endpoint", "result"], registry=REGISTRY
        )
        self.emergency_answers = Counter(
            "ringdesk_emergency_answers_total",
            "Voice webhooks answered without the database",
            registry=REGISTRY,
        )
        self.transaction_retries = Counter(
            "ringdesk_transaction_retries_total", "Transactions run again", registry=REGISTRY
        )
        self.after_commit_overflow = Counter(
            "ringdesk_after_commit_overflow_total", "After-commit jobs left to the relay", registry=REGISTRY
        )
        self.relay_sent = Counter("ringdesk_relay_sent_total", "Deliveries sent again by the relay", registry=REGISTRY)
        self.outbox_due = Gauge("ringdesk_outbox_undone", "Deliveries not done yet", registry=REGISTRY)
        self.outbox_parked = Gauge(
            "ringdesk_outbox_parked", "Deliveries given up on, waiting for a person", registry=REGISTRY
        )
        self.pool_in_use = Gauge(
            "ringdesk_database_connections_in_use", "Database connections in use", registry=REGISTRY
        )
        self.loop_lag = Gauge(
            "ringdesk_event_loop_lag_seconds",
            "Worst stall of the event loop in the last interval",
            registry=REGISTRY,
        )
        self.offers = Counter("ringdesk_offers_total", "Offers by how they ended", ["outcome"], registry=REGISTRY)
        self.decisions_seconds = Histogram(
            "ringdesk_dispatch_pass_seconds", "One dispatcher pass", registry=REGISTRY, buckets=FAST
        )
        self.waiting = Gauge("ringdesk_queue_waiting", "Calls waiting", ["queue"], registry=REGISTRY)
        self.pop_painted = Histogram(
            "ringdesk_pop_painted_seconds",
            "Assignment to paint, as the browsers report it",
            registry=REGISTRY,
            buckets=FAST,
        )
        self.sockets = Gauge("ringdesk_desk_sockets", "Connected desks on this process", registry=REGISTRY)
        self.socket_refused = Counter(
            "ringdesk_socket_refused_total",
            "Socket packets and connects refused",
            ["reason"],
            registry=REGISTRY,
        )
        self.provider_commands = Counter(
            "ringdesk_provider_commands_total",
            "Commands to the telephony provider",
            ["kind", "result"],
            registry=REGISTRY,
        )
        self.tasks_failed = Counter(
            "ringdesk_tasks_failed_total", "Long-running tasks that ended with an error", registry=REGISTRY
        )


metrics = Metrics()


def mask(value: str) -> str:
    """`+14155550199` → `+14*******99`: enough to follow a case with the customer, not to call them."""
    return value if len(value) < 5 else f"{value[:3]}{'*' * (len(value) - 5)}{value[-2:]}"


def _mask_personal_data(_: Any, __: str, event: Any) -> Any:
    for key, value in event.items():
        if key.startswith("pii.") and isinstance(value, str):
            event[key] = mask(value)
    return event


_TELLING = (TypeError, AttributeError, NameError, AssertionError, RuntimeError, ImportError, NotImplementedError)
_TELLING_SQLSTATES = ("08", "25", "40", "42", "53", "55", "57", "XX")
"""Their messages speak of statements, locks and servers. Others quote what people sent: `invalid input syntax …: "+1415…"`."""


def describe_error(error: BaseException) -> str:
    """Kind, place and, where it cannot hold personal data, the message."""
    if isinstance(state := getattr(error, "sqlstate", None), str):
        message = _describe_database_error(error, state)
    else:
        message = str(error) if isinstance(error, _TELLING) else ""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    text = f"{type(error).__name__}{f': {message}' if message else ''} at {places}"
    if isinstance(error, BaseExceptionGroup):
        text += " [" + "; ".join(describe_error(inner) for inner in error.exceptions[:5]) + "]"
    return text


def _describe_database_error(error: BaseException, sqlstate: str) -> str:
    """A database error's DETAIL quotes rows and parameters: names of constraints and columns only."""
    if sqlstate.startswith(_TELLING_SQLSTATES):
        return str(getattr(error, "message", None) or sqlstate)
    names = (getattr(error, f"{kind}_name", None) for kind in ("table", "column", "constraint", "datatype"))
    return " ".join([sqlstate, *(name for name in names if name)])


def _format_error(_: Any, __: str, event: Any) -> Any:
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = describe_error(error)
    return event


class _LibraryFormatter(logging.Formatter):
    """For what libraries log: one line, errors described as ours are."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        error = record.exc_info[1] if record.exc_info else None
        tail = "" if error is None else f" [{describe_error(error)}]"
        return f"{record.levelname} {record.name} {message[:1000]}{tail}"


def configure_logging(*, level: str = "INFO", json: bool = True) -> None:
    """One line per event on stderr: JSON for machines, aligned text for people."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_personal_data,
            _format_error,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("aio_pika").setLevel(logging.ERROR)
    logging.getLogger("aiormq").setLevel(logging.ERROR)


async def watch_loop(interval_s: float = 1.0) -> None:
    """Run for ever: measure how long the event loop was stalled."""
    worst, since = 0.0, monotonic()
    while True:
        before = monotonic()
        await asyncio.sleep(0.05)
        worst = max(worst, monotonic() - before - 0.05)
        if monotonic() - since >= interval_s:
            metrics.loop_lag.set(worst)
            worst, since = 0.0, monotonic()
