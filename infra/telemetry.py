"""Logs and metrics. Log messages are static, facts stand beside them, personal data only under `pii.*` and masked."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which nobody reads
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5)
STALLS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Every metric of the service. Labels are small closed sets (routes, queues, consumers, outcomes): never ids, numbers or people.

    What the database knows (queues, outbox, timers) is read at each scrape by `app/operations.py`, so every process tells the same: take
    `max`, not `sum`. Everything else is this process's own and adds up."""

    def __init__(self) -> None:
        self.build = Info("ringdesk_build", "Which version runs", registry=REGISTRY)
        self.http_seconds = _histogram("ringdesk_http_request_seconds", "Time to answer", ["route", "method", "status"])
        # telephony
        self.webhooks = _counter("ringdesk_webhooks", "Provider webhooks", ["endpoint", "result"])
        self.emergency_answers = _counter("ringdesk_emergency_answers", "Voice webhooks answered without the database")
        self.provider_errors = _counter(
            "ringdesk_provider_errors", "What the provider's console complains of", ["level", "code"]
        )
        self.provider_errors.labels("error", "other")  # there from the start, so that the first one is an increase
        self.provider_commands = _counter(
            "ringdesk_provider_commands", "Commands to the telephony provider", ["kind", "result"]
        )
        self.calls_ended = _counter("ringdesk_calls_ended", "Calls of customers, by outcome", ["outcome"])
        self.calls_ended.labels("deflected")  # there from the start, so that the first one is an increase
        # queues and offers
        self.waiting = _gauge("ringdesk_queue_waiting", "Callers waiting, counted up to 10,000", ["queue"])
        self.longest_wait = _gauge("ringdesk_queue_longest_wait_seconds", "How long the first one waits", ["queue"])
        self.deserted = _gauge(
            "ringdesk_queue_deserted",
            "1 where callers wait, nobody is signed in and the queue calls that an alert",
            ["queue"],
        )
        self.agents_free = _gauge(
            "ringdesk_pool_agents_free", "Agents who are available and have room, counted up to 1,000", ["pool"]
        )
        self.offers_made = _counter("ringdesk_offers_made", "Offers made by this process")
        self.offers = _counter("ringdesk_offers", "Offers by how they ended", ["outcome"])
        self.overflows = _counter("ringdesk_overflows", "Callers whom a queue let go of", ["queue", "reason"])
        self.decisions_seconds = _histogram("ringdesk_dispatch_pass_seconds", "One dispatcher pass")
        # pops and desks
        self.pop_sent = _histogram("ringdesk_pop_sent_seconds", "Assignment to the pop handed to the sockets")
        self.pop_painted = _histogram("ringdesk_pop_painted_seconds", "Assignment to paint, as the browsers report it")
        self.pop_layer_painted = _histogram(
            "ringdesk_pop_layer_painted_seconds", "Assignment to paint of each layer of a pop", ["part"]
        )
        self.pop_holes = _counter(
            "ringdesk_pop_holes", "Sources of a pop that did not answer in time, or at all", ["part", "reason"]
        )
        self.desk_repeats = _counter(
            "ringdesk_desk_repeats", "Sends to an agent whose desk had acknowledged nothing for a second"
        )
        self.sockets = _gauge("ringdesk_desk_sockets", "Connected desks on this process")
        self.socket_refused = _counter("ringdesk_socket_refused", "Socket packets and connects refused", ["reason"])
        # deliveries and outbox
        self.deliveries = _counter(
            "ringdesk_deliveries", "Deliveries to consumers by what became of them", ["consumer", "result"]
        )
        self.after_commit_overflow = _counter("ringdesk_after_commit_overflow", "After-commit jobs left to the relay")
        self.relay_sent = _counter("ringdesk_relay_sent", "Deliveries sent again by the relay")
        self.outbox_due = _gauge("ringdesk_outbox_undone", "Deliveries not done yet, counted up to 10,000")
        self.outbox_lag = _gauge("ringdesk_outbox_lag_seconds", "Age of the oldest event with an undone delivery")
        self.outbox_parked = _gauge(
            "ringdesk_outbox_parked", "Deliveries given up on, waiting for a person, counted up to 10,000"
        )
        self.timers_overdue = _gauge("ringdesk_timers_overdue_seconds", "How late the latest due timer is")
        # what we stand on
        self.up = _gauge("ringdesk_part_up", "1 when this process reaches it", ["part"])
        self.pool_in_use = _gauge("ringdesk_database_connections_in_use", "Database connections in use")
        self.pool_size = _gauge("ringdesk_database_connections_max", "Database connections this process may open")
        self.pool_wait = _histogram("ringdesk_database_wait_seconds", "Time until a database connection was free")
        self.pool_refused = _counter("ringdesk_database_refused", "Requests for a connection that waited too long")
        self.transaction_retries = _counter("ringdesk_transaction_retries", "Transactions run again")
        self.loop_lag = _gauge("ringdesk_event_loop_lag_seconds", "Worst stall of the event loop in the last second")
        self.loop_stalls = _histogram(
            "ringdesk_event_loop_stall_seconds", "How late the event loop woke a sleeper", (), STALLS
        )
        self.tasks_failed = _counter("ringdesk_tasks_failed", "Long-running tasks that ended with an error")


def _counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(name, text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = FAST) -> Histogram:
    return Histogram(name, text, labels, registry=REGISTRY, buckets=buckets)


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
        late = max(0.0, monotonic() - before - 0.05)
        metrics.loop_stalls.observe(late)
        worst = max(worst, late)
        if monotonic() - since >= interval_s:
            metrics.loop_lag.set(worst)
            worst, since = 0.0, monotonic()
