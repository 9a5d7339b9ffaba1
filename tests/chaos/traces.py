"""What a deployment may not leave behind, whatever is done to it: desks of nobody (I20), personal data where it does not
belong (I21), more and more of what it holds (I22), tasks that ended by themselves (I23)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
from redis.asyncio import Redis as RedisClient

from core import demo_account
from tests.chaos.books import Books
from tests.chaos.stack import Stack, until

PRESENCE_WITHIN_S: Final = 25.0
STRAY: Final = re.compile(
    r'"event": ?"loop ended"|exception was never retrieved|Task was destroyed but it is pending|was never awaited'
)
AVAILABLE_WITHOUT_DESK: Final = """
SELECT a.id FROM agents a WHERE a.presence = 'available' AND a.presence_since < now() - interval '25 seconds' AND NOT EXISTS
  (SELECT 1 FROM desk_connections d WHERE d.agent_id = a.id AND d.lease_until > now() - interval '25 seconds')
"""
GROWTH: Final = 0.10
NOISE: Final = {"files": 6, "threads": 8, "MB": 12, "sessions": 4, "keys": 20, "messages": 4}
"""So much more than the tenth proves nothing. Threads: asyncio's pool, which looks up names, grows to six at its own pace."""


async def presence_is_real(stack: Stack) -> float:
    """I20: seconds until each lease of a desk is a socket of a replica and the other way round, and nobody is available who has none."""

    async def is_equal() -> bool:
        sockets = [await stack.metric(url, "ringdesk_desk_sockets") for url in stack.replicas]
        leases = await stack.fetch("SELECT 1 FROM desk_connections WHERE lease_until > now() AND closed_at IS NULL")
        return sum(sockets) == len(leases) and not await stack.fetch(AVAILABLE_WITHOUT_DESK)

    return await until(is_equal, within_s=PRESENCE_WITHIN_S, what="the leases of the desks are those of the sockets")


async def leaks(stack: Stack, books: Books) -> list[str]:
    """I21: where the number of a caller, the name of a customer, the password or the provider's token can be read and may not: in a
    log, a metric, the name of a Redis key, a message of the broker, the reason of a parked one."""
    secrets = {str(row["name"]) for row in await stack.fetch("SELECT name FROM customers WHERE length(name) > 4")}
    secrets |= {str(entry["fields"].get("From", "")) for entry in books.voice()}
    secrets |= {demo_account.AUTH_TOKEN, demo_account.PASSWORD}
    secrets = {secret for secret in secrets if len(secret) > 4 and not secret.startswith("client:")}
    wanted = re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))
    assert wanted.search(str(books.voice())), "nobody has called: there is nothing to look for"
    found = []
    for place, text in (await _places(stack)).items():
        if match := wanted.search(text):
            around = text[max(0, match.start() - 100) : match.end() + 40].replace("\n", " ")
            found.append(f"I21 {place}: {around}")
    return found


async def _places(stack: Stack) -> dict[str, str]:
    places = {f"log of {program.name}": program.said() for program in (*stack.webs, *stack.workers)}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        for where in stack.scraped:
            async with http.get(f"http://{where}/metrics") as answer:
                places[f"metrics of {where}"] = await answer.text()
    async with RedisClient.from_url(f"unix://{stack.redis.server.where}") as client:
        keys = [key.decode(errors="replace") async for key in client.scan_iter(count=1000)]
    events = await stack.fetch("SELECT body::text AS body FROM events")
    errors = await stack.fetch("SELECT last_error FROM deliveries WHERE last_error IS NOT NULL")
    return places | {
        "keys of Redis": "\n".join(keys),
        "messages": "\n".join(row["body"] for row in events),
        "reasons": "\n".join(row["last_error"] for row in errors),
    }


def stray_tasks(stack: Stack) -> list[str]:
    """I23: what asyncio or our own loops said of a task that ended and that nobody waited for."""
    return [
        f"I23 {program.name}: {line}"
        for program in (*stack.webs, *stack.workers)
        for line in program.said().splitlines()
        if STRAY.search(line)
    ]


async def footprint(stack: Stack) -> dict[str, float]:
    """I22: what is held by each process and each server. Compare two moments in which nobody is at work."""
    held: dict[str, float] = {}
    for program in (*stack.webs, *stack.workers):
        status = Path(f"/proc/{program.pid}/status").read_text()
        figures = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE))
        held[f"{program.name} files"] = len(list(Path(f"/proc/{program.pid}/fd").iterdir()))
        held[f"{program.name} threads"] = int(figures["Threads"])
        held[f"{program.name} MB"] = int(figures["VmRSS"]) / 1024
    [row] = await stack.fetch(
        "SELECT count(*) AS sessions FROM pg_stat_activity WHERE application_name LIKE 'ringdesk%'"
    )
    held["sessions"] = row["sessions"]
    async with RedisClient.from_url(f"unix://{stack.redis.server.where}") as client:
        held["keys"] = await client.dbsize()
    queues = await stack.rabbit.ctl("list_queues", "--quiet", "--no-table-headers", "messages")
    held["messages"] = sum(int(line) for line in queues.split() if line.isdigit())
    return held


def growth(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """What is held and was not before, beyond a tenth and the noise."""
    return [
        f"I22 {name}: {before[name]:.0f} → {now:.0f}"
        for name, now in after.items()
        if now > before[name] * (1 + GROWTH) + NOISE[name.rpartition(" ")[2]]
    ]
