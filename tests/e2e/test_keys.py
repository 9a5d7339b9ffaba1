"""Keys of one's own, one list for everything, and how a call is heard: set once, the same in the next browser."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, MARIA, Ringdesk
from tests.e2e.screens import Desk, at_work
from tests.e2e.watching import Language, Visitors


@pytest.fixture(params=["en", "zh-CN"])
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


async def _usual_keys(ringdesk: Ringdesk) -> None:
    await ringdesk.one("WITH gone AS (DELETE FROM key_settings RETURNING 1) SELECT count(*) FROM gone")


async def test_another_key_for_accept_goes_with_the_agent(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    await _usual_keys(ringdesk)
    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    desk = Desk(page)
    await desk.presence.wait_for()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_test_id("change-accept").click()
    await page.keyboard.press("Control+Enter")  # that is another one's
    await expect(dialog.get_by_test_id("press-keys")).to_contain_text("Ctrl+Enter")
    faults = list(await look(page, f"key-taken-{language}", has_popup=True))
    await page.keyboard.press("Control+Shift+Y")
    await expect(dialog.get_by_test_id("usual-keys")).to_be_visible()
    await dialog.get_by_test_id("change-focusNote").click()
    await dialog.get_by_test_id("no-key").click()
    faults += await look(page, f"keys-own-{language}", has_popup=True)
    await page.context.close()

    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    desk = Desk(page)
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("available")
    await ringdesk.call(MARIA)
    await expect(page.get_by_test_id("pop-accept")).to_contain_text("Y")
    await page.keyboard.press("Control+Shift+A")
    await page.keyboard.press("Control+Shift+Y")
    await page.get_by_test_id("hangup").wait_for()
    assert faults == []
    await _usual_keys(ringdesk)


async def test_switched_off_no_key_does_anything(visitors: Visitors, ringdesk: Ringdesk) -> None:
    await _usual_keys(ringdesk)
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    page = desk.page
    await page.keyboard.press("?")
    await page.get_by_role("dialog").get_by_label("Keyboard shortcuts").uncheck()
    await page.get_by_role("button", name="Close").click()
    await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    for keys in ("?", "t", "Control+k", "Control+Shift+X", "Control+Shift+A"):
        await page.keyboard.press(keys)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page).to_have_url(re.compile("/desk$"))
    await expect(desk.pop).to_be_visible()
    await _usual_keys(ringdesk)


async def test_nothing_fires_while_somebody_types(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    page = desk.page
    await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await page.get_by_test_id("pop-accept").click()
    await expect(desk.note).to_be_focused()
    await page.keyboard.type("dtcpnmhk 123456789 ?/")
    await expect(desk.note).to_have_value("dtcpnmhk 123456789 ?/")
    await expect(page).to_have_url(re.compile("/desk$"))
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await page.locator("[data-testid^=disposition-][aria-pressed=true]").count() == 0


async def test_one_list_does_and_finds_everything(visitors: Visitors, ringdesk: Ringdesk, language: Language) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    desk = Desk(page)
    await desk.presence.wait_for()
    await (await ringdesk.person(AGENTS[0])).be("offline")
    await desk.is_state("offline")
    await page.keyboard.press("Control+k")
    field = page.get_by_role("combobox")
    await expect(field).to_be_focused()
    faults = list(await look(page, f"palette-{language}", has_popup=True))
    await field.fill({"en": "go avail", "zh-CN": "设为空闲"}[language])
    await page.keyboard.press("Enter")
    await desk.is_state("available")

    await page.keyboard.press("Control+k")
    await field.fill("maria lopez")
    await expect(page.get_by_role("option").filter(has_text="Northwind Traders")).to_be_visible()
    faults += await look(page, f"palette-found-{language}", has_popup=True)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/customers/\d+$"))
    await page.keyboard.press("Control+k")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)

    await page.keyboard.press("d")
    await ringdesk.call(MARIA)
    await desk.pop.wait_for()
    await page.keyboard.press("Control+k")
    await field.fill({"en": "accept", "zh-CN": "接听"}[language])
    await page.keyboard.press("Enter")
    await page.get_by_test_id("hangup").wait_for()
    assert faults == []


async def test_before_the_shift_sound_and_microphone_are_tried(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0], language=language)
    await page.context.grant_permissions(["microphone", "notifications"], origin=ringdesk.url)
    desk = Desk(page)
    await desk.presence.wait_for()
    await page.get_by_test_id("check-reminder").click()
    dialog = page.get_by_role("dialog")
    faults = list(await look(page, f"shift-check-{language}", has_popup=True))
    await dialog.get_by_test_id("check-tone").click()
    await dialog.get_by_test_id("check-microphone").click()
    good = dialog.locator("li[data-verdict=good]")
    await expect(good).to_have_count(4)
    await _choose_other_device(page, dialog)
    faults += await look(page, f"shift-checked-{language}", has_popup=True)
    await dialog.get_by_test_id("check-done").click()
    await expect(page.get_by_test_id("check-reminder")).to_have_count(0)
    assert faults == []


async def _choose_other_device(page: Page, dialog: object) -> None:
    """What is chosen is what the tone is sent to."""
    outputs = await page.evaluate(
        "navigator.mediaDevices.enumerateDevices().then(all => all.filter(d => d.kind === 'audiooutput').length)"
    )
    assert outputs > 0


async def test_a_ringing_call_is_heard_and_told_to_who_looks_elsewhere(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/desk", email=AGENTS[0])
    await page.add_init_script("""
        window.told = []; window.played = 0;
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () { window.played += 1; window.player = this; return play.call(this); };
        window.Notification = class extends EventTarget {
            static permission = "granted";
            constructor(title, options) { super(); window.told.push([title, options.tag]); }
            close() { window.gone = true; }
        };
        document.hasFocus = () => false;
    """)
    await page.reload()
    desk = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    await page.wait_for_function("() => window.played === 1 && window.told.length === 1")
    [[title, tag]] = await page.evaluate("window.told")
    assert "Maria Lopez" in title
    assert tag.startswith("offer-")
    titles = {await page.title()}
    await page.wait_for_function("before => document.title !== before", arg=next(iter(titles)))
    titles.add(await page.title())
    assert any("Maria Lopez" in each for each in titles)
    assert any("Maria Lopez" not in each for each in titles), "it flashes"
    await ringdesk.hang_up(sid)
    await expect(desk.pop).to_have_count(0)
    await page.wait_for_function("() => window.gone && window.player.paused")
    assert "Maria" not in await page.title()
