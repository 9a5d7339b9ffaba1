"""The books that are kept outside the system under test, and their comparison with its database.

What the provider sent and got is in the simulator's journal; what people did at their desks is in the simulation's ledger. An
operation went well, was refused, or nobody knows: what was never answered may have happened once, and both must be allowed for.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

import asyncpg

from simulator.people.api import Refused, Unanswered, open_api
from simulator.people.ledger import Ledger, Outcome

POLL_S: Final = 2.0
VOICE: Final = "/twilio/voice"
Entry = dict[str, Any]
Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


@dataclass
class Books:
    """Begun before a load and closed after it."""

    simulator_url: str
    ledger: Ledger = field(default_factory=Ledger)
    entries: dict[int, Entry] = field(default_factory=dict)
    since: int = 0

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Copy the journal while it grows: it forgets its oldest entries."""
        async with open_api(self.simulator_url) as phones:
            while items := (await phones.get("/journal", since=str(self.since), limit="1000"))["items"]:
                self.since = items[-1]["n"]
        begun = self.since
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.since = begun  # answers are written into entries that were there before
        await self.copy()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(Refused, Unanswered):
                await self.copy()
            await asyncio.sleep(POLL_S)

    async def copy(self) -> None:
        at = self.since
        async with open_api(self.simulator_url) as phones:
            while items := (await phones.get("/journal", since=str(at), limit="1000"))["items"]:
                self.entries.update((item["n"], item) for item in items)
                at = items[-1]["n"]
        # Those of the last seconds may still be waiting for their answer: they are read again.
        self.since = max(self.since, at - 1000)

    def voice(self) -> list[Entry]:
        """Requests for a document, each with its answer or without."""
        return [entry for entry in self.entries.values() if entry["kind"] == "webhook"]

    def told(self) -> dict[str, Outcome]:
        """By call: was the caller put into a line?"""
        answers: dict[str, list[Outcome]] = defaultdict(list)
        for entry in self.voice():
            if VOICE in entry["url"] and not str(entry["fields"].get("From", "")).startswith("client:"):
                answers[entry["sid"]].append(_outcome(entry))
        return {sid: _best(given) for sid, given in answers.items()}

    def slowest(self) -> Entry | None:
        return max(
            (entry for entry in self.voice() if "answer" in entry), key=lambda entry: entry["took_s"], default=None
        )

    def count(self) -> dict[str, int]:
        """By outcome, the calls and what people did."""
        by_people = Counter(record.outcome.value for record in self.ledger.records)
        by_calls = Counter(outcome.value for outcome in self.told().values())
        return {outcome.value: by_people[outcome.value] + by_calls[outcome.value] for outcome in Outcome}


def _outcome(entry: Entry) -> Outcome:
    if "status" not in entry or int(entry["status"]) >= 500:
        return Outcome.UNKNOWN
    if entry["status"] != 200:
        return Outcome.FAIL
    return Outcome.OK if "<Enqueue" in entry["answer"] else Outcome.UNKNOWN


def _best(given: Sequence[Outcome]) -> Outcome:
    return next(outcome for outcome in (Outcome.OK, Outcome.UNKNOWN, Outcome.FAIL) if outcome in given)


CALLS: Final = """
SELECT c.sid, c.queued_at, c.outcome, c.source, count(DISTINCT t.ticket_id) AS tickets, count(DISTINCT c.id) AS records
FROM calls c LEFT JOIN ticket_calls t ON t.call_id = c.id WHERE c.sid = ANY($1) GROUP BY c.sid, c.queued_at, c.outcome, c.source
"""
ACCEPTED: Final = """
SELECT o.id, u.email, o.accepted_at IS NOT NULL AS is_accepted FROM offers o JOIN users u ON u.id = o.agent_id WHERE o.id = ANY($1)
"""


async def faults_of(books: Books, fetch: Fetch) -> list[str]:
    """Where the books and the database disagree; empty when all is accounted for."""
    return [*await _calls(books, fetch), *await _accepts(books, fetch), *_documents(books)]


async def open_calls(books: Books, fetch: Fetch) -> list[str]:
    """Whose record has no end yet. After a load all are over at the provider; whose last word was lost, the reconciler finds."""
    return [row["sid"] for row in await fetch(CALLS, list(books.told())) if row["outcome"] is None]


async def _calls(books: Books, fetch: Fetch) -> list[str]:
    """I1, I17: who was put into a line has one record, one ticket, one end. Nobody is recorded twice."""
    told = books.told()
    rows: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await fetch(CALLS, list(told)):
        rows[row["sid"]].append(row)
    faults = []
    for sid, outcome in told.items():
        found = rows[sid]
        if len(found) > 1 or (found and found[0]["records"] != 1):
            faults.append(f"I17 {sid} has several records")
        elif outcome is Outcome.OK and not found:
            faults.append(f"I1 {sid} was put into a line and has no record")
        elif outcome is Outcome.FAIL and found and found[0]["source"] != "reconciled":
            faults.append(f"I17 {sid} was refused and has a record")
        elif found:
            [row] = found
            if row["tickets"] != (0 if row["queued_at"] is None else 1):
                faults.append(f"I1 {sid} has {row['tickets']} tickets")
            if row["outcome"] is None:
                faults.append(f"{sid} has no end")
    return faults


async def _accepts(books: Books, fetch: Fetch) -> list[str]:
    """I3: who was told that they have the call has it; who was refused at the first try has not."""
    tries: dict[int, list[tuple[str, Outcome]]] = defaultdict(list)
    for record in books.ledger.records:
        if record.action == "accept":
            tries[int(record.subject)].append((record.actor, record.outcome))
    faults = []
    for row in await fetch(ACCEPTED, list(tries)):
        outcomes = [outcome for actor, outcome in tries[row["id"]] if actor == row["email"]]
        if Outcome.OK in outcomes and not row["is_accepted"]:
            faults.append(f"I3 offer {row['id']}: {row['email']} was told that it is theirs, and it is not")
        if set(outcomes) == {Outcome.FAIL} and row["is_accepted"]:
            faults.append(f"I3 offer {row['id']}: {row['email']} was refused, and has it")
    return faults


def _documents(books: Books) -> list[str]:
    """Whatever a caller was answered is a document."""
    faults = []
    for entry in books.voice():
        if entry.get("status") == 200:
            try:
                ElementTree.fromstring(entry["answer"])
            except ElementTree.ParseError:
                faults.append(f"{entry['url']}: not a document: {entry['answer'][:200]}")
    return faults
