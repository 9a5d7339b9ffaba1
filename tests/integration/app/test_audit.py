"""No row, no deed: every command of API and command line leaves its row in the audit log, with who and which request."""

import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from app import cli
from app.web import OPERATIONS
from core.principal import Role
from simulator.provider.recording import Recording
from tests import builders
from tests.command import run
from tests.integration.app.people import People, ask
from tests.integration.cti.test_voicemail import configure, recorded_fields, recording_caller
from tests.stack import ACCOUNT, Agent, Stack

Given = tuple[str, Any]
ROOT = Path(__file__).resolve().parents[3]
TODAY = datetime.now(UTC).date()


@dataclass
class World:
    """Ava is at her desk; each arrangement says which path and body make its command succeed."""

    stack: Stack
    people: People
    ava: Agent

    async def offer(self) -> int:
        await self.stack.dial(f"+1415555{self._next():04}")
        return await self.ava.offer()

    async def call(self) -> int:
        return await self.ava.accept(await self.offer())

    async def ticket(self) -> dict[str, Any]:
        _, ticket, _ = await ask(self.ava.browser, "POST", "/api/v1/tickets", body={"subject": "x", "queue": "support"})
        return ticket

    async def customer(self) -> int:
        async with self.stack.parts.resources.outbox.transaction() as tx:
            return (await builders.a_customer(tx)).id

    async def hold(self, who: ClientSession, *, is_held: bool) -> dict[str, Any]:
        path, body = await _hold(self, is_held=is_held)
        status, held, _ = await ask(who, "PUT", f"/api/v1{path}", body=body)
        assert status == 200, held
        return held

    lead: ClientSession | None = None
    """Who commands, where the arrangement needed the same person."""
    _count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count


async def _log_in(w: World) -> Given:
    async with w.stack.parts.resources.outbox.transaction() as tx:
        await builders.a_user(tx, email="new@example.com", password=builders.PASSWORD)
    return "/session", {"email": "new@example.com", "password": builders.PASSWORD}


async def _with_ticket(w: World, suffix: str, body: dict[str, Any], *, versioned: bool = True) -> Given:
    ticket = await w.ticket()
    return f"/tickets/{ticket['id']}{suffix}", body | ({"version": ticket["version"]} if versioned else {})


async def _with_call(w: World, suffix: str, body: Any) -> Given:
    return f"/calls/{await w.call()}{suffix}", body


async def _hang_up(w: World) -> Given:
    call_id = await w.call()
    await w.ava.pick_up(call_id)
    return f"/calls/{call_id}/hangup", {}


async def _talking(w: World, act: str, body: Any = None) -> Given:
    call_id = await w.call()
    await w.ava.pick_up(call_id)
    return f"/calls/{call_id}/{act}", body or {}


async def _recorded(w: World, act: str) -> Given:
    await w.stack.rows("UPDATE numbers SET recording = $1 RETURNING 1", {"keep_days": 30})
    await w.stack.parts.telephony.lines.refresh(w.stack.parts.resources.database)
    given = await _talking(w, f"recording/{act}")
    await w.stack.pass_time(8)  # the caller hears of it first
    return given


async def _hear_recording(w: World) -> Given:
    path, _ = await _recorded(w, "pause")
    await w.ava.ask("POST", path.replace("recording/pause", "hangup"), {})
    await w.stack.quiet()
    return f"/recordings/{await w.stack.value('SELECT id FROM recordings')}/audio", None


async def _delete_recording(w: World) -> Given:
    await _recorded(w, "pause")
    return f"/recordings/{await w.stack.value('SELECT id FROM recordings')}", None


async def _with_telephone(w: World) -> None:
    await w.stack.rows(
        "INSERT INTO agent_telephones (agent_id, address) VALUES ($1, '+4915112345678') RETURNING 1", w.ava.id
    )


async def _reach(w: World) -> Given:
    await _with_telephone(w)
    return "/presence/reach", {"by": "telephone"}


async def _at_telephone(w: World, act: str) -> Given:
    path, body = await _reach(w)
    assert (await w.ava.ask("PUT", path, body))[0] == 200
    leg = await w.stack.dial()
    call_id = await w.ava.accept(await w.ava.offer())
    assert await w.stack.until(lambda: leg.is_talking, 30)
    return f"/calls/{call_id}/{act}", None


async def _consulting(w: World, act: str) -> Given:
    path, _ = await _talking(w, "consult")
    ben = await w.stack.agent("ben")
    assert (await w.ava.ask("POST", path, {"agent_id": ben.id}))[0] == 200
    await w.stack.quiet()
    await ben.take_pending()
    return f"{path}/{act}", {}


async def _complete_consult(w: World) -> Given:
    return await _consulting(w, "complete")


async def _end_consult(w: World) -> Given:
    return await _consulting(w, "end")


async def _wrap_up(w: World) -> Given:
    call_id = await w.call()
    await w.ava.pick_up(call_id)
    return f"/calls/{call_id}/wrap-up", {"note": "x"}


async def _extend_wrap_up(w: World) -> Given:
    path, _ = await _hang_up(w)
    assert (await w.ava.ask("POST", path, {}))[0] == 200
    await w.stack.quiet()
    return path.replace("hangup", "wrap-up/extend"), {}


async def _set_result(w: World) -> Given:
    path, _ = await _hang_up(w)
    assert (await w.ava.ask("POST", path, {}))[0] == 200
    await w.stack.quiet()
    assert (await w.ava.ask("POST", path.replace("hangup", "wrap-up"), {}))[0] == 200
    return path.replace("hangup", "result"), {"disposition": None}


async def _request_wrap_up(w: World) -> Given:
    await w.stack.rows("UPDATE queues SET wrap_mode = 'on_request' RETURNING key")
    return await _with_call(w, "/wrap-up/request", {"is_wanted": True})


async def _choose_customer(w: World) -> Given:
    return f"/calls/{await w.call()}/customer", {"customer_id": await w.customer()}


async def _choose_ticket(w: World) -> Given:
    return f"/calls/{await w.call()}/ticket", {"ticket_id": (await w.ticket())["id"]}


async def _change_customer(w: World) -> Given:
    return f"/customers/{await w.customer()}", {"version": 1, "company": "Lopez & Co"}


async def _fixed(path: str, body: Any) -> Given:
    return path, body


async def _offer(w: World, act: str) -> Given:
    return f"/offers/{await w.offer()}/{act}", {}


async def _rank(w: World) -> Given:
    offer_id = await w.offer()
    row = await w.stack.rows(
        "SELECT i.id, i.version FROM work_items i JOIN offers o ON o.work_item_id = i.id WHERE o.id = $1", offer_id
    )
    return f"/work-items/{row[0]['id']}", {"tier": 1, "version": row[0]["version"]}


async def _waiting(w: World) -> dict[str, Any]:
    """Somebody waits whom nobody has been asked to take: the queue is held meanwhile."""
    w.lead = await w.people.browser(Role.ADMIN)
    await w.hold(w.lead, is_held=True)
    await w.stack.dial(f"+1415555{w._next():04}")
    (row,) = await w.stack.rows("SELECT id, version FROM work_items WHERE state = 'queued'")
    return dict(row)


async def _push(w: World) -> Given:
    item = await _waiting(w)
    return f"/work-items/{item['id']}/push", {"agent_id": w.ava.id, "version": item["version"]}


async def _pick(w: World) -> Given:
    item = await _waiting(w)
    assert w.lead is not None
    path, body = await _force(w, "break")
    status, _, _ = await ask(w.lead, "PUT", f"/api/v1{path}", body=body)
    assert status == 200
    await w.hold(w.lead, is_held=False)
    return f"/work-items/{item['id']}/pick", {"version": item["version"]}


async def _force(w: World, state: str) -> Given:
    (row,) = await w.stack.rows("SELECT presence_version FROM agents WHERE id = $1", w.ava.id)
    return f"/agents/{w.ava.id}/presence", {"state": state, "version": row["presence_version"]}


async def _hold(w: World, *, is_held: bool = False) -> Given:
    (row,) = await w.stack.rows("SELECT hold_version FROM queues WHERE key = 'support'")
    return "/queues/support/hold", {"is_held": is_held, "version": row["hold_version"]}


async def _undo(w: World) -> Given:
    path, body = await _pick(w)
    status, taken, _ = await ask(w.ava.browser, "POST", f"/api/v1{path}", body=body)
    assert status == 200, taken
    return f"/acts/{taken['undo']['id']}/undo", {}


async def _unblock(w: World) -> Given:
    browser = await w.people.browser(Role.ADMIN)
    _, added, _ = await ask(browser, "POST", "/api/v1/blocked-numbers", body={"number": "+14155550188", "reason": "x"})
    return f"/blocked-numbers/{added['id']}", None


async def _message(w: World, suffix: str) -> Given:
    await configure(w.stack)
    sid = await recording_caller(w.stack)
    sound = w.stack.exchange
    made = Recording(sound.chance.sid("recording"), sid, ACCOUNT, sound.clock.now(), 2)
    sound.keep_recording(made)
    await w.stack.hook("/twilio/recording", recorded_fields(sid, made.sid))
    await w.stack.quiet()
    return f"/voicemails/{await w.stack.value('SELECT id FROM voicemails')}{suffix}", None


async def _revoke_wallboard(w: World) -> Given:
    w.lead = await w.people.browser(Role.ADMIN)
    _, made, _ = await ask(w.lead, "POST", "/api/v1/wallboards", body={"label": "Hall"})
    return f"/wallboards/{made['id']}", None


async def _many(world: World) -> Given:
    ticket = await world.ticket()
    row = {"id": ticket["id"], "version": ticket["version"]}
    return "/ticket-acts", {"rows": [row], "change": {"priority": "high"}}


async def _undo_many(world: World) -> Given:
    path, body = await _many(world)
    _, done = await world.ava.ask("POST", path, body)
    return f"{path}/{done['act']}/undo", {}


async def _view(world: World, body: dict[str, Any] | None) -> Given:
    _, made = await world.ava.ask("POST", "/ticket-views", {"name": "Mine", "query": {}})
    return f"/ticket-views/{made['id']}", body


async def _missed(w: World) -> dict[str, Any]:
    leg = await w.stack.dial()
    leg.leave()
    await w.stack.quiet()
    _, page = await w.ava.ask("GET", "/missed-contacts")
    item: dict[str, Any] = page["items"][0]
    return item


async def _own_missed(w: World) -> Given:
    return f"/missed-contacts/{(await _missed(w))['id']}/owner", {"agent_id": w.ava.id}


async def _finish_missed(w: World) -> Given:
    item = await _missed(w)
    seen = {"id": item["id"], "version": item["version"]}
    return "/missed-contacts/done", {"items": [seen], "result": "no_need"}


async def _reopen_missed(w: World) -> Given:
    path, body = await _finish_missed(w)
    _, done = await w.ava.ask("POST", path, body)
    return "/missed-contacts/reopen", {"items": done["changed"]}


async def _off_do_not_call(w: World) -> Given:
    browser = await w.people.browser(Role.ADMIN)
    _, added, _ = await ask(browser, "POST", "/api/v1/do-not-call", body={"number": "+14155550188", "reason": "x"})
    return f"/do-not-call/{added['id']}", None


EXAMPLES: dict[str, Callable[[World], Awaitable[Given]]] = {
    "log_in": _log_in,
    "log_out": lambda w: _fixed("/session", None),
    "realtime_ticket": lambda w: _fixed("/realtime-ticket", {}),
    "issue_voice_token": lambda w: _fixed("/voice-token", {}),
    "hang_up": _hang_up,
    "hold_call": lambda w: _talking(w, "hold"),
    "transfer_call": lambda w: _talking(w, "transfer", {"queue": "sales", "note": "x"}),
    "consult_about_call": lambda w: _talking(w, "consult", {"queue": "sales", "note": "x"}),
    "complete_consult": _complete_consult,
    "end_consult": _end_consult,
    "mute_own_telephone": lambda w: _at_telephone(w, "mute"),
    "unmute_own_telephone": lambda w: _at_telephone(w, "unmute"),
    "set_own_reach": _reach,
    "resume_call": lambda w: _talking(w, "resume"),
    "save_note": lambda w: _with_call(w, "/note", {"body": "x", "version": 0}),
    "wrap_up": _wrap_up,
    "extend_wrap_up": _extend_wrap_up,
    "set_result": _set_result,
    "save_keys": lambda w: _fixed("/keys", {"version": 0, "is_off": False, "bindings": {}}),
    "request_wrap_up": _request_wrap_up,
    "choose_customer": _choose_customer,
    "choose_ticket": _choose_ticket,
    "accept_offer": lambda w: _offer(w, "accept"),
    "reject_offer": lambda w: _offer(w, "reject"),
    "set_own_presence": lambda w: _fixed("/presence", {"state": "break", "reason": "tea"}),
    "force_presence": lambda w: _force(w, "offline"),
    "rank_work_item": _rank,
    "push_work_item": _push,
    "pick_work_item": _pick,
    "hold_queue": _hold,
    "undo_act": _undo,
    "make_call": lambda w: _fixed("/calls", {"to": "+14155550144"}),
    "add_do_not_call": lambda w: _fixed("/do-not-call", {"number": "+14155550177", "reason": "x"}),
    "remove_do_not_call": _off_do_not_call,
    "set_missed_contact_owner": _own_missed,
    "finish_missed_contacts": _finish_missed,
    "reopen_missed_contacts": _reopen_missed,
    "add_rule_set": lambda w: _fixed("/rulesets", {"rules": [{"name": "all"}]}),
    "publish_rule_set": lambda w: _fixed("/rulesets/1/publish", {}),
    "roll_back_rule_set": lambda w: _fixed("/rulesets/1/roll-back", {}),
    "re_evaluate_waiting": lambda w: _fixed("/rulesets/1/re-evaluate", {}),
    "create_ticket": lambda w: _fixed("/tickets", {"subject": "x", "queue": "support"}),
    "change_ticket": lambda w: _with_ticket(w, "", {"priority": "high"}),
    "add_ticket_note": lambda w: _with_ticket(w, "/notes", {"body": "x"}, versioned=False),
    "assign_ticket": lambda w: _with_ticket(w, "/assign", {"agent_id": w.ava.id}),
    "change_many_tickets": _many,
    "undo_ticket_act": _undo_many,
    "create_ticket_view": lambda w: _fixed("/ticket-views", {"name": "Urgent", "query": {"priority": ["urgent"]}}),
    "change_ticket_view": lambda w: _view(w, {"version": 1, "name": "Now"}),
    "delete_ticket_view": lambda w: _view(w, None),
    "create_customer": lambda w: _fixed("/customers", {"name": "Maria Lopez"}),
    "change_customer": _change_customer,
    "hear_voicemail": lambda w: _message(w, "/audio"),
    "block_number": lambda w: _fixed("/blocked-numbers", {"number": "+14155550188", "reason": "x"}),
    "unblock_number": _unblock,
    "pause_recording": lambda w: _recorded(w, "pause"),
    "resume_recording": lambda w: _recorded(w, "resume"),
    "hear_recording": _hear_recording,
    "delete_recording": _delete_recording,
    "delete_voicemail": lambda w: _message(w, ""),
    "create_wallboard": lambda w: _fixed("/wallboards", {"label": "Hall"}),
    "revoke_wallboard": _revoke_wallboard,
}
COMMANDS = {operation.name: operation for operation in OPERATIONS if operation.is_command}


def test_every_command_has_its_example() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_command_leaves_its_row(stack: Stack, people: People, name: str) -> None:
    operation = COMMANDS[name]
    world = World(stack, people, await stack.agent("ava"))
    path, body = await EXAMPLES[name](world)
    browser = world.ava.browser
    if Role.AGENT not in operation.roles and name != "log_in":
        browser = world.lead or await people.browser(Role.ADMIN)
    if name == "log_in":
        browser = people.nobody
    request_id = f"request-{name}"
    headers = {"X-Request-Id": request_id}
    status, answer, _ = await ask(browser, operation.method, f"/api/v1{path}", body=body, headers=headers)
    assert status in (200, 201, 204), answer
    rows = await stack.rows("SELECT actor_kind, actor_id, action FROM audit_log WHERE request_id = $1", request_id)
    assert rows, f"{operation.method} {operation.path} leaves no row"
    assert {row["actor_kind"] for row in rows} <= {"user", "system"}
    assert any(row["actor_kind"] == "user" and row["actor_id"] is not None for row in rows)
    await stack.quiet()


async def test_refused_command_leaves_no_row(stack: Stack, people: People) -> None:
    agent = await people.browser(name="ava")
    before = await stack.count("audit_log")
    for path, body in (("/tickets", {"subject": "", "queue": "support"}), ("/offers/1/accept", {}), ("/rulesets", {})):
        assert (await ask(agent, "POST", f"/api/v1{path}", body=body))[0] >= 400
    assert await stack.count("audit_log") == before


async def test_command_whose_audit_fails_does_not_happen(
    stack: Stack, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await people.browser(name="ava")

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("routing.http.audit", fail)
    before = await stack.value("SELECT presence FROM agents JOIN users USING (id) WHERE email = 'ava@example.com'")
    assert (await ask(agent, "PUT", "/api/v1/presence", body={"state": "break"}))[0] == 500
    after = await stack.value("SELECT presence FROM agents JOIN users USING (id) WHERE email = 'ava@example.com'")
    assert after == before


# --- the command line ----------------------------------------------------------------------------------------------

CLI: dict[str, tuple[str, ...]] = {
    "config.apply": ("apply", "demo/org.yaml", "--replace-rules"),
    "user.create": ("user", "add", "new@example.com", "New Person"),
    "user.set_password": ("user", "set-password", "ava@example.com", "--stdin"),
    "user.disable": ("user", "disable", "ava@example.com"),
    "delivery.replay": ("deliveries", "replay"),
    "ruleset.publish": ("rules", "publish", "1"),
    "ruleset.roll_back": ("rules", "roll-back", "1"),
    "ruleset.re_evaluate": ("rules", "re-evaluate", "1"),
    "blocked_number.add": ("block", "add", "+14155550188", "--reason", "x"),
    "do_not_call.add": ("do-not-call", "add", "+14155550188", "--reason", "x"),
    "figures.recompute": ("figures", "recompute", "--from", f"{TODAY}", "--to", f"{TODAY + timedelta(days=1)}"),
}
WITHOUT = {
    "up", "web", "worker", "migrate", "demo-data", "simulate", "settings", "schema", "apply --dry-run", "deliveries parked",
    "customers import", "user token", "user enable", "token", "rules list", "rules show", "block list", "do-not-call list", "rules dry-run", "rules check", "rules import-taskrouter",
}  # fmt: skip
"""Serving, looking, and the schema itself; nobody's data."""
ELSEWHERE = {"backup", "restore", "rules add", "block remove", "do-not-call remove", "doctor"}
"""Their rows are asked for in tests/e2e/test_restore_drill.py, tests/integration/app/test_doctor.py (with --fix), tests/integration/routing/test_re_evaluate.py and below."""


@pytest.mark.parametrize("action", CLI)
async def test_command_line_leaves_its_row(
    stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct-horse-battery-44\n"))
    assert await run(*CLI[action]) == 0
    row = await stack.rows("SELECT actor_kind, actor_name FROM audit_log WHERE action = $1", action)
    assert [each["actor_kind"] for each in row] == ["cli"] * len(row)
    assert row
    assert row[0]["actor_name"]
    await stack.repeat()  # what the command caused is carried on by the service


async def test_what_was_blocked_is_let_in_again_by_any_spelling(
    stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    assert await run("block", "add", "+14155550188", "--reason", "rings all night", "--days", "30") == 0
    assert await run("block", "list") == 0
    assert "+14155550188" in capsys.readouterr().out
    assert await run("block", "remove", "(415) 555-0188", "--region", "US") == 0
    assert await run("block", "remove", "+14155550188") == 1
    rows = await stack.rows("SELECT actor_kind FROM audit_log WHERE action = 'blocked_number.remove'")
    assert rows == [("cli",)]


async def test_a_number_leaves_the_do_not_call_list_by_any_spelling(
    stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    assert await run("do-not-call", "add", "+14155550188", "--reason", "asked us to", "--days", "30") == 0
    assert await run("do-not-call", "list") == 0
    assert "asked us to" in capsys.readouterr().out
    assert await run("do-not-call", "remove", "(415) 555-0188", "--region", "US") == 0
    assert await run("do-not-call", "remove", "+14155550188") == 1
    rows = await stack.rows("SELECT actor_kind FROM audit_log WHERE action = 'do_not_call.remove'")
    assert rows == [("cli",)]


async def test_dry_run_changes_nothing(stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGDESK_DATABASE_URL", database_url)
    monkeypatch.chdir(ROOT)
    before = await stack.count("audit_log"), await stack.count("queues"), await stack.count("users")
    assert await run("apply", "demo/org.yaml", "--dry-run", "--replace-rules") == 0
    assert (await stack.count("audit_log"), await stack.count("queues"), await stack.count("users")) == before


def test_every_command_of_the_command_line_is_accounted_for() -> None:
    known = {
        " ".join(words[:2])
        if words[0] in ("user", "deliveries", "rules", "figures", "block", "do-not-call")
        else words[0]
        for words in CLI.values()
    }
    assert set(cli_commands()) <= known | WITHOUT | ELSEWHERE


def cli_commands() -> list[str]:
    """`up`, `user add`, …"""
    found = []
    for name, command in cli.app.resolved_commands().items():
        if name.startswith("-"):
            continue
        inner = [each for each in command.resolved_commands() if not each.startswith("-")]
        found += [f"{name} {each}" for each in inner] or [name]
    return found
