import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { Console } from "./Console";
import { type Entry, indented, isAbout, merged, nextSince } from "./journal";

const AT = "2026-11-28T10:00:00+00:00";
const MINE = `CA${"1".repeat(32)}`;
const OTHER = `CA${"2".repeat(32)}`;
const TWIML = '<?xml version="1.0"?><Response><Say language="en-US">Welcome</Say><Enqueue waitUrl="/w">q</Enqueue></Response>';

let journal: Entry[];
let service: Service;

function anEntry(n: number, change: Partial<Entry> = {}): Entry {
  const url = "http://127.0.0.1:8080/twilio/voice";
  return { n, at: AT, kind: "webhook", sid: MINE, url, fields: { CallSid: MINE, Blank: "" }, status: 200, took_s: 0.012, answer: TWIML, ...change };
}

beforeEach(() => {
  journal = [
    anEntry(1),
    anEntry(2, { kind: "call", sid: OTHER, url: undefined, fields: undefined, answer: undefined, event: "created", status: undefined }),
    anEntry(3, { kind: "callback", sid: OTHER, url: "http://127.0.0.1:8080/twilio/status", fields: { CallSid: OTHER }, answer: "", status: 503 }),
  ];
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /demo/journal", ({ query }) => {
      const since = Number(query.get("since"));
      const items = query.get("limit") === "0" ? [] : journal.filter((entry) => entry.n > since);
      return { body: { items, next: journal.at(-1)?.n ?? 0 } };
    })
    .on("GET /demo/calls", {
      body: { items: [{ sid: MINE, status: "in-progress", from: "+14155550123", to: "+14155550199", said: [], conference: "call_7" }] },
    });
});

const rows = () => within(screen.getByTestId("console-entries")).getAllByRole("listitem");

test("shows requests with their answers, newest last, and what failed", async () => {
  const { container } = await draw(<Console />);
  await waitFor(() => expect(rows()).toHaveLength(3));
  expect(rows().map((row) => row.textContent)).toEqual([
    expect.stringContaining("/twilio/voice"),
    expect.stringContaining("created"),
    expect.stringContaining("/twilio/status"),
  ]);
  expect(rows()[2]?.querySelector("[data-bad]")?.textContent).toContain("503");
  await userEvent.click(within(rows()[0] as HTMLElement).getByText("/twilio/voice"));
  expect(rows()[0]?.querySelector("pre")?.textContent).toContain('\n  <Say language="en-US">Welcome</Say>\n  <Enqueue');
  expect(rows()[0]?.textContent).toContain("CallSid");
  expect(rows()[0]?.textContent).not.toContain("Blank");
  await expectAccessible(container);
});

test("filters by call and by kind", async () => {
  await draw(<Console />);
  await waitFor(() => expect(rows()).toHaveLength(3));
  await userEvent.click(await screen.findByRole("button", { name: /555-0123/ }));
  await waitFor(() => expect(rows()).toHaveLength(1));
  await userEvent.click(screen.getByRole("button", { name: "All calls" }));
  await userEvent.click(screen.getByRole("checkbox", { name: "Callback" }));
  await waitFor(() => expect(rows()).toHaveLength(2));
});

test("what is paused asks for nothing more, and goes on where it was", async () => {
  await draw(<Console />);
  await waitFor(() => expect(rows()).toHaveLength(3));
  await userEvent.click(screen.getByTestId("console-pause"));
  const asked = () => service.asked.filter((each) => each.path === "/demo/journal").length;
  const before = asked();
  journal.push(anEntry(4));
  await new Promise((resolve) => setTimeout(resolve, 1300));
  expect(asked()).toBe(before);
  await userEvent.click(screen.getByTestId("console-pause"));
  await waitFor(() => expect(rows()).toHaveLength(4));
});

test("a request is read again until it is answered", () => {
  const open = anEntry(5, { status: undefined, took_s: undefined, answer: undefined });
  const before = [anEntry(4), open, anEntry(6)];
  expect(nextSince(before)).toBe(4);
  const after = merged(before, [anEntry(5), anEntry(6), anEntry(7)]);
  expect(after.map((entry) => [entry.n, entry.status])).toEqual([[4, 200], [5, 200], [6, 200], [7, 200]]);
  expect(nextSince(after)).toBe(7);
  expect(merged(after, [])).toBe(after);
});

test("entries are about a call by any of its names", () => {
  expect(isAbout(anEntry(1), MINE)).toBe(true);
  expect(isAbout(anEntry(1, { sid: "CF1", fields: undefined, facts: { CallSid: MINE } }), MINE)).toBe(true);
  expect(isAbout(anEntry(1), OTHER)).toBe(false);
  expect(indented("<A><B/><C>x</C></A>")).toBe("<A>\n  <B/>\n  <C>x</C>\n</A>");
});
