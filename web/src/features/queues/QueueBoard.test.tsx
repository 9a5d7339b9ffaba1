import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import { aDesk, aQueue } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { QueueBoard } from "./QueueBoard";

const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

test("fresh numbers show their age, old ones say that they are old", async () => {
  new Service();
  const { container } = await draw(<QueueBoard queues={[aQueue({ waiting: 2, longest_wait_s: 30 })]} asOf={secondsAgo(1)} />, aDesk());
  expect(screen.getByTestId("queue-row-support").textContent).toMatch(/Support2/);
  expect(screen.getByTestId("queue-board").hasAttribute("data-stale")).toBe(false);
  await expectAccessible(container);
});

test("after five seconds without news the board is grey", async () => {
  new Service();
  await draw(<QueueBoard queues={[aQueue()]} asOf={secondsAgo(9)} />, aDesk());
  expect(screen.getByTestId("queue-board").hasAttribute("data-stale")).toBe(true);
  expect(screen.getByRole("status").textContent).toMatch(/old/);
});

test("a queue without a decided call has no service level, not zero", async () => {
  new Service();
  const empty = aQueue({ service_level: { numerator: 0, denominator: 0, within_s: 20, target: 0.8 } });
  await draw(<QueueBoard queues={[empty]} asOf={secondsAgo(0)} />, aDesk());
  expect(screen.getByTestId("queue-row-support").lastElementChild?.textContent).toBe("—");
});

test("a queue that a supervisor holds says so", async () => {
  new Service();
  const queues = [aQueue({ held_since: secondsAgo(60) }), aQueue({ key: "sales", name: { en: "Sales" } })];
  const { container } = await draw(<QueueBoard queues={queues} asOf={secondsAgo(0)} />, aDesk());
  expect(screen.getByTestId("queue-row-support").textContent).toMatch(/on hold/);
  expect(screen.getByTestId("queue-row-sales").textContent).not.toMatch(/on hold/);
  await expectAccessible(container);
});

test("a row opens its line by keyboard, and Escape closes it and gives the focus back", async () => {
  new Service();
  const { container } = await draw(
    <QueueBoard
      queues={[aQueue()]}
      asOf={secondsAgo(0)}
      line={({ key }) => <button type="button">in line of {key}</button>}
      acts={({ key }) => <button type="button">hold {key}</button>}
    />,
    aDesk(),
  );
  const opener = screen.getByRole("button", { name: "Support" });
  opener.focus();
  await userEvent.keyboard("{Enter}");
  expect(opener.getAttribute("aria-expanded")).toBe("true");
  await expectAccessible(container);
  screen.getByRole("button", { name: "in line of support" }).focus();
  await userEvent.keyboard("{Escape}");
  expect(screen.queryByText("in line of support")).toBeNull();
  expect(document.activeElement).toBe(opener);
  expect(screen.getByRole("button", { name: "hold support" })).toBeTruthy();
});

test("the sum says of what it is one, adds service levels before it divides, and leaves tickets out", async () => {
  new Service();
  const level = (numerator: number, denominator: number) => ({ numerator, denominator, within_s: 20, target: 0.8 });
  const queues = [
    aQueue({ waiting: 2, longest_wait_s: 30, service_level: level(1, 1) }),
    aQueue({ key: "sales", waiting: 1, longest_wait_s: 90, service_level: level(0, 3) }),
    aQueue({ key: "mail", channel: "ticket", waiting: 40, longest_wait_s: 9000, service_level: level(0, 0) }),
  ];
  const { container } = await draw(<QueueBoard queues={queues} asOf={secondsAgo(0)} total="All 2 queues of calls" />, aDesk());
  const total = screen.getByTestId("queue-total");
  const cells = [...total.children].map((cell) => cell.textContent);
  expect(cells[0]).toBe("All 2 queues of calls");
  expect(cells[1]).toBe("3");
  expect(cells[2]).toMatch(/^1:3[01]$/);
  expect(cells.at(-1)).toBe("25.0 %");
  await expectAccessible(container);
});

test("every number opens what is behind it, by keyboard too; what a ticket queue has no figures of stays a number", async () => {
  new Service();
  const opened = vi.fn<(number: string, queue?: { key: string }) => void>();
  const queues = [aQueue({ waiting: 2, longest_wait_s: 30, abandoned_today: 7 }), aQueue({ key: "sales", name: { en: "Sales" } }), aQueue({ key: "mail", name: { en: "Mail" }, channel: "ticket" })];
  const { container } = await draw(
    <QueueBoard queues={queues} asOf={secondsAgo(0)} total="All 2 queues" onOpen={(number, queue) => opened(number, queue)} />,
    aDesk(),
  );
  const buttons = [...screen.getByTestId("queue-row-support").querySelectorAll("button")];
  for (const button of buttons) {
    button.focus();
    await userEvent.keyboard("{Enter}");
  }
  expect(opened.mock.calls.map(([number, queue]) => `${number} ${queue?.key}`)).toEqual(
    ["waiting_now", "longest_wait_now", "ringing", "in_call", "free", "answered", "abandoned", "service_level"].map((number) => `${number} support`),
  );
  expect(screen.getByRole("button", { name: "gave up, Support: 7. Formula and contacts" }).textContent).toBe("7");
  await userEvent.click(screen.getByRole("button", { name: /^answered, All 2 queues/ }));
  expect(opened).toHaveBeenLastCalledWith("answered", undefined);
  expect(screen.getByTestId("queue-row-mail").querySelectorAll("button")).toHaveLength(4);
  await expectAccessible(container);
});
