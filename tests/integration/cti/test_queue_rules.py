"""What a queue says for itself: its hours, and whether its conversations are recorded, whatever its number says."""

from typing import Any, Final

import pytest

from app.apply import apply
from app.org import OrgFile
from simulator.provider.leg import Leg
from simulator.provider.recording import LegRecording
from tests.integration.cti.payloads import new_sid, standard, status_callback
from tests.stack import ORG, Stack

CALENDARS: Final = [{"key": "never", "weekly": {}}, {"key": "always", "weekly": {"mon-sun": ["00:00-24:00"]}}]
MENU: Final[dict[str, Any]] = {
    "key": "main",
    "prompt": {"en": "For support press 1, for sales press 2."},
    "options": [
        {"key": "help", "digit": "1", "queue": "support"},
        {"key": "buy", "digit": "2", "queue": "sales"},
    ],
    "default": "sales",
}
TOLD: Final = "This call will be recorded."


async def configure(
    stack: Stack, queues: dict[str, dict[str, Any]], *, menu: str | None = "main", **number: Any
) -> None:
    org = {
        **ORG,
        "calendars": CALENDARS,
        "menus": [MENU],
        "queues": [{**each, **queues.get(each["key"], {})} for each in ORG["queues"]],
        "numbers": [{**each, "menu": menu, **number} for each in ORG["numbers"]],
    }
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test")
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)


async def chooses(stack: Stack, digit: str) -> Leg:
    leg = await stack.dial()
    assert await stack.until(lambda: any("For support" in heard.text for heard in leg.heard))
    leg.press(digit)
    await stack.quiet()
    return leg


async def facts(stack: Stack, leg: Leg) -> tuple[str, str | None, str | None, str | None]:
    call = await stack.call(leg.sid)
    return call["state"], call["outcome"], call["queue"], call["menu_choice"]


# --- hours -------------------------------------------------------------------------------------------------------------


async def test_a_number_is_open_while_one_of_its_queues_is_closed(stack: Stack) -> None:
    await configure(stack, {"sales": {"calendar": "never"}, "support": {"calendar": "always"}})
    leg = await chooses(stack, "2")
    await stack.until(lambda: leg.is_over)
    assert leg.heard[-1].text.startswith("We are closed at the moment")
    assert await facts(stack, leg) == ("closed", "after_hours", "sales", "buy")
    assert [await stack.count(table) for table in ("tickets", "work_items", "stints")] == [0, 0, 0]
    assert await stack.rows("SELECT queue, outcome FROM missed_contacts") == [("sales", "after_hours")]
    other = await chooses(stack, "1")
    await stack.until(lambda: other.queue_name is not None)
    assert await facts(stack, other) == ("queued", None, "support", "help")


async def test_a_closed_queue_takes_messages_where_the_number_does_and_they_are_its_own(stack: Stack) -> None:
    await configure(stack, {"sales": {"calendar": "never"}}, voicemail={})
    leg = await chooses(stack, "2")
    await stack.until(lambda: any("leave a message" in heard.text for heard in leg.heard))
    assert await facts(stack, leg) == ("voicemail", None, "sales", "buy")
    await stack.pass_time(8)
    leg.say("x" * 60)
    await stack.until(lambda: leg.is_over)
    assert (await stack.call(leg.sid))["outcome"] == "voicemail"
    assert await stack.rows("SELECT state, queue FROM tickets") == [("new", "sales")]
    assert await stack.count("work_items") == 0


async def test_who_chooses_nothing_comes_to_a_closed_default_queue_as_to_any(stack: Stack) -> None:
    await configure(stack, {"sales": {"calendar": "never"}})
    leg = await stack.dial()
    await stack.until(lambda: leg.is_over)
    assert await facts(stack, leg) == ("closed", "after_hours", "sales", None)


async def test_a_number_without_menu_is_as_closed_as_its_queue(stack: Stack) -> None:
    await configure(stack, {"support": {"calendar": "never"}}, menu=None)
    leg = await stack.dial()
    await stack.until(lambda: leg.is_over)
    assert (await stack.call(leg.sid))["outcome"] == "after_hours"
    await configure(stack, {"support": {"calendar": "always"}}, menu=None, calendar="never")
    leg = await stack.dial()
    await stack.until(lambda: leg.is_over)
    assert (await stack.call(leg.sid))["outcome"] == "after_hours", "both must be open"


async def test_the_same_choice_twice_is_closed_once_and_a_caller_who_asks_again_hears_so(stack: Stack) -> None:
    await configure(stack, {"sales": {"calendar": "never"}})
    sid = new_sid()
    await stack.hook("/twilio/voice", standard(sid))
    chosen = standard(sid, status="in-progress", Digits="2")
    answers = [(await stack.hook("/twilio/ivr?n=0", chosen)).text for _ in range(2)]
    assert answers[0] == answers[1]
    assert "<Hangup" in answers[0]
    again = (await stack.hook("/twilio/voice?r=1", standard(sid, status="in-progress"))).text
    assert "We are closed" in again
    await stack.hook("/twilio/status", status_callback(sid))
    assert (await stack.call(sid))["outcome"] == "after_hours"


async def test_who_waits_when_the_hours_of_the_queue_end_is_still_served(stack: Stack) -> None:
    await configure(stack, {"support": {"calendar": "always"}}, menu=None)
    leg = await stack.dial()
    await configure(stack, {"support": {"calendar": "never"}}, menu=None)
    answer = await stack.hook("/twilio/voice?r=1", standard(leg.sid, status="in-progress"))
    assert "<Enqueue" in answer.text
    assert (await stack.call(leg.sid))["state"] == "queued"


# --- recording ---------------------------------------------------------------------------------------------------------


def said(leg: Leg) -> int:
    return [heard.text for heard in leg.heard].count(TOLD)


async def is_recorded(stack: Stack, leg: Leg) -> bool:
    """Once somebody talks with the caller."""
    await stack.pass_time(12)
    ava = await stack.agent("ava")
    await ava.take()
    recordings = [each for each in stack.exchange.recordings.values() if isinstance(each, LegRecording)]
    return any(each.call_sid == leg.sid and each.status == "in-progress" for each in recordings)


async def test_a_queue_that_records_tells_who_has_chosen_it_and_nobody_else(stack: Stack) -> None:
    await configure(stack, {"sales": {"recording": {"keep_days": 7}}})
    leg = await chooses(stack, "2")
    assert await is_recorded(stack, leg)
    assert said(leg) == 1
    assert await stack.value("SELECT keep_until::date - created_at::date FROM recordings") == 7
    assert await stack.value("SELECT count(*) FROM recordings WHERE heard_at IS NULL") == 0


async def test_the_other_queue_of_that_number_is_not_recorded(stack: Stack) -> None:
    await configure(stack, {"sales": {"recording": {}}})
    leg = await chooses(stack, "1")
    assert not await is_recorded(stack, leg)
    assert said(leg) == 0
    assert await stack.count("recordings") == 0


async def test_a_queue_may_not_be_recorded_though_its_number_is(stack: Stack) -> None:
    await configure(stack, {"support": {"recording": False}}, recording={})
    leg = await chooses(stack, "1")
    assert not await is_recorded(stack, leg)
    assert await stack.count("recordings") == 0


async def test_a_queue_that_is_never_recorded_is_not_however_the_call_came_there(stack: Stack) -> None:
    await configure(stack, {"sales": {"recording": False}}, recording={})
    await chooses(stack, "1")
    await stack.pass_time(12)
    ava = await stack.agent("ava")
    call_id, _ = await ava.take()
    assert [each.status for each in stack.exchange.recordings.values()] == ["in-progress"]
    status, answer = await ava.ask("POST", f"/calls/{call_id}/transfer", {"queue": "sales"})
    assert status == 200, answer
    await stack.quiet()
    ben = await stack.agent("ben")
    await ben.take()
    assert [each.status for each in stack.exchange.recordings.values()] == ["paused"]
    assert (await ben.ask("GET", "/desk"))[1]["calls"][0]["recording"] is None
    assert (await ben.ask("POST", f"/calls/{call_id}/recording/resume"))[0] == 409
    status, answer = await ben.ask("POST", f"/calls/{call_id}/transfer", {"queue": "support"})
    assert status == 200, answer
    await stack.quiet()
    await (await stack.agent("chen")).take()
    assert [each.status for each in stack.exchange.recordings.values()] == ["in-progress"]


async def test_a_queue_keeps_what_is_recorded_as_long_as_it_says(stack: Stack) -> None:
    await configure(stack, {"support": {"recording": {"keep_days": 7, "pause_on_hold": False}}}, recording={})
    leg = await chooses(stack, "1")
    assert await is_recorded(stack, leg)
    assert said(leg) == 1, "before the menu; not once more"
    rows = await stack.rows("SELECT keep_until::date - created_at::date AS days, pause_on_hold FROM recordings")
    assert rows == [(7, False)]


@pytest.mark.parametrize("settings", [False, {"decline_key": "9"}])
async def test_without_a_menu_the_word_of_the_queue_counts_from_the_greeting_on(stack: Stack, settings: Any) -> None:
    await configure(stack, {"support": {"recording": settings}}, menu=None, recording={})
    leg = await stack.dial()
    await stack.pass_time(12)
    assert any("press 9" in heard.text for heard in leg.heard) is (settings is not False)
    assert said(leg) == 0
    assert await is_recorded(stack, leg) is (settings is not False)


async def test_who_has_chosen_a_queue_that_records_may_decline_by_its_key(stack: Stack) -> None:
    await configure(stack, {"sales": {"recording": {"decline_key": "9"}}})
    leg = await chooses(stack, "2")
    await stack.until(lambda: any("press 9" in heard.text for heard in leg.heard), 20)
    leg.press("9")
    assert not await is_recorded(stack, leg)
    assert await stack.rows("SELECT state FROM recordings") == [("declined",)]


async def test_who_is_taken_before_having_heard_it_hears_it_on_the_way(stack: Stack) -> None:
    await configure(stack, {"sales": {"recording": {}}})
    ava = await stack.agent("ava")
    leg = await chooses(stack, "2")
    await ava.take()
    assert stack.exchange.recordings == {}, "not before it is said to its end"
    await stack.pass_time(8)
    assert leg.heard[-1].text == TOLD
    assert leg.is_talking
    assert len(stack.exchange.recordings) == 1
