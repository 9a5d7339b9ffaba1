"""What supervisors do on the floor and agents in the line, by hand, in both languages; each screen is looked at."""

import json
from collections.abc import AsyncIterator, Callable
from functools import reduce
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, JUERGEN, MARIA, ROOT, SUPERVISOR, Ringdesk
from tests.e2e.screens import POP_WITHIN_MS, Desk
from tests.e2e.watching import Language, Visitors

pytestmark = pytest.mark.timeout(180)

NEW_NUMBERS = {"en": ("+16465550171", "+16465550172"), "zh-CN": ("+16465550173", "+16465550174")}
SUPPORT = {"en": "Support", "zh-CN": "客服"}
Words = Callable[..., str]
See = Callable[..., Any]


@pytest.fixture(params=["en", "zh-CN"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture
def words(language: Language) -> Words:
    """A text of the page's own catalogue, filled in."""
    catalogue = json.loads((ROOT / "web" / "src" / "i18n" / f"{language}.json").read_text())

    def say(key: str, **values: object) -> str:
        text: str = reduce(lambda tree, part: tree[part], key.split("."), catalogue)
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", str(value))
        return text

    return say


@pytest.fixture
async def see(language: Language) -> AsyncIterator[See]:
    faults: list[str] = []

    async def see(page: Page, name: str) -> None:
        faults.extend(await look(page, f"{name}-{language}"))

    yield see
    assert faults == []


@pytest.fixture(autouse=True)
async def released(ringdesk: Ringdesk) -> AsyncIterator[None]:
    """Whatever comes of a test, no queue stays held."""
    yield
    sam = await ringdesk.person(SUPERVISOR)
    (support,) = (queue for queue in (await sam.get("/queues/live"))["queues"] if queue["key"] == "support")
    body = {"is_held": False, "version": support["hold_version"]}
    await sam.ask("PUT", "/api/v1/queues/support/hold", body)


async def _desk(visitors: Visitors, ringdesk: Ringdesk, language: Language, state: str = "available") -> Desk:
    desk = Desk(await visitors.arrive("/desk", email=AGENTS[0], language=language))
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be(state)
    await desk.is_state(state)
    return desk


async def _says(page: Page, text: str) -> Locator:
    bar = page.get_by_test_id("act-bar")
    await expect(bar.get_by_role("status")).to_have_text(text)
    return bar


async def _wait_in_turn(ringdesk: Ringdesk, line: Locator, callers: dict[str, str]) -> None:
    """New customers call one after the other: nobody has an open ticket that would put them ahead."""
    writer = await ringdesk.person(SUPERVISOR)
    for place, (name, number) in enumerate(callers.items(), start=1):
        await writer.post("/customers", name=name, phone=number)
        await ringdesk.call(number)
        await _callers(line, *list(callers)[:place])


async def _callers(line: Locator, *names: str) -> None:
    rows = line.get_by_role("listitem")
    await expect(rows).to_have_count(len(names))
    for index, name in enumerate(names):
        await expect(rows.nth(index)).to_contain_text(name)


async def test_a_supervisor_holds_ranks_pushes_and_undoes(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, words: Words, see: See
) -> None:
    support, nora, otto = SUPPORT[language], f"Nora {language}", f"Otto {language}"
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    desk = await _desk(visitors, ringdesk, language)

    def button(name: str) -> Locator:
        return floor.get_by_role("button", name=name, exact=True)

    undo = floor.get_by_test_id("act-bar").get_by_role("button", name=words("act.undo"))

    await button(words("hold.holdOf", queue=support)).click()
    dialog = floor.get_by_role("dialog")
    await dialog.get_by_label(words("hold.reason")).fill("fire drill")
    await see(floor, "acts-hold")
    await floor.keyboard.press("Enter")
    await _says(floor, words("act.held", queue=support))
    await expect(floor.get_by_test_id("queue-row-support")).to_contain_text(words("queue.held"))

    await button(support).press("Enter")
    line = floor.get_by_test_id("queue-line-support")
    await _wait_in_turn(ringdesk, line, dict(zip((nora, otto), NEW_NUMBERS[language], strict=True)))
    await expect(desk.pop).to_have_count(0)

    await button(words("line.tierUp", caller=otto)).press("Enter")
    await _says(floor, words("act.tier", caller=otto, tier=1))
    await _callers(line, otto, nora)
    await undo.click()
    await _says(floor, words("act.undone", what=words("act.tier", caller=otto, tier=1)))
    await _callers(line, nora, otto)
    await button(words("line.aheadOf", caller=otto, minutes=5)).click()
    await _says(floor, words("act.ahead", caller=otto, minutes=5))
    await _callers(line, otto, nora)
    await see(floor, "acts-line")

    await button(words("line.pushOf", caller=otto)).click()
    ava = words("push.pushTo", agent="Ava Chen")
    await expect(dialog.get_by_role("button", name=ava)).to_be_visible()
    await expect(dialog.get_by_role("listitem").filter(has_text="Ben Fischer")).not_to_contain_text(words("push.push"))
    await see(floor, "acts-push")
    await dialog.get_by_role("button", name=ava).click()
    await _says(floor, words("act.pushed", caller=otto, agent="Ava Chen"))
    await expect(desk.pop.get_by_role("heading", name=otto)).to_be_visible(timeout=POP_WITHIN_MS)
    await expect(desk.pop).to_contain_text({"en": "Pushed by Sam Porter.", "zh-CN": "由Sam Porter指派。"}[language])
    await expect(dialog).to_have_count(0)
    await floor.keyboard.press("Control+z")
    await expect(desk.pop).to_have_count(0)
    await expect(desk.toast(words("lost.takenBack"))).to_contain_text(otto)
    await _callers(line, otto, nora)

    await button(words("hold.releaseOf", queue=support)).click()
    await _says(floor, words("act.released", queue=support))
    await expect(desk.pop.get_by_role("heading", name=otto)).to_be_visible(timeout=POP_WITHIN_MS)
    await expect(line.get_by_role("listitem").first).to_contain_text(words("line.ringing"))
    await desk.page.keyboard.press("Control+Shift+A")
    await expect(desk.call).to_contain_text("0:0")
    await _callers(line, nora)
    await button(words("line.tierUp", caller=nora)).focus()
    await floor.keyboard.press("Escape")
    await expect(line).to_have_count(0)
    await expect(button(support)).to_be_focused()


async def test_a_caller_is_pushed_to_somebody_who_wraps_up(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, words: Words, see: See
) -> None:
    support = SUPPORT[language]
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    desk = await _desk(visitors, ringdesk, language)
    first = await ringdesk.call(JUERGEN)
    await desk.pop.wait_for()
    await desk.page.keyboard.press("Control+Shift+A")
    await expect(desk.call).to_contain_text(words("callState.in_call"))
    await ringdesk.call(MARIA)
    await ringdesk.hang_up(first)
    await expect(desk.page.get_by_test_id("hangup")).to_have_count(0)

    await floor.get_by_role("button", name=support, exact=True).click()
    await floor.get_by_role("button", name=words("line.pushOf", caller="Maria Lopez")).click()
    anyway = floor.get_by_role("dialog").get_by_role("button", name=words("push.anywayTo", agent="Ava Chen"))
    await anyway.click()
    await _says(floor, words("act.pushed", caller="Maria Lopez", agent="Ava Chen"))
    await desk.pop.wait_for(timeout=POP_WITHIN_MS)
    await see(desk.page, "acts-over-capacity")
    await desk.page.keyboard.press("Control+Shift+A")
    await expect(desk.page.get_by_test_id("active-call")).to_have_count(2)


async def test_a_forced_state_is_undone(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, words: Words
) -> None:
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    desk = await _desk(visitors, ringdesk, language)
    row = floor.get_by_test_id("agents-table").get_by_role("row").filter(has_text="Ava Chen")
    await expect(row).to_have_attribute("data-state", "available")  # what is opened is what has been seen
    await floor.get_by_role("button", name=words("agents.setStateOf", name="Ava Chen")).click()
    dialog = floor.get_by_role("dialog")
    await dialog.get_by_text(words("presence.break"), exact=True).click()
    await dialog.get_by_label(words("agents.reason")).fill("rest")
    await floor.keyboard.press("Enter")
    bar = await _says(floor, words("act.forced", name="Ava Chen", state=words("presence.break")))
    await desk.is_state("break")
    await bar.get_by_role("button", name=words("act.undo")).click()
    await desk.is_state("available")


async def test_an_agent_takes_a_caller_from_the_line(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, words: Words, see: See
) -> None:
    desk = await _desk(visitors, ringdesk, language, "break")
    sid = await ringdesk.call(MARIA)
    here = desk.page.get_by_test_id("waiting-here")
    await _callers(here, SUPPORT[language])
    await expect(here).not_to_contain_text("Maria")
    await expect(here).to_contain_text("•23")
    await see(desk.page, "acts-take")
    await here.get_by_role("button").click()
    await expect(desk.call.get_by_role("heading", name="Maria Lopez")).to_be_visible()
    await expect(desk.call).to_contain_text("0:0")
    await expect(here).to_have_count(0)
    assert [offer["state"] for offer in (await ringdesk.record(sid))["offers"]] == ["accepted"]
    await ringdesk.hang_up(sid)
    await expect(desk.page.get_by_test_id("hangup")).to_have_count(0)


async def test_an_agent_gives_back_what_was_taken(
    visitors: Visitors, ringdesk: Ringdesk, language: Language, words: Words, see: See
) -> None:
    desk = await _desk(visitors, ringdesk, language, "break")
    sid = await ringdesk.call(MARIA)
    here = desk.page.get_by_test_id("waiting-here")
    await here.get_by_role("button").click()
    await expect(desk.call).to_contain_text(words("callState.in_call"))
    bar = desk.page.get_by_test_id("act-bar")
    await expect(bar.get_by_role("status")).to_contain_text("•23")
    await see(desk.page, "acts-taken")
    await bar.get_by_role("button", name=words("act.undo")).click()
    await expect(desk.call).to_contain_text(words("callState.wrapping"))
    record = await ringdesk.record(sid)
    assert (record["state"], [offer["state"] for offer in record["offers"]]) == ("queued", ["wrapping"])
    await see(desk.page, "acts-given-back")
    await (await ringdesk.person(AGENTS[0])).post(f"/calls/{record['id']}/wrap-up")
    await expect(desk.call).to_have_count(0)
    await _callers(here, SUPPORT[language])
    await ringdesk.hang_up(sid)
    await expect(here).to_have_count(0)
