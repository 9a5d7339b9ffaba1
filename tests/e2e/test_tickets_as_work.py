"""Tickets that nobody called about: they wait on the floor, and come to a desk without ringing."""

import pytest
from playwright.async_api import expect

from tests.e2e.looking import look
from tests.e2e.running import AGENTS, SUPERVISOR, Ringdesk
from tests.e2e.screens import Desk
from tests.e2e.watching import Language, Visitors

pytestmark = pytest.mark.timeout(180)
BEN = AGENTS[1]
WORDS = {
    "en": {"office": "Back office", "assigned": "Assigned to you:", "kind": "tickets"},
    "zh-CN": {"office": "后台处理", "assigned": "已分配给您：", "kind": "工单"},
}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_ticket_waits_on_the_floor_and_comes_to_who_has_room(
    visitors: Visitors, ringdesk: Ringdesk, language: Language
) -> None:
    words = WORDS[language]
    faults: list[str] = []
    supervisor = await ringdesk.person(SUPERVISOR)
    floor = await visitors.arrive("/supervisor", email=SUPERVISOR, language=language)
    ticket = await supervisor.post("/tickets", subject=f"Refund {language}", queue="office")
    row = floor.get_by_test_id("queue-row-office")
    await expect(row).to_contain_text(words["kind"])
    await expect(row.get_by_role("cell").first).to_have_text("1")
    await row.get_by_role("button", name=words["office"], exact=True).click()
    line = floor.get_by_test_id("queue-line-office")
    await expect(line.get_by_role("link", name=ticket["number"])).to_be_visible()
    await expect(line).to_contain_text(f"Refund {language}")
    faults += await look(floor, f"ticket-line-{language}")

    desk = Desk(await visitors.arrive("/desk", email=BEN, language=language))
    await desk.presence.wait_for()
    await (await ringdesk.person(BEN)).be("available")
    await expect(desk.toast(words["assigned"])).to_contain_text(ticket["number"])
    await expect(desk.page.get_by_role("link", name=f"Refund {language}")).to_be_visible()
    await expect(desk.pop).to_have_count(0)
    faults += await look(desk.page, f"ticket-assigned-{language}")
    await expect(row.get_by_role("cell").first).to_have_text("0")
    agents = {agent["email"]: agent for agent in (await supervisor.get("/agents"))["items"]}
    assert agents[BEN]["tickets"] == 1

    version = (await supervisor.get(f"/tickets/{ticket['number']}"))["version"]
    await supervisor.ask("PATCH", f"/api/v1/tickets/{ticket['number']}", {"version": version, "state": "resolved"})
    await expect(row.get_by_role("cell").nth(3)).to_have_text("0")
    assert faults == []
