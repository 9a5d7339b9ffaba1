"""Versions of the rules: checked, kept, put in force, rolled back. Immutable and numbered; items keep the version they came with."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Invalid, NotFound
from core.events import RulesetPublished
from core.texts import Text
from infra.outbox import Tx, publish
from infra.postgres import Connection
from routing import queries as sql
from routing.lint import Finding, RosterAgent, lint
from routing.rules import check
from routing.sentences import rule_sentence
from routing.text import read_rules as rules_from_text


def read_rules(documents: Any) -> Any:
    """With trees for conditions that are text. Raises Invalid with the column of each that cannot be read."""
    read, faults = rules_from_text(documents)
    if faults:
        raise _invalid([(fault.place, fault.message) for fault in faults])
    return read


def _invalid(faults: Sequence[tuple[tuple[str | int, ...], str]]) -> Invalid:
    errors = [{"field": ".".join(map(str, place)), "message": message} for place, message in faults[:50]]
    return Invalid(f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)


async def check_rules(conn: Connection, documents: Any) -> list[Finding]:
    """What somebody should look at. Raises Invalid with every fault, by the queues, skills and agents there are now."""
    queues = {row["key"]: row["offer_timeout_s"] for row in await conn.fetch(sql.QUEUES)}
    skills = frozenset(row["key"] for row in await conn.fetch(sql.SKILLS))
    agents = frozenset(row["email"] for row in await conn.fetch(sql.AGENT_ADDRESSES))
    found = check(documents, queues=frozenset(queues), skills=skills, agents=agents)
    faults = [(fault.place, fault.message) for fault in found]
    findings: list[Finding] = []
    if not faults:
        roster = [RosterAgent(frozenset(row["queues"]), row["skills"]) for row in await conn.fetch(sql.ROSTER)]
        findings = await asyncio.to_thread(lint, documents, offer_timeouts=queues, roster=roster)
        faults = [(found.place, f"{found.rule}: {found.message}") for found in findings if found.severity == "error"]
    if faults:
        raise _invalid(faults)
    return findings


async def sentences(conn: Connection, documents: Sequence[Mapping[str, Any]]) -> list[Text]:
    """Each rule in words, with the names that queues and skills have now."""
    queues = {row["key"]: row["name"] for row in await conn.fetch(sql.QUEUES)}
    skills = {row["key"]: row["name"] for row in await conn.fetch(sql.SKILLS)}
    return [rule_sentence(document, queues=queues, skills=skills) for document in documents]


async def add_rule_set(tx: Tx, documents: list[dict[str, Any]], *, origin: str, by: str) -> int:
    """Keep a checked list of rules as the next version. Not published yet."""
    await tx.conn.execute(sql.LOCK_RULE_SETS)
    return int(await tx.conn.fetchval(sql.ADD_RULE_SET, documents, origin, by))


async def publish_rule_set(tx: Tx, version: int) -> None:
    """Make a version the one in force. Items in line keep the version they entered with.

    An older version may name what is no longer there: raises Invalid."""
    await tx.conn.execute(sql.LOCK_RULE_SETS)
    row = await tx.conn.fetchrow(sql.RULE_SET, version)
    if row is None:
        raise NotFound("There is no such rule set.")
    await check_rules(tx.conn, row["rules"])
    await tx.conn.execute(sql.UNPUBLISH)
    await tx.conn.execute(sql.PUBLISH, version, tx.now)
    await publish(tx, RulesetPublished(version=version))


async def roll_back_rule_set(tx: Tx, version: int, *, by: str) -> int:
    """Put the rules of an older version in force again, unchanged, as a version with a number of its own, which is returned.

    They may name what is no longer there: raises Invalid."""
    await tx.conn.execute(sql.LOCK_RULE_SETS)
    copy = await tx.conn.fetchval(sql.COPY_RULE_SET, version, f"rollback:{version}", by)
    if copy is None:
        raise NotFound("There is no such rule set.")
    await publish_rule_set(tx, copy)
    return int(copy)
