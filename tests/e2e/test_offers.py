"""What can happen to a ringing call besides being taken, and callers that are not simply known."""

from playwright.async_api import expect

from tests.crowd import crowd
from tests.e2e.running import AGENTS, GERMAN, JUERGEN, MARIA, SHARED, Ringdesk
from tests.e2e.screens import at_work, log_in, said
from tests.e2e.watching import Visitors


async def test_nobody_available_then_somebody_is(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    await desk.choose("Lunch")
    await desk.is_state("break")
    await expect(desk.page.get_by_role("heading", name="You are on a break")).to_be_visible()

    sid = await ringdesk.call(MARIA)
    await said(ringdesk, sid, "You are next in line")
    assert (await ringdesk.record(sid))["state"] == "queued"
    await expect(desk.page.get_by_role("listitem").filter(has_text="1 waiting")).to_contain_text("Support")
    await expect(desk.pop).to_have_count(0)

    await desk.page.get_by_role("button", name="Go available").click()
    await desk.rings("Maria Lopez")
    await desk.accept()


async def test_one_rejects_and_the_next_gets_it(visitors: Visitors, ringdesk: Ringdesk) -> None:
    ava = await at_work(ringdesk, await visitors.arrive("/demo"))
    page = await visitors.arrive("/login")
    await log_in(page, AGENTS[3])
    dana = await at_work(ringdesk, page)
    sid = await ringdesk.call(MARIA)
    await ava.rings("Maria Lopez")  # who has been idle longest
    await expect(dana.pop).to_have_count(0)

    await ava.pop.get_by_role("button", name="Reject").click()
    await dana.rings("Maria Lopez")
    await expect(ava.pop).to_have_count(0)
    await dana.accept()
    record = await ringdesk.record(sid)
    assert [offer["state"] for offer in record["offers"]] == ["rejected", "accepted"]
    await ava.is_state("available")


async def test_an_offer_nobody_answers(visitors: Visitors, ringdesk: Ringdesk) -> None:
    ben = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[1]))
    sid = await ringdesk.call(JUERGEN, GERMAN)
    await ben.rings("Jürgen Schneider")
    await ben.is_state("available")
    await expect(ben.presence).to_have_attribute("data-state", "not_responding", timeout=20_000)
    await expect(ben.pop).to_have_count(0)
    await expect(ben.page.get_by_role("heading", name="You missed a call")).to_be_visible()
    await expect(ben.page.get_by_text("Not answered in time").first).to_be_visible()
    assert (await ringdesk.record(sid))["state"] == "queued"

    await ben.page.get_by_role("button", name="Back to available").click()
    await ben.is_state("available")
    await expect(ben.page.get_by_role("button", name="Back to available")).to_have_count(0)


WATCH_POP = """() => new MutationObserver(() => {
    if (!document.querySelector('[data-testid="pop"]')) window.popGone ??= Date.now();
}).observe(document.body, {childList: true, subtree: true})"""


async def test_the_caller_hangs_up_while_it_rings(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    sid = await ringdesk.call(MARIA)
    await desk.rings("Maria Lopez")
    other = await desk.page.context.new_page()
    await other.goto("/desk")
    windows = (desk.page, other)
    for page in windows:
        await page.get_by_test_id("pop").wait_for()
        await page.evaluate(WATCH_POP)
    await ringdesk.hang_up(sid)
    await expect(desk.pop).to_have_count(0)
    ended = "SELECT extract(epoch FROM ended_at)::float8 * 1000 FROM offers ORDER BY id DESC LIMIT 1"
    ended_ms = float(str(await ringdesk.one(ended)))
    for page in windows:
        await page.wait_for_function("() => window.popGone !== undefined")
        assert await page.evaluate("() => window.popGone") - ended_ms <= 500 * crowd()
    await other.close()
    await expect(desk.toast("Caller hung up")).to_contain_text("Maria Lopez")
    trace = desk.page.get_by_role("region", name="Went elsewhere").get_by_role("listitem").first
    await expect(trace).to_contain_text("Maria Lopez")
    await expect(trace).to_contain_text("Caller hung up")
    await expect(trace).to_contain_text("555")
    await desk.page.reload()
    await expect(trace).to_contain_text("Caller hung up")
    await expect(trace.get_by_role("link", name="Maria Lopez")).to_be_visible()
    await desk.is_state("available")

    await trace.get_by_role("button", name="Call back").click()
    await expect(desk.call).to_contain_text("Maria Lopez")
    called = (await (await ringdesk.person(AGENTS[0])).get("/desk"))["calls"]
    assert [call["pop"]["call"]["direction"] for call in called] == ["outbound"]


async def test_a_shared_number_is_asked_not_guessed(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    sid = await ringdesk.call(SHARED)
    await desk.rings("2 possible people")
    await expect(desk.pop.get_by_test_id("candidate-1")).to_contain_text("Shared number")
    first, second = [await desk.pop.get_by_test_id(f"candidate-{n}").inner_text() for n in (1, 2)]
    assert {"Anna" in first, "Anna" in second} == {True, False}
    assert {"Jonas" in first, "Jonas" in second} == {True, False}
    name = "Anna Becker" if "Anna" in second else "Jonas Becker"
    assert (await ringdesk.ticket(sid))["customer"] is None

    await desk.page.keyboard.press("2")
    await expect(desk.pop.get_by_test_id("candidate-2")).to_have_attribute("aria-pressed", "true")
    await desk.rings(name)
    await desk.page.keyboard.press("Control+Shift+A")
    await desk.is_in_call()
    await expect(desk.call.get_by_role("heading", name=name)).to_be_visible()
    await expect(desk.page.get_by_test_id("customer-panel")).to_contain_text(name)
    assert (await ringdesk.ticket(sid))["customer"]["name"] == name


async def test_a_withheld_number_is_not_looked_up(visitors: Visitors, ringdesk: Ringdesk) -> None:
    page = await visitors.arrive("/demo")
    desk = await at_work(ringdesk, page)
    customers = "SELECT count(*) FROM customers"
    known = await ringdesk.one(customers)
    await page.get_by_role("button", name="Number withheld").click()
    await page.get_by_role("button", name="Call", exact=True).click()
    await desk.rings("Number withheld")
    await expect(desk.pop).to_contain_text("nobody was looked up")
    await expect(desk.pop.get_by_test_id("pop-identity")).not_to_contain_text("+")
    await desk.accept()
    await expect(desk.call.get_by_label("Find the customer")).to_be_visible()
    await expect(desk.call).to_contain_text("No number is stored with the new customer.")
    sid = await page.evaluate("sessionStorage.getItem('ringdesk.demo.sid')")
    assert (await ringdesk.ticket(sid))["customer"] is None
    assert await ringdesk.one(customers) == known


async def test_an_unknown_caller_becomes_a_customer_with_two_fields(visitors: Visitors, ringdesk: Ringdesk) -> None:
    desk = await at_work(ringdesk, await visitors.arrive("/desk", email=AGENTS[0]))
    number = "+13475550142"
    sid = await ringdesk.call(number)
    await desk.rings("Unknown caller")
    await expect(desk.pop).to_contain_text("(347) 555-0142")
    await desk.accept()
    await expect(desk.note).to_be_focused()
    await desk.call.get_by_label("Or a new customer: name").fill("Grace Hall")
    language = desk.call.get_by_role("combobox", name="Language")
    await expect(language).to_have_value("English")
    await desk.call.get_by_role("button", name="Create and attach").click()
    await expect(desk.call.get_by_role("heading", name="Grace Hall")).to_be_visible()
    await expect(desk.page.get_by_test_id("customer-panel")).to_contain_text("(347) 555-0142")

    await ringdesk.hang_up(sid)
    await desk.is_wrapping()
    await desk.finish()
    await ringdesk.call(number)
    await desk.rings("Grace Hall")
    await expect(desk.pop).to_contain_text("2 calls in 24 hours")
