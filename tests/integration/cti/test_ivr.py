"""The menu before the line: chosen by key or word, not understood, given up, asked twice."""

import re
from typing import Any, Final

import pytest

from app.apply import apply
from app.org import OrgFile
from core.principal import Role
from tests.integration.app.people import ask, people_at
from tests.integration.cti.payloads import new_sid, standard, status_callback
from tests.stack import GERMAN, ORG, SUPPORT, Stack

MENU: Final[dict[str, Any]] = {
    "key": "main",
    "prompt": {"en": "For billing press 1, for sales press 2, for a message press 9.", "de": "Für Rechnungen die 1."},
    "options": [
        {"key": "billing", "digit": "1", "queue": "support", "words": ["billing", "Rechnung"]},
        {"key": "sales", "digit": "2", "queue": "sales", "words": ["sales"]},
        {"key": "message", "digit": "9", "voicemail": True},
    ],
    "default": "de",
}


async def configure(
    stack: Stack,
    *,
    menu: str | None = "main",
    rules: list[dict[str, Any]] | None = None,
    menus: list[dict[str, Any]] | None = None,
) -> None:
    org = {
        **ORG,
        "menus": menus or [MENU],
        "numbers": [{**each, "menu": menu} for each in ORG["numbers"]],
        "rules": rules or [{"name": "all"}],
    }
    async with stack.parts.resources.outbox.transaction() as tx:
        await apply(tx, OrgFile.model_validate(org), by="test", replace_rules=True)
    await stack.parts.telephony.lines.refresh(stack.parts.resources.database)


async def facts(stack: Stack, sid: str) -> tuple[str, str | None, str | None]:
    call = await stack.call(sid)
    return call["state"], call["queue"], call["menu_choice"]


async def test_a_key_leads_to_its_queue_and_is_written_down(stack: Stack) -> None:
    await configure(stack)
    leg = await stack.dial()
    assert await facts(stack, leg.sid) == ("ivr", None, None)
    assert await stack.count("tickets") == 0
    await stack.pass_time(8)
    leg.press("2")
    await stack.pass_time(2)
    assert await facts(stack, leg.sid) == ("queued", "sales", "sales")
    said = [heard.text for heard in leg.heard]
    assert said[0].startswith("Welcome")
    assert said[1].startswith("For billing press 1")
    assert await stack.value("SELECT queue FROM work_items") == "sales"
    assert await stack.value("SELECT facts ->> 'call.menu_choice' FROM work_items") == "sales"


async def test_a_word_leads_there_too_and_rules_may_ask_for_the_choice(stack: Stack) -> None:
    rule = {
        "name": "bills first",
        "when": {"field": "call.menu_choice", "op": "==", "value": "billing"},
        "then": {"tier": 1},
    }
    await configure(stack, rules=[rule, {"name": "all"}])
    leg = await stack.dial(to=GERMAN)
    leg.say("Meine Rechnung stimmt nicht")
    await stack.pass_time(10)
    assert await facts(stack, leg.sid) == ("queued", "support", "billing")
    assert await stack.rows("SELECT rule, tier FROM work_items") == [("bills first", 1)]


async def test_a_choice_may_be_the_recorder(stack: Stack) -> None:
    await configure(stack)
    leg = await stack.dial()
    leg.press("9")
    await stack.pass_time(8)
    assert await facts(stack, leg.sid) == ("voicemail", "support", "message")
    leg.say("x" * 60)
    await stack.until(lambda: leg.is_over)
    assert (await stack.call(leg.sid))["outcome"] == "voicemail"
    assert await stack.count("work_items") == 0


@pytest.mark.parametrize("entered", ["nothing", "7", "nonsense"])
async def test_edge_case_45_two_repeats_then_the_default_queue(stack: Stack, entered: str) -> None:
    await configure(stack)
    leg = await stack.dial()

    def played() -> int:
        return sum("For billing" in heard.text for heard in leg.heard)

    for times in (1, 2, 3):
        assert await stack.until(lambda times=times: played() == times)  # type: ignore[misc]
        assert await facts(stack, leg.sid) == ("ivr", None, None)
        if entered == "7":
            leg.press(entered)
        elif entered != "nothing":
            leg.say(entered)
    await stack.until(lambda: leg.queue_name is not None)
    assert await facts(stack, leg.sid) == ("queued", "de", None)
    said = [heard.text for heard in leg.heard]
    assert sum(text.startswith("We did not understand") for text in said) == 2
    assert played() == 3


async def test_edge_case_1_who_gives_up_in_the_menu_cost_nobody_anything(stack: Stack) -> None:
    await configure(stack)
    leg = await stack.dial()
    await stack.pass_time(3)
    leg.leave()
    await stack.quiet()
    call = await stack.call(leg.sid)
    assert (call["state"], call["outcome"], call["ended_by"]) == ("closed", "abandoned_ivr", "customer")
    assert [await stack.count(table) for table in ("tickets", "work_items", "stints")] == [0, 0, 0]
    late = await stack.hook("/twilio/ivr?n=0", standard(leg.sid, status="completed", Digits="1"))
    assert "<Enqueue" not in late.text
    assert (await stack.call(leg.sid))["outcome"] == "abandoned_ivr"


async def test_the_same_answer_twice_and_a_second_choice_change_nothing(stack: Stack) -> None:
    await configure(stack)
    sid = new_sid()
    first = await stack.hook("/twilio/voice", standard(sid))
    assert "<Gather" in first.text
    assert (await stack.hook("/twilio/voice", standard(sid))).text == first.text
    fields = standard(sid, status="in-progress", Digits="1")
    answers = [(await stack.hook("/twilio/ivr?n=0", fields)).text for _ in range(2)]
    assert answers[0] == answers[1]
    assert "<Enqueue" in answers[0]
    other = await stack.hook("/twilio/ivr?n=0", standard(sid, status="in-progress", Digits="2"))
    assert "<Enqueue" in other.text
    assert await facts(stack, sid) == ("queued", "support", "billing")
    assert await stack.count("work_items") == 1


async def test_the_end_may_be_heard_of_first_and_a_menu_taken_away_meanwhile(stack: Stack) -> None:
    await configure(stack)
    gone, waiting = new_sid(), new_sid()
    await stack.hook("/twilio/status", status_callback(gone))
    await stack.hook("/twilio/voice", standard(gone))
    assert (await stack.call(gone))["outcome"] == "abandoned_ivr"
    await stack.hook("/twilio/voice", standard(waiting))
    assert "<Gather" in (await stack.hook("/twilio/voice?r=1", standard(waiting, status="in-progress"))).text
    await configure(stack, menu=None)
    answer = await stack.hook("/twilio/ivr?n=0", standard(waiting, status="in-progress", Digits="2"))
    assert "<Enqueue" in answer.text
    assert await facts(stack, waiting) == ("queued", "support", None)


async def test_who_has_chosen_is_not_asked_again_after_an_emergency(stack: Stack) -> None:
    await configure(stack)
    sid = new_sid()
    await stack.hook("/twilio/voice", standard(sid))
    await stack.hook("/twilio/ivr?n=0", standard(sid, status="in-progress", Digits="1"))
    answer = await stack.hook("/twilio/voice?r=1", standard(sid, status="in-progress"))
    assert "<Enqueue" in answer.text
    assert "<Gather" not in answer.text


async def test_the_reconciler_finds_who_gave_up_unheard(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.reconcile.MIN_AGE_S", 0)
    await configure(stack)
    sid = new_sid()  # the provider knows of no such call: it is over
    await stack.hook("/twilio/voice", standard(sid, to=SUPPORT))
    assert await stack.parts.reconciler.once(min_age_s=0) == 1
    assert ((await stack.call(sid))["outcome"], (await stack.call(sid))["source"]) == ("abandoned_ivr", "reconciled")


# --- more levels -------------------------------------------------------------------------------------------------------

LEVELS: Final[list[dict[str, Any]]] = [
    {
        "key": "main",
        "prompt": {"en": "For the shop press 1."},
        "options": [{"key": "shop", "digit": "1", "menu": "shop", "words": ["shop"]}],
    },
    {
        "key": "shop",
        "prompt": {"en": "For orders press 1, for parts press 2."},
        "options": [
            {"key": "orders", "digit": "1", "queue": "sales"},
            {"key": "parts", "digit": "2", "menu": "parts"},
        ],
        "default": "sales",
        "main": "*",
    },
    {
        "key": "parts",
        "prompt": {"en": "For lamps press 1."},
        "options": [{"key": "lamps", "digit": "1", "queue": "support"}],
        "main": "*",
    },
]


async def with_levels(stack: Stack, menus: list[dict[str, Any]] = LEVELS) -> None:
    await configure(stack, menus=menus)


async def where(stack: Stack, sid: str) -> tuple[str, str | None, str | None]:
    call = await stack.call(sid)
    return call["state"], call["menu_path"], call["menu_choice"]


async def test_a_choice_may_be_another_menu_and_the_call_says_which_way_it_came(stack: Stack) -> None:
    await with_levels(stack)
    leg = await stack.dial()
    leg.say("the shop please")
    assert await stack.until(lambda: any("For orders" in heard.text for heard in leg.heard))
    assert await where(stack, leg.sid) == ("ivr", "main/shop", None)
    leg.press("2")
    assert await stack.until(lambda: any("For lamps" in heard.text for heard in leg.heard))
    leg.press("1")
    await stack.until(lambda: leg.queue_name is not None)
    assert await where(stack, leg.sid) == ("queued", "main/shop/parts", "lamps")


async def answers(stack: Stack, sid: str, level: str, digits: str) -> str:
    """What is played after this answer to that menu."""
    version = (await stack.call(sid))["version"]
    path = f"/twilio/ivr?n=0&m={level}&s={version}"
    document = (await stack.hook(path, standard(sid, status="in-progress", Digits=digits))).text
    return "line" if "<Enqueue" in document else re.findall(r"For (?:the shop|orders|lamps)", document)[0]


async def in_the_menu(stack: Stack) -> str:
    sid = new_sid()
    await stack.hook("/twilio/voice", standard(sid))
    return sid


async def test_a_key_goes_back_and_another_to_the_first_menu(stack: Stack) -> None:
    await with_levels(stack)
    sid = await in_the_menu(stack)
    walked = [("main", "1"), ("shop", "2"), ("parts", "0"), ("shop", "2"), ("parts", "*"), ("main", "1"), ("shop", "0")]
    heard = [await answers(stack, sid, level, digits) for level, digits in walked]
    first, shop, parts = "For the shop", "For orders", "For lamps"
    assert heard == [shop, parts, shop, parts, first, shop, first]
    assert await where(stack, sid) == ("ivr", "main", None)


async def test_each_menu_is_repeated_twice_then_the_nearest_default_counts(stack: Stack) -> None:
    await with_levels(stack)
    leg = await stack.dial()
    leg.press("1")
    assert await stack.until(lambda: any("For orders" in heard.text for heard in leg.heard))
    leg.press("2")
    await stack.until(lambda: leg.queue_name is not None)
    said = [heard.text for heard in leg.heard]
    for text in ("For lamps press 1.", "To go back, press 0.", "For the main menu, press *."):
        assert said.count(text) == 3
    assert await facts(stack, leg.sid) == ("queued", "sales", None)
    assert (await stack.call(leg.sid))["menu_path"] == "main/shop/parts"


async def test_who_gives_up_below_is_seen_to_have_done_so_there(stack: Stack) -> None:
    await with_levels(stack)
    sid = await in_the_menu(stack)
    assert await answers(stack, sid, "main", "1") == "For orders"
    await stack.hook("/twilio/status", status_callback(sid))
    assert (await stack.call(sid))["outcome"] == "abandoned_ivr"
    async with people_at(stack) as people:
        lead = await people.browser(Role.SUPERVISOR)
        _, page, _ = await ask(lead, "GET", f"/api/v1/calls?sid={sid}")
    assert [(each["outcome"], each["menu_path"]) for each in page["items"]] == [("abandoned_ivr", "main/shop")]


async def test_an_answer_to_another_menu_than_the_one_heard_chooses_nothing(stack: Stack) -> None:
    await with_levels(stack)
    sid = await in_the_menu(stack)
    assert await answers(stack, sid, "main", "1") == "For orders"
    late = standard(sid, status="in-progress", Digits="1", SpeechResult="late")
    assert "For orders" in (await stack.hook("/twilio/ivr?n=0", late)).text
    assert await where(stack, sid) == ("ivr", "main/shop", None)
    assert await answers(stack, sid, "shop", "1") == "line"
    assert await where(stack, sid) == ("queued", "main/shop", "orders")


async def test_after_an_emergency_the_caller_hears_the_menu_they_were_in(stack: Stack) -> None:
    await with_levels(stack)
    sid = await in_the_menu(stack)
    assert await answers(stack, sid, "main", "1") == "For orders"
    assert "For orders" in (await stack.hook("/twilio/voice?r=1", standard(sid, status="in-progress"))).text


async def test_a_menu_that_is_taken_away_under_a_caller_leads_to_the_one_before(stack: Stack) -> None:
    await with_levels(stack)
    sid = await in_the_menu(stack)
    assert await answers(stack, sid, "main", "1") == "For orders"
    without = {**LEVELS[0], "options": [{"key": "parts", "digit": "1", "menu": "parts"}]}
    await with_levels(stack, [without, LEVELS[2]])
    assert await answers(stack, sid, "shop", "1") == "For the shop"
    assert await answers(stack, sid, "main", "1") == "For lamps"
    assert await where(stack, sid) == ("ivr", "main/parts", None)
