"""Writing offers with their reasons: the same rows and the same news, whether a pass decided or a person."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from core.events import OfferCreated
from core.ids import AgentId, CallId, OfferId, WorkItemId
from infra.outbox import Tx, publish
from infra.telemetry import metrics
from routing import queries as sql
from routing.explain import MORE
from routing.model import AgentVerdict, By, Proposal
from routing.order import criteria_of

log = structlog.get_logger()

VERDICTS_IN_FULL: Final = 20


async def make_offers(
    tx: Tx, proposals: Sequence[Proposal], found: Sequence[Sequence[AgentVerdict]], *, has_more: bool = False
) -> list[OfferId]:
    """Calls, agents and items are locked, agents have room. `found`: per proposal the verdicts of those in question.

    Returns the offers in the order of the proposals."""
    made = await sql.make_offers(tx.conn, proposals, now=tx.now)
    by_pair = {(row["work_item_id"], row["agent_id"]): row for row in made}
    rows = [by_pair[(p.item.id, p.agent_id)] for p in proposals]
    await keep_decisions(tx, proposals, [OfferId(row["id"]) for row in rows], found, has_more=has_more)
    if weighted := [p.agent_id for p in proposals if _is_weighted(p)]:
        await tx.conn.execute(sql.TAKE_TURNS, weighted)
    await tx.conn.execute(sql.REFRESH_INTERVALS, [p.agent_id for p in proposals], tx.now)
    for row in rows:
        await publish(
            tx,
            OfferCreated(
                offer_id=OfferId(row["id"]),
                work_item_id=WorkItemId(row["work_item_id"]),
                agent_id=AgentId(row["agent_id"]),
                queue=row["queue"],
                version=row["version"],
                call_id=None if row["call_id"] is None else CallId(row["call_id"]),
            ),
        )
        tx.on_commit.append(metrics.offers_made.inc)
        log.info("offer created", offer=row["id"], agent=row["agent_id"])
    return [OfferId(row["id"]) for row in rows]


async def keep_decisions(
    tx: Tx,
    proposals: Sequence[Proposal],
    offers: Sequence[OfferId | None],
    found: Sequence[Sequence[AgentVerdict]],
    *,
    has_more: bool = False,
) -> None:
    """A row for each, with the verdicts. Tickets are assigned without an offer."""
    await tx.conn.execute(
        sql.ADD_DECISIONS,
        [p.item.id for p in proposals],
        offers,
        [tx.now] * len(proposals),
        [p.item.ruleset_version for p in proposals],
        [p.item.rule for p in proposals],
        [p.step for p in proposals],
        [p.agent_id for p in proposals],
        [p.by for p in proposals],
        [_in_full(verdicts) for verdicts in found],
        [json.dumps(_counts(verdicts, has_more)) for verdicts in found],
    )


def _is_weighted(proposal: Proposal) -> bool:
    return (
        criteria_of(proposal.item.steps[proposal.step], proposal.item.pick, proposal.item.channel)[-1].by is By.WEIGHTED
    )


def _counts(verdicts: Sequence[AgentVerdict], has_more: bool) -> dict[str, int]:
    """How many agents had each verdict; `more`: others with room were not looked at."""
    return Counter(v.verdict.value for v in verdicts) | ({MORE: 1} if has_more else {})


def _in_full(verdicts: Sequence[AgentVerdict]) -> str:
    """As JSON text: a list of lists would reach Postgres as an array of two dimensions."""
    return json.dumps(
        [
            {"agent_id": v.agent_id, "verdict": v.verdict.value, **({"detail": v.detail} if v.detail else {})}
            for v in verdicts[:VERDICTS_IN_FULL]
        ]
    )
