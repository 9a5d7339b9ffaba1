"""Two browsers on one ticket and on one customer: each sees the other, the same field asks a person, and nothing is lost."""

import re
from time import monotonic

from playwright.async_api import Page, expect

from tests.crowd import crowd
from tests.e2e.running import AGENTS, SUPERVISOR, Ringdesk
from tests.e2e.watching import Visitors

SOON_S = 1.0
"""The promise, on a machine that does nothing else."""


async def test_two_people_see_each_other_at_one_ticket(visitors: Visitors, ringdesk: Ringdesk) -> None:
    supervisor = await ringdesk.person(SUPERVISOR)
    ticket = await supervisor.post("/tickets", subject="Two at once", queue="support")
    path = f"/tickets/{ticket['number']}"
    one = await visitors.arrive(path, email=AGENTS[0])
    await expect(one.get_by_role("heading", level=1)).to_contain_text("Two at once")
    await expect(one.get_by_test_id("viewers")).to_have_text("")
    two = await visitors.arrive(path, email=SUPERVISOR)
    await expect(one.get_by_test_id("viewers")).to_contain_text("Sam Porter is looking")
    await expect(two.get_by_test_id("viewers")).to_contain_text("Ava Chen is looking")

    soon_s = SOON_S * crowd()
    began = monotonic()
    await two.get_by_role("textbox", name="New note").fill("Half a sent")
    await expect(one.get_by_test_id("viewers")).to_contain_text("Sam Porter is editing", timeout=1000 * soon_s)
    assert monotonic() - began < soon_s
    began = monotonic()
    await two.get_by_role("link", name="Customers", exact=True).click()  # leaves the page, not the site
    await expect(one.get_by_test_id("viewers")).to_have_text("", timeout=1000 * soon_s)
    assert monotonic() - began < 1.5 * soon_s  # with the click itself
    await two.go_back()
    await expect(one.get_by_test_id("viewers")).to_contain_text("Sam Porter is editing")
    await expect(two.get_by_role("textbox", name="New note")).to_have_value("Half a sent")
    await two.context.close()  # the whole browser, without a word
    await expect(one.get_by_test_id("viewers")).to_have_text("", timeout=1000 * SOON_S * crowd())


async def _edit_subject(page: Page, words: str) -> None:
    await page.get_by_role("button", name="Change the subject").click()
    await page.get_by_role("textbox", name="Subject", exact=True).fill(words)


async def test_the_same_field_of_a_ticket_shows_three_values(visitors: Visitors, ringdesk: Ringdesk) -> None:
    visitors.faults.expect(r"^409 PATCH /api/v1/tickets/\d+$")
    supervisor = await ringdesk.person(SUPERVISOR)
    ticket = await supervisor.post("/tickets", subject="Lamp", queue="support")
    path = f"/tickets/{ticket['number']}"
    one, two = [await visitors.arrive(path, email=email) for email in (AGENTS[0], SUPERVISOR)]
    await _edit_subject(one, "Lamp, hall")
    await one.get_by_role("textbox", name="New note").fill("Typed and not saved.")
    await _edit_subject(two, "Lamp, kitchen")
    await two.get_by_role("button", name="Save").click()
    await expect(two.get_by_role("heading", level=1)).to_contain_text("Lamp, kitchen")
    await two.get_by_role("textbox", name="New note").fill("Meanwhile.")
    await two.get_by_role("button", name="Add note").click()
    await expect(one.get_by_role("listitem").filter(has_text="Meanwhile.")).to_be_visible()
    await expect(one.get_by_role("textbox", name="Subject", exact=True)).to_have_value("Lamp, hall")

    await one.get_by_role("button", name="Save").click()
    dialog = one.get_by_test_id("conflict")
    await expect(dialog.get_by_test_id("conflict-subject-base")).to_have_text(re.compile("Lamp$"))
    await expect(dialog.get_by_test_id("conflict-subject-theirs")).to_contain_text("Lamp, kitchen")
    await expect(dialog.get_by_test_id("conflict-subject-yours")).to_contain_text("Lamp, hall")
    save = dialog.get_by_role("button", name="Save what I chose")
    await expect(save).to_be_disabled()
    await dialog.get_by_role("button", name="Back to editing").click()
    await expect(one.get_by_role("textbox", name="Subject", exact=True)).to_have_value("Lamp, hall")
    await one.get_by_role("button", name="Save").click()
    await dialog.get_by_test_id("conflict-subject-yours").click()
    await save.click()
    await expect(two.get_by_role("heading", level=1)).to_contain_text("Lamp, hall")
    await expect(one.get_by_role("textbox", name="New note")).to_have_value("Typed and not saved.")
    await one.reload()
    await expect(one.get_by_role("textbox", name="New note")).to_have_value("Typed and not saved.")
    kinds = [entry["kind"] for entry in (await supervisor.get(f"/tickets/{ticket['id']}"))["history"]]
    assert kinds.count("subject_changed") == 2


async def test_a_customer_changed_by_two_merges_and_asks_only_for_the_same_field(
    visitors: Visitors, ringdesk: Ringdesk
) -> None:
    supervisor = await ringdesk.person(SUPERVISOR)
    made = await supervisor.post("/customers", name="Wang Xiaoming", company="Northwind", note="Prefers mornings")
    one, two = [await visitors.arrive(f"/customers/{made['id']}", email=email) for email in (AGENTS[0], SUPERVISOR)]
    await expect(one.get_by_test_id("viewers")).to_contain_text("Sam Porter is looking")
    await one.get_by_label("Note").fill("Prefers evenings")
    await expect(two.get_by_test_id("viewers")).to_contain_text("Ava Chen is editing")
    await two.get_by_label("Company").fill("Southwind")
    await two.get_by_label("Note").fill("Never before ten")
    await two.get_by_role("button", name="Save").click()
    await expect(one.get_by_label("Company")).to_have_value("Southwind")  # nobody had touched it here
    await expect(one.get_by_label("Note")).to_have_value("Prefers evenings")
    await one.get_by_label("Name").fill("Wang Xiao Ming")
    await one.get_by_role("button", name="Save").click()
    dialog = one.get_by_test_id("conflict")
    for pick, words in (("base", "Prefers mornings"), ("theirs", "Never before ten"), ("yours", "Prefers evenings")):
        await expect(dialog.get_by_test_id(f"conflict-note-{pick}")).to_contain_text(words)
    await expect(dialog.get_by_test_id("conflict-name-yours")).to_have_count(0)
    await dialog.get_by_test_id("conflict-note-theirs").click()
    await dialog.get_by_role("button", name="Save what I chose").click()
    await expect(two.get_by_role("heading", level=1)).to_contain_text("Wang Xiao Ming")
    now = await supervisor.get(f"/customers/{made['id']}")
    assert (now["name"], now["company"], now["note"]) == ("Wang Xiao Ming", "Southwind", "Never before ten")
