import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";

import type { Wall, WallQueue } from "@/api/types";
import { aDesk } from "@/test/builders";
import { eventually } from "@/test/eventually";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { WallView } from "./WallView";

const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

function aWallQueue(change: Partial<WallQueue> = {}): WallQueue {
  return {
    key: "support",
    name: { en: "Support" },
    is_held: false,
    waiting: 2,
    longest_wait_s: 30,
    agents_available: 1,
    agents_signed_in: 4,
    answered_today: 10,
    abandoned_today: 1,
    service_level: { numerator: 8, denominator: 10, within_s: 20, target: 0.8 },
    ...change,
  };
}

function aWall(change: Partial<Wall> = {}): Wall {
  const total = { waiting: 2, longest_wait_s: 30, answered_today: 10, abandoned_today: 1, numerator: 8, denominator: 10 };
  return { as_of: secondsAgo(0), total, queues: [aWallQueue()], ...change };
}

const many = Array.from({ length: 7 }, (_, n) => aWallQueue({ key: `q${n}`, name: { en: `Queue ${n}` } }));
const tiles = () => [...document.querySelectorAll('[data-testid^="wall-q"]')].map((tile) => tile.getAttribute("data-testid"));
const calm = globalThis.matchMedia;
afterEach(() => vi.stubGlobal("matchMedia", calm));

test("a table says all of it, and who sees the screen sees it large", async () => {
  new Service().on("GET /wall", { body: aWall() });
  const { container } = await draw(<WallView token="rdw_x" theme="dark" />, aDesk());
  const table = await screen.findByRole("table", { name: "Wallboard" });
  expect(within(table).getAllByRole("row").map((row) => row.textContent)).toEqual([
    "Queuewaitinglongest waitservice level todayfreeansweredgave up",
    "Support20:3080.0 %1/4101",
    "All queues (Σ)20:3080.0 %—101",
  ]);
  expect(screen.getByTestId("wall-support").textContent).toMatch(/80\.0 %goal 80 % met/);
  await expectAccessible(container);
});

test("nothing decided is a dash", async () => {
  const none = aWallQueue({ waiting: 0, longest_wait_s: null, service_level: { numerator: 0, denominator: 0, within_s: 20, target: 0.8 } });
  new Service().on("GET /wall", { body: aWall({ queues: [none] }) });
  await draw(<WallView token="rdw_x" theme="light" />, aDesk());
  expect((await screen.findByTestId("wall-support")).textContent).toMatch(/0waiting—longest wait—service level/);
});

test("without news for five seconds it is grey and says so", async () => {
  new Service().on("GET /wall", { body: aWall({ as_of: secondsAgo(20) }) });
  await draw(<WallView token="rdw_x" theme="dark" />, aDesk());
  expect((await screen.findByText(/Out of date/)).getAttribute("role")).toBe("status");
  expect(document.querySelector("[data-stale]")).toBeTruthy();
});

test("pages turn by themselves, stop when asked, and go by hand", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
  try {
    new Service().on("GET /wall", () => ({ body: aWall({ queues: many }) }));
    await draw(<WallView token="rdw_x" theme="dark" every={15} />, aDesk());
    await screen.findByTestId("wall-q0");
    expect(tiles()).toEqual(["wall-q0", "wall-q1", "wall-q2", "wall-q3"]);
    await vi.advanceTimersByTimeAsync(15_000);
    await eventually(() => expect(tiles()).toEqual(["wall-q4", "wall-q5", "wall-q6"]));
    const user = userEvent.setup({ advanceTimers: (ms) => vi.advanceTimersByTime(ms) });
    await user.click(screen.getByRole("button", { name: "Stop turning the pages" }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tiles()).toEqual(["wall-q4", "wall-q5", "wall-q6"]);
    await user.click(screen.getByRole("button", { name: "Next queues" }));
    expect(tiles()).toEqual(["wall-q0", "wall-q1", "wall-q2", "wall-q3"]);
  } finally {
    vi.useRealTimers();
  }
});

test("who has asked for less motion turns the pages by hand", async () => {
  vi.stubGlobal("matchMedia", (query: string) => 
    Object.assign(calm(query), { matches: query.includes("reduced-motion") }),
  );
  new Service().on("GET /wall", () => ({ body: aWall({ queues: many }) }));
  await draw(<WallView token="rdw_x" theme="dark" />, aDesk());
  expect(await screen.findByRole("button", { name: "Turn the pages" })).toBeTruthy();
});

test("a link that was revoked says so and asks no more", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
  try {
    const service = new Service().on("GET /wall", { status: 403, body: { code: "wallboard_unknown", status: 403 } });
    await draw(<WallView token="rdw_x" theme="dark" />, aDesk());
    expect((await screen.findByRole("alert")).textContent).toMatch(/Ask a supervisor/);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(service.asked.filter(({ path }) => path === "/wall").length).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
