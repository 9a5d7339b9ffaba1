import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";

import type { Figure, Metric } from "@/api/types";
import { updateCaches } from "@/live/caches";
import { aDesk, aFigures, aMetric, aQueue } from "@/test/builders";
import { eventually } from "@/test/eventually";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { FiguresPage } from "./FiguresPage";
import type { FiguresSearch } from "./search";

const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
const count = (value: number | null): Figure => ({ value, numerator: value, denominator: null });
const ratio = (value: number | null, numerator: number, denominator: number): Figure => ({ value, numerator, denominator });
const NOW: Partial<Metric> = { unit: "count", denominator: [], is_of_now: true, has_contacts: false };
const CATALOGUE = [
  aMetric(),
  aMetric({ key: "service_level_answered", name: { en: "Service level of answered" }, denominator: ["answered"] }),
  aMetric({ key: "waiting_now", name: { en: "Waiting now" }, numerator: ["waiting_now"], ...NOW }),
  aMetric({ key: "offered", name: { en: "Offered" }, unit: "count", numerator: ["offered"], denominator: [] }),
  aMetric({ key: "asa", name: { en: "Average speed of answer" }, unit: "seconds", numerator: ["wait_answered_us"], denominator: ["answered"] }),
  aMetric({ key: "occupancy", name: { en: "Occupancy" }, numerator: ["talking_us"], denominator: ["talking_us", "available_us"], has_contacts: false }),
];
const SUPPORT = {
  service_level: ratio(50, 1, 2),
  service_level_answered: ratio(100, 1, 1),
  waiting_now: count(1),
  offered: count(3),
  asa: ratio(9, 9, 1),
};
const SALES = {
  service_level: ratio(null, 0, 0),
  service_level_answered: ratio(null, 0, 0),
  waiting_now: count(0),
  offered: count(0),
  asa: ratio(null, 0, 0),
};

function aRow(queue: string, name: string, figures: Record<string, Figure>) {
  const at = "2026-11-22T00:00:00Z";
  return { queue, queue_name: { en: name }, agent_id: null, agent_name: null, start: at, end: at, figures };
}

function aService(age_s = 0) {
  return new Service()
    .on("GET /metrics", { body: { items: CATALOGUE } })
    .on("GET /figures", ({ query }) => ({
      body: aFigures({
        as_of: secondsAgo(age_s),
        total: query.get("group") === "queue" ? SUPPORT : { occupancy: ratio(75, 300, 400) },
        rows:
          query.get("group") === "queue"
            ? [aRow("support", "Support", SUPPORT), aRow("sales", "Sales", SALES)]
            : [{ ...aRow("", "", { occupancy: ratio(75, 300, 400) }), agent_id: 1, agent_name: "Ava Chen" }],
      }),
    }));
}

function Shown({ first = {} }: { first?: FiguresSearch }) {
  const [search, setSearch] = useState(first);
  return (
    <FiguresPage search={search} onSearch={setSearch} line={(queue) => <p>line of {queue}</p>} onExplain={() => undefined} />
  );
}

test("tiles show the totals of the service, and a queue without a call has a dash", async () => {
  aService();
  const { container } = await draw(<Shown />, aDesk());
  expect((await screen.findByTestId("tile-service_level")).textContent).toMatch(/50\.0 %1 ÷ 2/);
  expect((await screen.findByTestId("tile-occupancy")).textContent).toMatch(/75\.0 %5:00 ÷ 6:40/);
  const sales = within(screen.getByTestId("figures-row-sales")).getAllByRole("cell");
  expect(sales.map((cell) => cell.textContent).filter((text) => text !== "")).toEqual(["—", "0", "0", "—"]);
  expect(screen.getByTestId("figures-total").textContent).toMatch(/Σ.*50\.0 %/);
  await expectAccessible(container);
});

test("without news for five seconds a tile is grey and says so to those who do not see it", async () => {
  aService(9);
  await draw(<Shown />, aDesk());
  const tile = await screen.findByTestId("tile-offered");
  expect(tile.hasAttribute("data-stale")).toBe(true);
  expect(tile.textContent).toMatch(/Out of date/);
  expect(tile.textContent).toMatch(/(8|9|10) s/);
});

test("the chosen reading is the one that is shown", async () => {
  aService();
  await draw(<Shown first={{ reading: "service_level_answered" }} />, aDesk());
  expect((await screen.findByTestId("tile-service_level_answered")).textContent).toMatch(/100 %/);
  expect(screen.queryByTestId("tile-service_level")).toBeNull();
});

test("a number opens its formula, a total its queues, a queue its contacts, and closing gives the focus back", async () => {
  const contact = {
    kind: "stay", at: secondsAgo(60), call_id: 7, work_item_id: 8, offer_id: null, agent_id: null, agent_name: null,
    ticket: { id: 123, number: "T-2026-000123-8" }, outcome: "answered", wait_s: 9, talk_s: null, wrap_s: null,
  };
  const service = aService().on("GET /figures/contacts", ({ query }) => ({
    body: { items: query.get("part") === "numerator" ? [contact] : [contact, { ...contact, work_item_id: 9 }], next_cursor: null },
  }));
  await draw(<Shown />, aDesk());
  const tile = await screen.findByTestId("tile-service_level");
  tile.focus();
  await userEvent.keyboard("{Enter}");
  const dialog = await screen.findByRole("dialog");
  expect(dialog.textContent).toMatch(/All queues you may see \(Σ\).*answered within T ÷ .*service_level, version 1/);
  expect(within(screen.getByTestId("readings")).getAllByRole("row").map((row) => row.textContent)).toEqual([
    "Service level1 ÷ 250.0 %",
    "Service level of answered1 ÷ 1100 %",
  ]);
  await userEvent.click(within(dialog).getByRole("button", { name: "Support" }));
  expect((await screen.findAllByRole("link", { name: "T-2026-000123-8" })).length).toBe(1);
  await userEvent.click(screen.getByRole("radio", { name: "Denominator" }));
  await eventually(() => expect(screen.getAllByRole("link", { name: "T-2026-000123-8" }).length).toBe(2));
  expect(service.asked.filter(({ path }) => path === "/figures/contacts").map(({ query }) => query.get("queue"))).toEqual(["support", "support"]);
  await expectAccessible(dialog);
  await userEvent.keyboard("{Escape}");
  await eventually(() => expect(screen.queryByRole("dialog")).toBeNull());
  await eventually(() => expect(document.activeElement).toBe(tile));
});

test("what is of this moment opens the line, what is made of time its agents", async () => {
  aService();
  const { unmount } = await draw(<Shown first={{ metric: "waiting_now", queue: "support" }} />, aDesk());
  await screen.findByText("line of support");
  unmount();
  await draw(<Shown first={{ metric: "occupancy" }} />, aDesk());
  expect((await screen.findByTestId("figure-agents")).textContent).toMatch(/Ava Chen5:006:4075\.0 %/);
});

test("when the socket tells that a queue has moved, the figures are read again at once", async () => {
  const service = aService();
  const { queries } = await draw(<Shown />, aDesk());
  await screen.findByTestId("tile-occupancy");
  const before = service.asked.length;
  const data = { queues: [aQueue()] };
  updateCaches(queries, { seq: null, type: "queue_stats", v: 1, at: secondsAgo(0), data });
  await eventually(() => expect(service.asked.length).toBeGreaterThan(before));
});
