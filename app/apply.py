"""Bring the database in line with an organisation file: diff first, one transaction, idempotent.

Calls go on meanwhile. Locks are taken in this order: one `apply` at a time, the pools (so that no dispatcher decides by what is
just changing), queues that go, agents by id, then live items and offers, which move with their queue's pool.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from accounts import service as accounts
from accounts.audit import audit
from app.org import OrgFile, OutboundIn, SkillUntil, pools_of
from core.errors import Conflict
from core.events import ConfigApplied, TicketWorkAffected
from core.principal import Actor
from cti.pbx_settings import settings_of
from infra.outbox import Tx, publish
from routing import queries as routing_sql
from routing import reach, rule_sets
from routing import service as routing
from ticketing import service as ticketing

QUEUES: Final = """
SELECT key, name, position, within_s, round(target::numeric, 4)::float8 AS target, short_abandon_s, offer_timeout_s, wrap_mode, wrap_s,
       pick, zone, pool_id, max_waiting, max_wait_s, if_nobody, overflow_to, wrap_extension_s, default_disposition, reject_s, busy_s,
       no_answer_s, misses_before_not_responding, channel, drain_after_s, overflow_voicemail, calendar, recording
FROM queues WHERE is_active
"""
UPSERT_QUEUE: Final = """
INSERT INTO queues (key, name, position, within_s, target, short_abandon_s, offer_timeout_s, wrap_mode, wrap_s, pick, zone, pool_id,
                    max_waiting, max_wait_s, if_nobody, wrap_extension_s, default_disposition, reject_s, busy_s, no_answer_s,
                    misses_before_not_responding, channel, drain_after_s, overflow_voicemail, calendar, recording, is_active)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, true)
ON CONFLICT (key) DO UPDATE SET name = excluded.name, position = excluded.position, within_s = excluded.within_s,
    target = excluded.target, short_abandon_s = excluded.short_abandon_s, offer_timeout_s = excluded.offer_timeout_s,
    wrap_mode = excluded.wrap_mode, wrap_s = excluded.wrap_s, pick = excluded.pick, zone = excluded.zone,
    pool_id = excluded.pool_id, max_waiting = excluded.max_waiting, max_wait_s = excluded.max_wait_s,
    if_nobody = excluded.if_nobody, wrap_extension_s = excluded.wrap_extension_s,
    default_disposition = excluded.default_disposition, reject_s = excluded.reject_s, busy_s = excluded.busy_s,
    no_answer_s = excluded.no_answer_s, misses_before_not_responding = excluded.misses_before_not_responding,
    channel = excluded.channel, drain_after_s = excluded.drain_after_s, overflow_voicemail = excluded.overflow_voicemail,
    calendar = excluded.calendar, recording = excluded.recording, is_active = true
"""
SET_OVERFLOW: Final = "UPDATE queues SET overflow_to = $2 WHERE key = $1 AND overflow_to IS DISTINCT FROM $2"
AGENTS: Final = """
SELECT u.email, u.name, u.role, u.language, a.skills, a.total_units, a.max_calls, a.max_calls_s, a.skills_until, a.weight,
       a.ticket_cap, a.shared_units, a.voice_cost, a.ticket_cost, a.voice_interrupts, a.ticket_interrupts,
       ARRAY(SELECT (queue_key, rank, delay_s) FROM agent_queues q WHERE q.agent_id = a.id ORDER BY queue_key) AS queues
FROM agents a JOIN users u ON u.id = a.id WHERE a.is_active
"""
# Whose capacity shrinks below what they hold is over it until that work ends.
UPSERT_AGENT: Final = """
INSERT INTO agents (id, name, skills, total_units, pool_id, max_calls, max_calls_s, skills_until, weight, ticket_cap, shared_units,
                    voice_cost, ticket_cost, voice_interrupts, ticket_interrupts, is_active)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, true)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, skills = excluded.skills, pool_id = excluded.pool_id, is_active = true,
    total_units = excluded.total_units, max_calls = excluded.max_calls, max_calls_s = excluded.max_calls_s, skills_until = excluded.skills_until, weight = excluded.weight,
    ticket_cap = excluded.ticket_cap, shared_units = excluded.shared_units, voice_cost = excluded.voice_cost,
    ticket_cost = excluded.ticket_cost, voice_interrupts = excluded.voice_interrupts, ticket_interrupts = excluded.ticket_interrupts,
    over_by = greatest(0, agents.used_units - excluded.total_units), tickets_over = greatest(0, agents.tickets - excluded.ticket_cap),
    version = agents.version + 1
WHERE (agents.name, agents.skills, agents.pool_id, agents.is_active, agents.total_units, agents.max_calls, agents.max_calls_s, agents.skills_until, agents.weight,
       agents.ticket_cap, agents.shared_units, agents.voice_cost, agents.ticket_cost, agents.voice_interrupts, agents.ticket_interrupts)
      IS DISTINCT FROM (excluded.name, excluded.skills, excluded.pool_id, true, excluded.total_units, excluded.max_calls, excluded.max_calls_s, excluded.skills_until, excluded.weight,
       excluded.ticket_cap, excluded.shared_units, excluded.voice_cost, excluded.ticket_cost, excluded.voice_interrupts, excluded.ticket_interrupts)
"""
SET_QUEUES_OF_AGENT: Final = """
WITH gone AS (DELETE FROM agent_queues WHERE agent_id = $1 AND NOT queue_key = ANY($2))
INSERT INTO agent_queues (agent_id, queue_key, rank, delay_s)
SELECT $1, s.queue, s.rank, s.delay_s FROM unnest($2::text[], $3::smallint[], $4::integer[]) AS s (queue, rank, delay_s)
ON CONFLICT (agent_id, queue_key) DO UPDATE SET rank = excluded.rank, delay_s = excluded.delay_s
WHERE (agent_queues.rank, agent_queues.delay_s) IS DISTINCT FROM (excluded.rank, excluded.delay_s)
"""
GOING_AGENTS: Final = """
SELECT a.id FROM agents a JOIN users u ON u.id = a.id WHERE a.is_active AND NOT lower(u.email) = ANY($1) ORDER BY a.id
"""
RETIRE_AGENTS: Final = "UPDATE agents SET is_active = false, pool_id = NULL, version = version + 1 WHERE id = ANY($1)"
MOVE_LIVE_ITEMS: Final = """
UPDATE work_items i SET pool_id = q.pool_id FROM queues q
WHERE q.key = i.queue AND i.pool_id <> q.pool_id AND i.state IN ('queued', 'external', 'offering', 'assigned', 'wrapping')
"""
MOVE_LIVE_OFFERS: Final = """
UPDATE offers o SET pool_id = q.pool_id FROM queues q
WHERE q.key = o.queue AND o.pool_id <> q.pool_id AND o.state IN ('pending', 'accepted', 'wrapping')
"""
EXTENSIONS: Final = """
SELECT u.email, e.name FROM agent_extensions e JOIN users u ON u.id = e.agent_id ORDER BY e.name
"""
SET_EXTENSIONS: Final = """
WITH gone AS (DELETE FROM agent_extensions WHERE NOT name = ANY($1))
INSERT INTO agent_extensions (name, agent_id)
SELECT e.name, u.id FROM unnest($1::text[], $2::text[]) AS e (name, email) JOIN users u ON lower(u.email) = e.email
ON CONFLICT (name) DO UPDATE SET agent_id = excluded.agent_id
"""
TELEPHONES: Final = """
SELECT u.email, p.address FROM agent_telephones p JOIN agents a ON a.id = p.agent_id JOIN users u ON u.id = a.id WHERE a.is_active
"""
# Who keeps a telephone keeps the choice of whether it is used, also when it is another one.
DROP_TELEPHONES: Final = """
DELETE FROM agent_telephones p USING users u WHERE u.id = p.agent_id
  AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS t (email, address) WHERE t.email = lower(u.email) AND t.address = p.address)
RETURNING p.agent_id, p.is_used
"""
ADD_TELEPHONES: Final = """
INSERT INTO agent_telephones (agent_id, address, is_used)
SELECT u.id, t.address, u.id = ANY($3) FROM unnest($1::text[], $2::text[]) AS t (email, address) JOIN users u ON lower(u.email) = t.email
ON CONFLICT (agent_id) DO NOTHING RETURNING agent_id
"""
CTI_CONNECTIONS: Final = "SELECT key, dialect, settings FROM cti_connections"
UPSERT_CONNECTION: Final = """
INSERT INTO cti_connections (key, dialect, settings) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET dialect = excluded.dialect, settings = excluded.settings
"""
UPSERT_DISPOSITION: Final = """
INSERT INTO dispositions (key, name, digit, queue, position, resolves_ticket) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET name = excluded.name, digit = excluded.digit, queue = excluded.queue, position = excluded.position,
    resolves_ticket = excluded.resolves_ticket
"""
NUMBERS: Final = "SELECT number, region, queue, voice, voicemail, calendar, menu, recording FROM numbers"
UPSERT_NUMBER: Final = """
INSERT INTO numbers (number, region, queue, voice, voicemail, calendar, menu, recording) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (number) DO UPDATE SET region = excluded.region, queue = excluded.queue, voice = excluded.voice, voicemail = excluded.voicemail,
    calendar = excluded.calendar, menu = excluded.menu, recording = excluded.recording
"""
MENUS: Final = "SELECT key, settings FROM menus"
UPSERT_MENU: Final = """
INSERT INTO menus (key, settings) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET settings = excluded.settings
"""
CALENDARS: Final = "SELECT key, settings FROM calendars"
UPSERT_CALENDAR: Final = """
INSERT INTO calendars (key, settings) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET settings = excluded.settings
"""
LOCK_APPLY: Final = "SELECT pg_advisory_xact_lock(hashtextextended('organisation', 0))"
LOCK_POOL: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pool:' || $1, 0))"
LOCK_QUEUES: Final = "SELECT key FROM queues WHERE key = ANY($1) ORDER BY key FOR UPDATE"
LOCK_ALL_AGENTS: Final = "SELECT id FROM agents ORDER BY id FOR UPDATE"
NEWEST_OF_FILE: Final = "SELECT max(version) FROM rule_sets WHERE origin = $1"
ORIGIN: Final = "org.yaml"
OUTBOUND: Final = "SELECT settings FROM outbound_settings"
SET_OUTBOUND: Final = """
INSERT INTO outbound_settings (settings) VALUES ($1) ON CONFLICT (is_only) DO UPDATE SET settings = excluded.settings
"""
OUTSIDE_PREFIXES: Final = "SELECT prefix FROM outside_prefixes"
SET_OUTSIDE: Final = """
WITH gone AS (DELETE FROM outside_prefixes WHERE NOT prefix = ANY($1))
INSERT INTO outside_prefixes (prefix) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""
TIME_ZONE: Final = "SELECT coalesce((SELECT time_zone FROM ticket_settings), 'UTC')"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the diff."""

    kind: str
    key: str
    action: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        sign = {"add": "+", "change": "~", "remove": "-"}[self.action]
        what = f"{self.kind} {self.key}".rstrip()
        return f"{sign} {what}" + (f" ({', '.join(self.fields)})" if self.fields else "")


def _diff(kind: str, old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[Change]:
    changes = [Change(kind, key, "remove") for key in old if key not in new]
    for key, value in new.items():
        if key not in old:
            changes.append(Change(kind, key, "add"))
        elif old[key] != value:
            fields = tuple(name for name in value if old[key].get(name) != value[name])
            changes.append(Change(kind, key, "change", fields))
    return changes


def _queues(org: OrgFile) -> dict[str, dict[str, Any]]:
    pools = pools_of(org)
    return {
        q.key: {
            "name": q.name, "position": position, "within_s": q.service_level.within_s,
            "target": round(q.service_level.target, 4), "short_abandon_s": q.short_abandon_s,
            "offer_timeout_s": q.offer_timeout_s, "wrap_mode": q.wrap_up.mode, "wrap_s": q.wrap_up.seconds, "pick": q.pick,
            "zone": q.time_zone or org.organisation.time_zone, "pool_id": pools[q.key],
            "max_waiting": q.overflow.max_waiting, "max_wait_s": q.overflow.max_wait_s, "if_nobody": q.overflow.if_nobody,
            "overflow_to": q.overflow.to, "wrap_extension_s": q.wrap_up.extension_s,
            "default_disposition": q.wrap_up.default_disposition, **q.cool_downs.model_dump(),
            "misses_before_not_responding": q.misses_before_not_responding,
            "channel": q.channel, "drain_after_s": q.drain_after_s, "overflow_voicemail": q.overflow.voicemail, "calendar": q.calendar, "recording": q.recording and q.recording.model_dump(),
        }
        for position, q in enumerate(org.queues)
    }  # fmt: skip


def _numbers(org: OrgFile) -> dict[str, dict[str, Any]]:
    return {
        n.number: {
            "region": n.region,
            "queue": n.queue,
            "voice": n.voice.model_dump(),
            "voicemail": n.voicemail and n.voicemail.model_dump(),
            "calendar": n.calendar,
            "menu": n.menu,
            "recording": n.recording and n.recording.model_dump(),
        }
        for n in org.numbers
    }


def _agents(org: OrgFile, old: dict[str, dict[str, Any]], now: datetime) -> dict[str, dict[str, Any]]:
    """A language that the file does not name is left to the agent's own choice. Skills that have ended are left out."""
    zone = ZoneInfo(org.organisation.time_zone)
    until = {
        a.email: {
            key: datetime.combine(skill.until + timedelta(days=1), time(), zone).astimezone(UTC)
            for key, skill in a.skills.items()
            if isinstance(skill, SkillUntil)
        }
        for a in org.agents
    }
    return {
        a.email: {
            "name": a.name, "role": a.role.value, "language": a.language or old.get(a.email, {}).get("language"),
            "skills": {key: level for key, level in a.levels.items() if until[a.email].get(key, now) >= now}, "total_units": a.capacity.voice,
            "queues": [(queue, served.rank, served.delay_s) for queue, served in sorted(org.served_by(a).items())],
            "weight": a.weight, "skills_until": {key: at.isoformat() for key, at in until[a.email].items() if at >= now},
            "max_calls": a.limit and a.limit.calls, "max_calls_s": a.limit and a.limit.per_s,
            "ticket_cap": a.capacity.ticket, "shared_units": a.capacity.units,
            "voice_cost": org.channels.voice.units, "ticket_cost": org.channels.ticket.units,
            "voice_interrupts": "ticket" in org.channels.voice.interrupts,
            "ticket_interrupts": "voice" in org.channels.ticket.interrupts,
        }
        for a in org.agents
    }  # fmt: skip


async def apply(tx: Tx, org: OrgFile, *, by: str, replace_rules: bool = False, dry_run: bool = False) -> list[Change]:
    """Returns the diff. With `dry_run` nothing is written. Raises Conflict when rules were published elsewhere meanwhile."""
    conn = tx.conn
    await conn.execute(LOCK_APPLY)
    queues = _queues(org)
    numbers = _numbers(org)
    calendars = {c.key: {"settings": c.settings(org.organisation.time_zone)} for c in org.calendars}
    menus = {m.key: {"settings": m.settings()} for m in org.menus}
    old_menus = {r["key"]: _rest(r, "key") for r in await conn.fetch(MENUS)}
    old_calendars = {r["key"]: _rest(r, "key") for r in await conn.fetch(CALENDARS)}
    skills = {s.key: {"name": s.name} for s in org.skills}
    dispositions = {
        d.key: {"name": d.name, "digit": d.digit, "queue": d.queue, "position": i, "resolves_ticket": d.resolves_ticket}
        for i, d in enumerate(org.dispositions)
    }
    old_queues = {row["key"]: _rest(row, "key") for row in await conn.fetch(QUEUES)}
    old_agents = {
        row["email"].lower(): _rest(row, "email") | {"queues": list(map(tuple, row["queues"]))}
        for row in await conn.fetch(AGENTS)
    }
    agents = _agents(org, old_agents, tx.now)
    old_numbers = {r["number"]: _rest(r, "number") for r in await conn.fetch(NUMBERS)}
    old_skills = {r["key"]: _rest(r, "key") for r in await conn.fetch("SELECT key, name FROM skills")}
    old_dispositions = {
        r["key"]: _rest(r, "key")
        for r in await conn.fetch("SELECT key, name, digit, queue, position, resolves_ticket FROM dispositions")
    }
    connections = {c.key: {"dialect": c.dialect, "settings": settings_of(c)} for c in org.cti_connections}
    old_connections = {r["key"]: _rest(r, "key") for r in await conn.fetch(CTI_CONNECTIONS)}
    outside: dict[str, dict[str, Any]] = {prefix: {} for prefix in org.transfer.outside}
    old_outside: dict[str, dict[str, Any]] = {row["prefix"]: {} for row in await conn.fetch(OUTSIDE_PREFIXES)}
    outbound, old_outbound = org.outbound.model_dump(), await conn.fetchval(OUTBOUND)
    if old_outbound is None:
        old_outbound = OutboundIn().model_dump()
    extensions = _extensions(org)
    old_extensions = {r["name"]: {"agent": r["email"].lower()} for r in await conn.fetch(EXTENSIONS)}
    telephones = {a.email.lower(): {"telephone": a.telephone} for a in org.agents if a.telephone is not None}
    old_telephones = {r["email"].lower(): {"telephone": r["address"]} for r in await conn.fetch(TELEPHONES)}
    published = await conn.fetchrow(routing_sql.PUBLISHED_RULES)
    time_zone = await conn.fetchval(TIME_ZONE)
    changes = [
        *_diff("organisation", {"": {"time_zone": time_zone}}, {"": {"time_zone": org.organisation.time_zone}}),
        *_diff("queue", old_queues, queues),
        *_diff("skill", old_skills, skills),
        *_diff("agent", old_agents, agents),
        *_diff("calendar", old_calendars, calendars),
        *_diff("menu", old_menus, menus),
        *_diff("number", old_numbers, numbers),
        *_diff("disposition", old_dispositions, dispositions),
        *_diff("telephone system", old_connections, connections),
        *_diff("extension", old_extensions, extensions),
        *_diff("telephone of agent", old_telephones, telephones),
        *_diff("numbers outside", old_outside, outside),
        *_diff("outbound", {"": old_outbound}, {"": outbound}),
    ]
    rules_change = published is None or published["rules"] != org.rules
    if rules_change:
        await _check_rules_origin(tx, published, replace_rules)
        changes.append(Change("rules", f"({len(org.rules)})", "add" if published is None else "change"))
    if dry_run or not changes:
        return changes
    await ticketing.set_time_zone(tx, org.organisation.time_zone, actor=Actor("cli", name=by))
    for pool in sorted({q["pool_id"] for q in (*old_queues.values(), *queues.values())}):
        await conn.execute(LOCK_POOL, pool)
    await _write_queues(tx, queues, old_queues)
    await conn.executemany(
        "INSERT INTO skills (key, name) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET name = excluded.name",
        [(key, value["name"]) for key, value in skills.items()],
    )
    await conn.execute("DELETE FROM skills WHERE NOT key = ANY($1)", list(skills))
    await _write_agents(tx, org, agents, queues, by)
    new_for_tickets = [
        key
        for key, q in queues.items()
        if q["channel"] == "ticket" and old_queues.get(key, {}).get("channel") != "ticket"
    ]
    await conn.execute(MOVE_LIVE_ITEMS)
    await conn.execute(MOVE_LIVE_OFFERS)
    await conn.execute("DELETE FROM calendars WHERE NOT key = ANY($1)", list(calendars))
    await conn.executemany(UPSERT_CALENDAR, [(key, value["settings"]) for key, value in calendars.items()])
    await conn.execute("DELETE FROM menus WHERE NOT key = ANY($1)", list(menus))
    await conn.executemany(UPSERT_MENU, [(key, value["settings"]) for key, value in menus.items()])
    await conn.execute("DELETE FROM numbers WHERE NOT number = ANY($1)", list(numbers))
    await conn.executemany(UPSERT_NUMBER, [(key, *value.values()) for key, value in numbers.items()])
    await conn.execute("DELETE FROM dispositions WHERE NOT key = ANY($1)", list(dispositions))
    await conn.executemany(UPSERT_DISPOSITION, [(key, *v.values()) for key, v in dispositions.items()])
    await conn.execute(SET_EXTENSIONS, list(extensions), [value["agent"] for value in extensions.values()])
    await _write_telephones(tx, {email: value["telephone"] for email, value in telephones.items()})
    await conn.execute("DELETE FROM cti_connections WHERE NOT key = ANY($1)", list(connections))
    await conn.executemany(UPSERT_CONNECTION, [(key, *value.values()) for key, value in connections.items()])
    await conn.execute(SET_OUTSIDE, list(outside))
    await conn.execute(SET_OUTBOUND, outbound)
    if rules_change:
        version = await rule_sets.add_rule_set(tx, org.rules, origin=ORIGIN, by=by)
        await rule_sets.publish_rule_set(tx, version)
    for row in await conn.fetch(routing_sql.TICKETS_TO_SETTLE, new_for_tickets):  # each on its own, while others work
        await publish(tx, TicketWorkAffected(ticket_id=row["id"], version=row["version"]))
    digest = hashlib.sha256(json.dumps(org.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
    lines = [str(change) for change in changes]
    change_id = await conn.fetchval(
        "INSERT INTO config_changes (digest, diff, applied_by) VALUES ($1, $2, $3) RETURNING id", digest, lines, by
    )
    await audit(tx, Actor("cli", name=by), "config.apply", "config", change_id, after={"changes": lines[:200]})
    await publish(tx, ConfigApplied(change_id=change_id))
    return changes


def _extensions(org: OrgFile) -> dict[str, dict[str, Any]]:
    """Only where a telephone system may ask: the addresses of agents serve as names too."""
    if not org.cti_connections:
        return {}
    return {
        name.casefold(): {"agent": agent.email.lower()}
        for agent in org.agents
        for name in (agent.email, *agent.extensions)
    }


def _rest(row: Any, key: str) -> dict[str, Any]:
    return {name: value for name, value in dict(row).items() if name != key}


async def _write_telephones(tx: Tx, telephones: dict[str, str]) -> None:
    """Their desks are told: `LOCK_ALL_AGENTS` is held."""
    wanted = [list(telephones), list(telephones.values())]
    gone = await tx.conn.fetch(DROP_TELEPHONES, *wanted)
    added = await tx.conn.fetch(ADD_TELEPHONES, *wanted, [row["agent_id"] for row in gone if row["is_used"]])
    for agent_id in sorted({row["agent_id"] for row in (*gone, *added)}):
        await reach.tell(tx, agent_id=agent_id, by="cli")


async def _check_rules_origin(tx: Tx, published: Any, replace_rules: bool) -> None:
    if published is None or replace_rules:
        return
    row = await tx.conn.fetchrow(routing_sql.RULE_SET, published["version"])
    newest = await tx.conn.fetchval(NEWEST_OF_FILE, ORIGIN)
    if row is None or (row["origin"] == ORIGIN and row["version"] == newest):
        return
    how = (
        f"{row['origin']}, by {row['created_by']}" if row["origin"] != ORIGIN else "an older version, put back in force"
    )
    raise Conflict(
        f"Rule set {published['version']} was published elsewhere ({how}). "
        "Take its rules into the file, or overwrite them with --replace-rules."
    )


async def _write_queues(tx: Tx, queues: dict[str, dict[str, Any]], old: dict[str, dict[str, Any]]) -> None:
    gone = [key for key in old if key not in queues]
    turned = [key for key in old if key in queues and old[key]["channel"] != queues[key]["channel"]]
    await tx.conn.execute(
        LOCK_QUEUES, sorted([*gone, *turned])
    )  # whoever is just putting a call into one of them is waited for
    busy = await tx.conn.fetch(
        "SELECT DISTINCT queue FROM work_items WHERE queue = ANY($1) AND state IN ('queued', 'external', 'offering', 'assigned', 'wrapping')",
        [*gone, *turned],
    )
    if busy:
        raise Conflict(
            f"Work is still in the queue(s) {', '.join(row['queue'] for row in busy)}; try again when they are empty."
        )
    await tx.conn.execute("UPDATE queues SET is_active = false, overflow_to = NULL WHERE key = ANY($1)", gone)
    for key, q in queues.items():
        await tx.conn.execute(
            UPSERT_QUEUE, key, q["name"], q["position"], q["within_s"], q["target"], q["short_abandon_s"], q["offer_timeout_s"],
            q["wrap_mode"], q["wrap_s"], q["pick"], q["zone"], q["pool_id"], q["max_waiting"], q["max_wait_s"], q["if_nobody"],
            q["wrap_extension_s"], q["default_disposition"], q["reject_s"], q["busy_s"], q["no_answer_s"],
            q["misses_before_not_responding"], q["channel"], q["drain_after_s"], q["overflow_voicemail"], q["calendar"],
            q["recording"],
        )  # fmt: skip
    for key, q in queues.items():  # all of them are there by now
        await tx.conn.execute(SET_OVERFLOW, key, q["overflow_to"])


async def _write_agents(
    tx: Tx, org: OrgFile, agents: dict[str, dict[str, Any]], queues: dict[str, dict[str, Any]], by: str
) -> None:
    await tx.conn.execute(LOCK_ALL_AGENTS)
    going = [row["id"] for row in await tx.conn.fetch(GOING_AGENTS, list(agents))]
    for agent_id in going:
        await routing.set_presence(tx, agent_id=agent_id, state="offline", reason="retired", by="cli", at_once=True)
    await tx.conn.execute(RETIRE_AGENTS, going)
    await tx.conn.execute("DELETE FROM agent_queues WHERE agent_id = ANY($1)", going)
    ids = []
    for agent in org.agents:
        user = await accounts.ensure_user(
            tx,
            email=agent.email,
            name=agent.name,
            role=agent.role,
            language=agent.language,
            actor=Actor("cli", name=by),
        )
        value = agents[agent.email]
        pool = queues[value["queues"][0][0]]["pool_id"] if value["queues"] else None
        await tx.conn.execute(
            UPSERT_AGENT,
            user.id,
            agent.name,
            value["skills"],
            value["total_units"],
            pool,
            value["max_calls"],
            value["max_calls_s"],
            value["skills_until"],
            value["weight"],
            value["ticket_cap"],
            value["shared_units"],
            value["voice_cost"],
            value["ticket_cost"],
            value["voice_interrupts"],
            value["ticket_interrupts"],
        )
        keys, ranks, delays = zip(*value["queues"], strict=True) if value["queues"] else ((), (), ())
        await tx.conn.execute(SET_QUEUES_OF_AGENT, user.id, keys, ranks, delays)
        ids.append(user.id)
    await tx.conn.execute(routing_sql.REFRESH_INTERVALS, ids, tx.now)
