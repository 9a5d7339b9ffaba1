"""Who is let in: calls while a number is closed, and calls of blocked numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from app.apply import apply
from app.org import OrgFile
from core.principal import Role
from simulator.provider.leg import Leg
from tests.integration.app.people import ask as ask_as
from tests.integration.app.people import people_at
from tests.integration.cti.payloads import new_sid, standard, status_callback
from tests.stack import CALLER, GERMAN, ORG, SUPPORT, Stack

ALWAYS: Final = {"mon-sun": ["00:00-24:00"]}


async def configure(stack: Stack, calendar: dict[str, Any], *, voicemail: dict[str, Any] | None = None) -> None:
    org = {
        **ORG,
        "calendars": [{"key": "office", "time_zone": "Asia/Shanghai", **calendar}],
        "numbers": [{**each, "calendar": "office", "voicemail": voicemail} for each in ORG["numbers"]],
    }
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test")
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)


async def outcome(stack: Stack, leg: Leg) -> tuple[str, str | None, str | None]:
    call = await stack.call(leg.sid)
    return call["state"], call["outcome"], call["ended_by"]


# --- hours -----------------------------------------------------------------------------------------------------------


async def test_who_calls_a_closed_number_hears_so_and_costs_nobody_anything(stack: Stack) -> None:
    await configure(stack, {"weekly": {}})
    leg = await stack.dial(to=GERMAN)
    await stack.until(lambda: leg.is_over)
    assert [heard.text for heard in leg.heard] == ["Wir sind im Moment nicht besetzt. Bitte rufen Sie während unserer Öffnungszeiten wieder an."]  # fmt: skip
    assert await outcome(stack, leg) == ("closed", "after_hours", "system")
    assert [await stack.count(table) for table in ("tickets", "work_items", "stints")] == [0, 0, 0]
    assert await stack.value("SELECT count(*) FROM events WHERE name = 'call.ended'") == 1


async def test_who_calls_while_it_is_open_is_served(stack: Stack) -> None:
    await configure(stack, {"weekly": ALWAYS})
    leg = await stack.dial()
    assert (await stack.call(leg.sid))["state"] == "queued"


async def test_a_holiday_is_one_at_the_place_of_the_number(stack: Stack) -> None:
    there = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    await configure(stack, {"weekly": ALWAYS, "holidays": [there]})
    leg = await stack.dial()
    assert (await stack.call(leg.sid))["outcome"] == "after_hours"
    await configure(stack, {"weekly": ALWAYS, "holidays": [there + timedelta(days=3)]})
    assert (await stack.call((await stack.dial()).sid))["state"] == "queued"
    await configure(stack, {"weekly": {}, "other_hours": {there: ["00:00-24:00"]}})
    assert (await stack.call((await stack.dial()).sid))["state"] == "queued"


async def test_a_closed_number_takes_messages_and_they_open_a_ticket(stack: Stack) -> None:
    await configure(stack, {"weekly": {}}, voicemail={})
    leg = await stack.dial()
    await stack.pass_time(14)
    leg.say("x" * 60)
    await stack.until(lambda: leg.is_over)
    assert leg.heard[0].text.startswith("We are closed at the moment")
    assert leg.heard[-1].text.startswith("Thank you")
    call = await stack.call(leg.sid)
    assert (call["outcome"], call["recorder_reason"], call["queue"]) == ("voicemail", "closed", "support")
    assert await stack.rows("SELECT state, queue FROM tickets") == [("new", "support")]
    assert await stack.count("work_items") == 0
    kinds = [row["kind"] for row in await stack.rows("SELECT kind FROM ticket_history ORDER BY id")]
    assert "voicemail_left" in kinds
    assert "call_ended" in kinds


async def test_who_says_nothing_to_a_closed_number_called_after_hours(stack: Stack) -> None:
    await configure(stack, {"weekly": {}}, voicemail={})
    leg = await stack.dial()
    await stack.until(lambda: leg.is_over)
    assert (await outcome(stack, leg))[1] == "after_hours"
    hurried = await stack.dial("+14155550166")
    hurried.leave()
    await stack.quiet()
    assert (await stack.call(hurried.sid))["state"] == "voicemail"
    await stack.fire("cti.voicemail")
    assert (await outcome(stack, hurried))[1] == "after_hours"
    assert await stack.count("tickets") == 0


async def test_messages_are_not_taken_after_hours_where_they_are_not_wanted(stack: Stack) -> None:
    await configure(stack, {"weekly": {}}, voicemail={"after_hours": False})
    leg = await stack.dial()
    await stack.until(lambda: leg.is_over)
    assert (await outcome(stack, leg))[1] == "after_hours"
    assert len(leg.heard) == 1


async def test_the_same_webhook_again_gets_the_same_word(stack: Stack) -> None:
    await configure(stack, {"weekly": {}})
    fields = standard(new_sid())
    answers = [
        (await stack.hook(path, fields)).text for path in ("/twilio/voice", "/twilio/voice", "/twilio/voice?r=1")
    ]
    assert len(set(answers)) == 1
    assert await stack.count("calls") == 1


@pytest.mark.parametrize("voicemail", [None, {}])
async def test_who_waits_when_the_hours_end_is_still_served_after_an_emergency(stack: Stack, voicemail: Any) -> None:
    await configure(stack, {"weekly": ALWAYS}, voicemail=voicemail)
    leg = await stack.dial()
    await configure(stack, {"weekly": {}}, voicemail=voicemail)
    for path in ("/twilio/voice?r=1", "/twilio/voice/fallback"):
        answer = await stack.hook(path, standard(leg.sid, status="in-progress"))
        assert "<Enqueue" in answer.text
        assert "<Hangup" not in answer.text
    assert (await stack.call(leg.sid))["state"] == "queued"


async def test_who_is_blocked_while_waiting_is_not_thrown_out_of_the_line(stack: Stack) -> None:
    leg = await stack.dial()
    await block(stack, CALLER)
    assert "<Enqueue" in (await stack.hook("/twilio/voice?r=1", standard(leg.sid, status="in-progress"))).text


# --- blocked -----------------------------------------------------------------------------------------------------------


async def block(stack: Stack, number: str, **more: Any) -> tuple[int, dict[str, Any]]:
    async with people_at(stack) as people:
        lead = await people.browser(Role.SUPERVISOR)
        body = {"number": number, "reason": "Threatens people", **more}
        status, answer, _ = await ask_as(lead, "POST", "/api/v1/blocked-numbers", body=body)
        return status, answer


@pytest.mark.parametrize(("typed", "region"), [("+1 (415) 555-0123", None), ("415.555.0123", "US")])
async def test_edge_case_41_a_blocked_number_is_rejected_first(stack: Stack, typed: str, region: str | None) -> None:
    status, added = await block(stack, typed, **({} if region is None else {"region": region}))
    assert (status, added["number"]) == (201, CALLER)
    leg = await stack.dial()
    assert (leg.status, leg.is_answered, list(leg.heard)) == ("busy", False, [])
    assert await outcome(stack, leg) == ("closed", "rejected_blocked", "system")
    await stack.hook("/twilio/status", status_callback(leg.sid, "busy"))
    assert await outcome(stack, leg) == ("closed", "rejected_blocked", "system"), "the callback leaves it blocked"
    assert await stack.count("tickets") == 0
    assert "<Reject" in (await stack.hook("/twilio/voice?r=1", standard(leg.sid))).text
    assert not (await stack.dial("+14155550124")).is_over, "nobody else is"
    assert not (await stack.dial("anonymous")).is_over


async def test_a_block_ends_by_its_time_or_by_hand(stack: Stack) -> None:
    _, added = await block(stack, CALLER, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await stack.dial()).is_over
    await stack.rows("UPDATE blocked_numbers SET expires_at = now() - interval '1 second' RETURNING 1")
    assert not (await stack.dial()).is_over
    status, again = await block(stack, CALLER)
    assert (status, again["id"], again["expires_at"]) == (201, added["id"], None), "one row for a number"
    assert (await stack.dial()).is_over
    async with people_at(stack) as people:
        lead = await people.browser(Role.SUPERVISOR)
        _, page, _ = await ask_as(lead, "GET", "/api/v1/blocked-numbers")
        assert [(row["number"], row["reason"]) for row in page["items"]] == [(CALLER, "Threatens people")]
        assert (await ask_as(lead, "DELETE", f"/api/v1/blocked-numbers/{added['id']}"))[0] == 204
        status, problem, _ = await ask_as(lead, "DELETE", f"/api/v1/blocked-numbers/{added['id']}")
        assert (status, problem["code"]) == (404, "not_blocked")
    assert not (await stack.dial()).is_over
    actions = await stack.rows("SELECT action FROM audit_log WHERE object_kind = 'blocked_number' ORDER BY id")
    assert [row["action"] for row in actions] == ["blocked_number.add", "blocked_number.add", "blocked_number.remove"]


async def test_what_cannot_be_blocked_is_said_with_its_field(stack: Stack) -> None:
    for number in ("415 555 0123", "anonymous", "+4930 1234567 p 12", SUPPORT, "client:agent_1"):
        status, problem = await block(stack, number)
        assert (status, problem["errors"][0]["field"]) == (422, "number"), number
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    status, problem = await block(stack, CALLER, expires_at=past)
    assert (status, problem["errors"][0]["field"]) == (422, "expires_at")
    assert await stack.count("blocked_numbers") == 0


async def test_the_list_comes_in_pages(stack: Stack) -> None:
    for n in range(3):
        await block(stack, f"+1415555013{n}")
    async with people_at(stack) as people:
        lead = await people.browser(Role.SUPERVISOR)
        _, first, _ = await ask_as(lead, "GET", "/api/v1/blocked-numbers?limit=2")
        _, rest, _ = await ask_as(lead, "GET", f"/api/v1/blocked-numbers?limit=2&cursor={first['next_cursor']}")
    numbers = [row["number"] for row in (*first["items"], *rest["items"])]
    assert numbers == ["+14155550132", "+14155550131", "+14155550130"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("(415) 555-01", ["+14155550123"]),
        ("030 90 18", ["+493090182099"]),
        ("+49", ["+493090182099"]),
        ("４９３０", ["+493090182099"]),
        ("Billing@", ["sip:billing@example.com"]),
        ("%", ["sip:billing@example.com", "+493090182099", "+14155550123"]),
        ("777", []),
    ],
)
async def test_a_number_is_found_by_a_part_of_it_in_any_spelling(stack: Stack, typed: str, found: list[str]) -> None:
    for number in (CALLER, "+493090182099", "sip:billing@example.com"):
        assert (await block(stack, number))[0] == 201
    async with people_at(stack) as people:
        lead = await people.browser(Role.SUPERVISOR)
        _, page, _ = await ask_as(lead, "GET", f"/api/v1/blocked-numbers?number={quote(typed)}")
    assert [row["number"] for row in page["items"]] == found
