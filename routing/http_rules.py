"""The API of rule sets: versions, their words, dry runs, which is in force."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from accounts.audit import audit
from core.errors import NotFound
from core.principal import ADMINS, LEADS, actor_of
from core.texts import Text
from infra.openapi import ApiModel, ApiQuery, Call, Nothing, Routes
from infra.outbox import Tx
from infra.postgres import Connection
from routing import queries as sql
from routing import re_evaluate, rule_sets
from routing.dry_run import MAX_LAST, DryRun, dry_run
from routing.lint import Finding
from routing.query_builder import query_of
from routing.text import condition_text

ROUTES = Routes("routing")


class RuleSetBrief(BaseModel):
    version: int
    origin: str
    created_by: str
    created_at: datetime
    published_at: datetime | None
    is_published: bool


class RuleSetList(BaseModel):
    items: list[RuleSetBrief]


class FindingOut(BaseModel):
    """Something odd about a rule. `place` is the path inside the list; `code` is stable."""

    severity: Literal["error", "warning"]
    code: str
    rule: str
    place: str
    message: str


class RuleSetOut(RuleSetBrief):
    rules: list[dict[str, Any]]
    sentences: list[Text]
    """Each rule in words."""
    texts: list[str | None]
    """The condition of each rule as text; none for the default."""
    queries: list[dict[str, Any] | None]
    """The same as react-querybuilder edits it."""


class RuleSetAdded(RuleSetOut):
    findings: list[FindingOut]


class RuleSetIn(ApiModel):
    rules: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=200,
        description="a condition may be a tree, text, or a query of react-querybuilder, and is kept as a tree",
    )


class DryRunParams(ApiQuery):
    last: int = Field(default=1000, ge=1, le=MAX_LAST, description="how many calls to look back")


async def _rule_set(conn: Connection, version: int) -> RuleSetOut:
    row = await conn.fetchrow(sql.RULE_SET, version)
    if row is None:
        raise NotFound("There is no such rule set.")
    texts = [condition_text(rule["when"]) if "when" in rule else None for rule in row["rules"]]
    queries = [query_of(rule["when"]) if "when" in rule else None for rule in row["rules"]]
    sentences = await rule_sets.sentences(conn, row["rules"])
    return RuleSetOut(**dict(row), sentences=sentences, texts=texts, queries=queries)


def _shown(findings: Iterable[Finding]) -> list[FindingOut]:
    return [
        FindingOut(severity=f.severity, code=f.code, rule=f.rule, place=".".join(map(str, f.place)), message=f.message)
        for f in findings
    ]


@ROUTES.query("/api/v1/rulesets", roles=ADMINS, returns=RuleSetList)
async def list_rule_sets(conn: Connection, call: Call[Nothing]) -> RuleSetList:
    """All versions, newest first."""
    return RuleSetList(items=[RuleSetBrief(**dict(row)) for row in await conn.fetch(sql.RULE_SETS, 200)])


@ROUTES.query("/api/v1/rulesets/published", roles=LEADS, returns=RuleSetOut)
async def published_rule_set(conn: Connection, call: Call[Nothing]) -> RuleSetOut:
    """The rules in force."""
    row = await conn.fetchrow(sql.PUBLISHED_RULES)
    if row is None:
        raise NotFound("No rule set is published.")
    return await _rule_set(conn, row["version"])


@ROUTES.query("/api/v1/rulesets/{version}", roles=LEADS, returns=RuleSetOut)
async def read_rule_set(conn: Connection, call: Call[Nothing]) -> RuleSetOut:
    """One version with its rules, as they are written and in words."""
    return await _rule_set(conn, call.id("version"))


@ROUTES.command("POST", "/api/v1/rulesets", roles=ADMINS, body=RuleSetIn, returns=RuleSetAdded, status=201)
async def add_rule_set(tx: Tx, call: Call[RuleSetIn]) -> RuleSetAdded:
    """Check a list of rules and keep it as the next version. It is not in force before it is published.

    Rules that never match or are never reached are refused; what somebody should look at comes back as `findings`."""
    rules = rule_sets.read_rules(call.data.rules)
    findings = await rule_sets.check_rules(tx.conn, rules)
    version = await rule_sets.add_rule_set(tx, rules, origin="api", by=call.who.email)
    await audit(tx, actor_of(call.who), "ruleset.add", "ruleset", version, after={"rules": len(rules)})
    added = await _rule_set(tx.conn, version)
    return RuleSetAdded(**dict(added), findings=_shown(findings))


@ROUTES.query("/api/v1/rulesets/{version}/dry-run", roles=ADMINS, params=DryRunParams, returns=DryRun)
async def dry_run_rule_set(conn: Connection, call: Call[DryRunParams]) -> DryRun:
    """Which of the last calls this version would have sent elsewhere, and how. Changes nothing."""
    row = await conn.fetchrow(sql.RULE_SET, call.id("version"))
    if row is None:
        raise NotFound("There is no such rule set.")
    return await dry_run(conn, row["rules"], last=call.data.last)


@ROUTES.command("POST", "/api/v1/rulesets/{version}/publish", roles=ADMINS, returns=RuleSetOut)
async def publish_rule_set(tx: Tx, call: Call[Nothing]) -> RuleSetOut:
    """Put a version in force. Who waits keeps the version they came with."""
    version = call.id("version")
    await rule_sets.publish_rule_set(tx, version)
    await audit(tx, actor_of(call.who), "ruleset.publish", "ruleset", version, after={"version": version})
    return await _rule_set(tx.conn, version)


@ROUTES.command("POST", "/api/v1/rulesets/{version}/roll-back", roles=ADMINS, returns=RuleSetOut, status=201)
async def roll_back_rule_set(tx: Tx, call: Call[Nothing]) -> RuleSetOut:
    """Put the rules of an older version in force again, unchanged, as a new version."""
    version = call.id("version")
    copy = await rule_sets.roll_back_rule_set(tx, version, by=call.who.email)
    await audit(
        tx, actor_of(call.who), "ruleset.roll_back", "ruleset", copy, after={"version": copy, "copy_of": version}
    )
    return await _rule_set(tx.conn, copy)


class ReEvaluated(BaseModel):
    """`left` are still to be decided: ask again until it is 0. `after_offer` move once their offer has ended without an answer."""

    version: int
    moved: int
    after_offer: int
    same: int
    left: int


@ROUTES.query("/api/v1/rulesets/{version}/re-evaluate", roles=ADMINS, returns=re_evaluate.Preview)
async def preview_re_evaluation(conn: Connection, call: Call[Nothing]) -> re_evaluate.Preview:
    """What this version would change for those who are in line by other rules. Changes nothing."""
    return await re_evaluate.preview(conn, call.id("version"))


@ROUTES.command("POST", "/api/v1/rulesets/{version}/re-evaluate", roles=ADMINS, returns=ReEvaluated)
async def re_evaluate_waiting(tx: Tx, call: Call[Nothing]) -> ReEvaluated:
    """Decide up to 200 of those in line again, by the version in force (else 409 not_in_force). Doing it again changes nothing."""
    done = await re_evaluate.apply(tx, call.id("version"))
    await audit(tx, actor_of(call.who), re_evaluate.ACTION, "ruleset", done.version, after=done.for_audit())
    return ReEvaluated(
        version=done.version,
        moved=len(done.moved),
        after_offer=len(done.after_offer),
        same=done.same,
        left=done.left,
    )
