import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";

import type { PushCandidate, Waiting } from "@/api/types";
import { ActBar } from "@/parts/ActBar";
import { showAct } from "@/parts/acts";
import { aDesk, aQueue, aWaiting } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { HoldButton } from "./HoldButton";
import { QueueLine } from "./QueueLine";

const LINE = "GET /queues/support/waiting";
const undo = (seconds = 10) => ({ id: 88, until: new Date(Date.now() + seconds * 1000).toISOString() });
const bar = () => screen.getByTestId("act-bar");

function aService(items: Waiting[] = [aWaiting()]): Service {
  return new Service().on(LINE, () => ({ body: { items, as_of: new Date().toISOString() } }));
}
const explain = vi.fn();
const drawLine = () =>
  draw(
    <>
      <QueueLine queue="support" onExplain={explain} />
      <ActBar />
    </>,
    aDesk(),
  );

beforeEach(() => showAct(null));

test("a line is shown in its order, with who waits and what was done for them", async () => {
  aService([aWaiting({ tier: 2, boost_s: 300 }), aWaiting({ id: 8, customer: null, caller: null, state: "offering" })]);
  const { container } = await drawLine();
  const [first, second] = await screen.findAllByRole("listitem");
  expect(first?.textContent).toMatch(/^1Anna Krüger\+1 \(415\) 555-0101tier 25 min ahead/);
  expect(second?.textContent).toMatch(/Number withheldRinging/);
  expect(screen.getByRole("button", { name: "Push to somebody: Number withheld" }).getAttribute("aria-disabled")).toBe("true");
  await expectAccessible(container);
});

test("a ticket in line is opened, not pushed", async () => {
  aService([aWaiting({ call_id: null, caller: null, customer: "Anna Krüger", ticket: { number: "T-2026-000123", subject: "Refund" } })]);
  await drawLine();
  const ticket = await screen.findByRole("link", { name: "T-2026-000123" });
  expect(ticket.getAttribute("href")).toBe("/tickets/T-2026-000123");
  expect(screen.getByRole("listitem").textContent).toContain("Refund");
  expect(screen.queryByRole("button", { name: /Push/ })).toBeNull();
  expect(screen.getByRole("button", { name: "Raise the tier: T-2026-000123" })).toBeTruthy();
});

test("a line without anybody says so", async () => {
  aService([]);
  await drawLine();
  expect(await screen.findByText("Nobody waits in this queue.")).toBeTruthy();
});

test("an act is told with the version that was seen, and undone from the bar or by key", async () => {
  const service = aService()
    .on("PATCH /work-items/7", () => ({ body: { ...aWaiting({ tier: 1, version: 4 }), queue: "support", undo: undo() } }))
    .on("POST /acts/88/undo", { body: { object_kind: "work_item", object_id: "7" } });
  const { container } = await drawLine();
  const raise = await screen.findByRole("button", { name: "Raise the tier: Anna Krüger" });
  raise.focus();
  await userEvent.keyboard("{Enter}");
  await waitFor(() => expect(within(bar()).getByRole("status").textContent).toBe("Anna Krüger: tier 1"));
  expect(service.bodiesOf("PATCH /work-items/7")).toEqual([{ tier: 1, version: 3 }]);
  expect(document.activeElement).toBe(raise);
  expect(within(bar()).getByRole("button", { name: /^Undo/ }).textContent).toMatch(/\((10|9) s\)/);
  await expectAccessible(container);
  await userEvent.keyboard("{Control>}z{/Control}");
  await waitFor(() => expect(within(bar()).getByRole("status").textContent).toBe("Undone: Anna Krüger: tier 1"));
  expect(service.bodiesOf("POST /acts/88/undo")).toHaveLength(1);
  expect(within(bar()).queryByRole("button", { name: /^Undo/ })).toBeNull();
});

test("a head start is added to the one there is", async () => {
  const service = aService([aWaiting({ boost_s: 120 })]).on("PATCH /work-items/7", () => ({ body: { undo: undo() } }));
  await drawLine();
  await userEvent.click(await screen.findByRole("button", { name: "Move ahead by 5 min: Anna Krüger" }));
  expect(service.bodiesOf("PATCH /work-items/7")).toEqual([{ boost_s: 420, version: 3 }]);
});

test("after a conflict the bar says what happened and the line is read again", async () => {
  const service = aService().on("PATCH /work-items/7", { status: 409, body: { code: "version_conflict", status: 409 } });
  await drawLine();
  const raise = await screen.findByRole("button", { name: "Raise the tier: Anna Krüger" });
  const read = service.asked.filter(({ path }) => path.endsWith("/waiting")).length;
  await userEvent.click(raise);
  await waitFor(() => expect(bar().textContent).toMatch(/Somebody changed this meanwhile/));
  expect(bar().hasAttribute("data-fault")).toBe(true);
  await waitFor(() => expect(service.asked.filter(({ path }) => path.endsWith("/waiting")).length).toBeGreaterThan(read));
});

test("what can no longer be undone leaves by itself", async () => {
  new Service();
  await draw(<ActBar />, aDesk());
  showAct({ text: "Held Support", undo: undo(1.5) });
  await waitFor(() => expect(bar().textContent).toMatch(/^Held SupportUndo/));
  await waitFor(() => expect(bar().textContent).toBe(""));
});

const AGENTS: PushCandidate[] = [
  { agent_id: 1, name: "Ava Chen", verdict: "eligible", reason: { en: "free and able" }, push: "yes" },
  { agent_id: 2, name: "Ben Fischer", verdict: "on_break", reason: { en: "on break", "zh-CN": "休息中" }, push: "anyway" },
  { agent_id: 3, name: "Chen Wei", verdict: "in_call", reason: { en: "in a call" }, push: "no" },
];

test("a push says why not for each, and overrules only when that is chosen", async () => {
  const service = aService()
    .on("GET /work-items/7/candidates", { body: { items: AGENTS } })
    .on("POST /work-items/7/push", () => ({ body: { offer: { id: 5, state: "pending" }, deadline: "", undo: undo() } }));
  await drawLine();
  const opener = await screen.findByRole("button", { name: "Push to somebody: Anna Krüger" });
  await userEvent.click(opener);
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText("in a call");
  expect(within(dialog).queryByRole("button", { name: /Chen Wei/ })).toBeNull();
  expect(within(dialog).getByRole("button", { name: "Push to Ava Chen" })).toBeTruthy();
  await expectAccessible(dialog);
  await userEvent.type(within(dialog).getByLabelText("Find an agent"), "ben");
  expect(within(dialog).queryByText("Ava Chen")).toBeNull();
  await userEvent.click(within(dialog).getByRole("button", { name: "Push anyway to Ben Fischer" }));
  await waitFor(() => expect(bar().textContent).toMatch(/Pushed Anna Krüger to Ben Fischer/));
  expect(service.bodiesOf("POST /work-items/7/push")).toEqual([{ agent_id: 2, version: 3, anyway: true }]);
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("a refused push says why in the service's own words", async () => {
  const reason = { en: "Ava Chen cannot take it: in a call.", "zh-CN": "…" };
  aService()
    .on("GET /work-items/7/candidates", { body: { items: AGENTS } })
    .on("POST /work-items/7/push", { status: 409, body: { code: "cannot_take", status: 409, reason } });
  await drawLine();
  await userEvent.click(await screen.findByRole("button", { name: "Push to somebody: Anna Krüger" }));
  await userEvent.click(await screen.findByRole("button", { name: "Push to Ava Chen" }));
  await waitFor(() => expect(bar().textContent).toMatch(/^Ava Chen cannot take it: in a call\./));
});

test("why is asked for the item", async () => {
  aService();
  await drawLine();
  await userEvent.click(await screen.findByRole("button", { name: "Why? Anna Krüger" }));
  expect(explain).toHaveBeenCalledWith(7);
});

test("a queue is held with a reason, and released at once", async () => {
  const service = new Service().on("PUT /queues/support/hold", () => ({
    body: { key: "support", held_since: null, held_by: null, undo: undo() },
  }));
  const page = await draw(
    <>
      <HoldButton queue={aQueue()} />
      <HoldButton queue={aQueue({ held_since: "2026-11-22T10:00:00Z", name: { en: "Sales" } })} />
      <ActBar />
    </>,
    aDesk(),
  );
  await expectAccessible(page.container);
  await userEvent.click(screen.getByRole("button", { name: "Hold: Support" }));
  const dialog = await screen.findByRole("dialog");
  await userEvent.type(within(dialog).getByLabelText("Reason (optional)"), "fire alarm{Enter}");
  await waitFor(() => expect(bar().textContent).toMatch(/^Held Support/));
  await userEvent.click(screen.getByRole("button", { name: "Release: Sales" }));
  await waitFor(() => expect(bar().textContent).toMatch(/^Released Sales/));
  expect(service.bodiesOf("PUT /queues/support/hold")).toEqual([
    { is_held: true, reason: "fire alarm", version: 1 },
    { is_held: false, version: 1 },
  ]);
});
