import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";

import { aDesk, anAgent } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { AgentsTable } from "./AgentsTable";

const NAMES = new Map([["support", "Support"]]);
const many = Array.from({ length: 2000 }, (_, n) => {
  const since = new Date(Date.UTC(2026, 10, 22, 10) - n * 1000).toISOString();
  return anAgent({ id: n + 1, name: `Agent ${String(n + 1).padStart(4, "0")}`, since, state: n % 2 === 0 ? "available" : "talking" });
});
// jsdom lays nothing out.
beforeEach(() => void vi.spyOn(Element.prototype, "clientHeight", "get").mockReturnValue(520));

const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
const firstRow = () => screen.getAllByRole("rowheader")[0]?.textContent;

test("of 2,000 agents only those in sight are drawn, and assistive technology knows how many there are", async () => {
  new Service();
  const { container } = await draw(<AgentsTable agents={many} asOf={secondsAgo(1)} queueNames={NAMES} />, aDesk());
  await screen.findAllByRole("rowheader");
  expect(screen.getAllByRole("rowheader").length).toBeLessThan(60);
  expect(screen.getByRole("table").getAttribute("aria-rowcount")).toBe("2001");
  await expectAccessible(container);
});

test("the longest in their state come first; another column is chosen by keyboard", async () => {
  new Service();
  await draw(<AgentsTable agents={many} asOf={secondsAgo(1)} queueNames={NAMES} />, aDesk());
  expect(firstRow()).toBe("Agent 2000");
  const head = screen.getByRole("columnheader", { name: "Name" });
  within(head).getByRole("button").focus();
  await userEvent.keyboard("{Enter}");
  expect(firstRow()).toBe("Agent 0001");
  expect(head.getAttribute("aria-sort")).toBe("ascending");
});

test("words find an agent among all, also far from sight", async () => {
  new Service();
  await draw(<AgentsTable agents={many} asOf={secondsAgo(1)} queueNames={NAMES} />, aDesk());
  await userEvent.type(screen.getByRole("textbox", { name: "Find an agent" }), "agent 0777");
  expect(screen.getAllByRole("rowheader").map((row) => row.textContent)).toEqual(["Agent 0777"]);
  expect(screen.getByText("1 of 2000 you may see")).toBeTruthy();
});

test("without news for five seconds the agents are grey, say so, and their clocks stand still", async () => {
  new Service();
  const asOf = secondsAgo(61.2); // the clock of the page ticks once a second
  const ava = anAgent({ since: new Date(Date.parse(asOf) - 30_000).toISOString() });
  const { container } = await draw(<AgentsTable agents={[ava]} asOf={asOf} queueNames={NAMES} />, aDesk());
  expect(screen.getByRole("status").textContent).toMatch(/6[01] s old/);
  expect(screen.getByRole("row", { name: /Ava Chen/ }).textContent).toContain("0:30");
  expect(container.querySelector("[data-stale]")).toBeTruthy();
  await expectAccessible(container);
});

test("those of one queue are shown when they are asked for", async () => {
  new Service();
  const agents = [anAgent(), anAgent({ id: 2, name: "Ben Fischer", queues: ["de"] })];
  await draw(<AgentsTable agents={agents} asOf={secondsAgo(0)} queueNames={NAMES} asked={{ queue: "de" }} />, aDesk());
  expect(screen.getAllByRole("rowheader").map((row) => row.textContent)).toEqual(["Ben Fischer"]);
});
