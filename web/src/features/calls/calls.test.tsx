import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";

import type { CallLogEntry, Me, MissedContact } from "@/api/types";
import { startOf } from "@/format/time";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { CallLogPage } from "./CallLogPage";
import { type CallsSearch, parseCallsSearch } from "./search";

const ME: Me = { id: 7, email: "ava@example.com", name: "Ava", role: "agent", language: "en" };
const AT = "2026-11-27T10:00:00Z";

function aCall(more: Partial<CallLogEntry> = {}): CallLogEntry {
  return {
    id: 1, sid: "CA1", state: "closed", outcome: "answered", queue: "support", from: "+14155550123", from_kind: "e164", to: "+14155550199", direction: "inbound",
    created_at: AT, queued_at: AT, answered_at: "2026-11-27T10:00:20Z", ended_at: "2026-11-27T10:02:00Z", ended_by: "customer", source: "webhook", disposition: null,
    menu_choice: null, menu_path: null, agent: { id: 7, name: "Ava" }, customer: null, ticket: null, missed: null, work_item_id: 1, conference: "call_1",
    legs: [{ sid: "CA1", kind: "customer", state: "completed", agent_id: null, agent: null, started_at: AT, ended_at: null }],
    segments: [{ kind: "talk", agent_id: 7, agent: "Ava", started_at: "2026-11-27T10:00:20Z", ended_at: "2026-11-27T10:02:00Z" }],
    offers: [{ id: 1, agent_id: 7, agent: "Ava", state: "completed", at: AT }], voicemails: [], recordings: [], ...more,
  };
}

function aMissed(more: Partial<MissedContact> = {}): MissedContact {
  return {
    id: 4, number: "+14155550123", number_kind: "e164", to: "+14155550199", queue: "support", outcome: "abandoned_queue", calls: 3, first_at: AT, last_at: AT,
    last_call_id: 1, owner: null, state: "open", result: null, note: null, done_at: null, done_by: null, done_call_id: null, customer: null, ticket: null,
    voicemails: [], version: 3, ...more,
  };
}

function aService(missed: MissedContact[] = [aMissed(), aMissed({ id: 5, number: null, number_kind: "withheld", calls: 1, version: 1 })]) {
  return new Service()
    .on("GET /queues", { body: { items: [] } })
    .on("GET /calls", { body: { items: [aCall()], next_cursor: null } })
    .on("GET /missed-contacts", { body: { items: missed, next_cursor: null } })
    .on("GET /missed-contacts/count", { body: { open: missed.length } });
}

function Shown({ first = {} }: { first?: CallsSearch }) {
  const [search, setSearch] = useState(first);
  return <CallLogPage me={ME} search={search} onSearch={setSearch} />;
}

test("a call is one row, and opens by key to what happened in it", async () => {
  aService();
  await draw(<Shown />);
  const opener = await screen.findByRole("button", { name: /^Inbound/ });
  expect(screen.getAllByRole("row")).toHaveLength(2);
  opener.focus();
  await userEvent.keyboard("{Enter}");
  expect(await screen.findByText("Ava talked")).toBeTruthy();
  expect(screen.getByText("Rang at Ava: accepted")).toBeTruthy();
  expect(opener.getAttribute("aria-expanded")).toBe("true");
  await expectAccessible(screen.getByRole("main"));
});

test("the filters are the address, and what is asked", async () => {
  const service = aService();
  await draw(<Shown first={{ direction: "outbound", outcome: "answered", number: "+1415", from: "2026-11-01", to: "2026-11-02" }} />);
  await screen.findByRole("button", { name: /^Inbound/ });
  const asked = service.asked.find(({ path }) => path === "/calls")?.query;
  expect(asked?.get("direction")).toBe("outbound");
  expect(asked?.get("outcome")).toBe("answered");
  expect(asked?.get("number")).toBe("+1415");
  expect(asked?.get("since")).toBe(startOf("2026-11-01"));
  expect(asked?.get("until")).toBe(startOf("2026-11-03"));
});

test("an address that was tampered with asks for nothing odd", () => {
  const odd = parseCallsSearch({ view: "x", direction: "up", agent: -1, customer: "1e99", number: "", from: "yesterday", owner: "9" });
  expect(Object.values(odd).filter((value) => value !== undefined)).toEqual([]);
  expect(parseCallsSearch({ number: 14155550123, agent: "7" })).toMatchObject({ number: "14155550123", agent: 7 });
});

test("many are done at once, and taken back from the bar", async () => {
  const service = aService()
    .on("POST /missed-contacts/done", { body: { changed: [{ id: 4, version: 4 }], skipped: [{ id: 5, code: "version_conflict" }] } })
    .on("POST /missed-contacts/reopen", { body: { changed: [{ id: 4, version: 5 }], skipped: [] } });
  await draw(<Shown first={{ view: "missed" }} />);
  const user = userEvent.setup();
  await user.click(await screen.findByRole("checkbox", { name: "Choose all that are shown" }));
  await user.click(screen.getByRole("button", { name: "Mark 2 done" }));
  await user.click(await screen.findByRole("menuitem", { name: "No need" }));
  expect(await screen.findByText("1 is done. 1 has changed meanwhile and stays.")).toBeTruthy();
  expect(service.bodiesOf("POST /missed-contacts/done")).toEqual([
    { items: [{ id: 4, version: 3 }, { id: 5, version: 1 }], result: "no_need" },
  ]);
  await user.click(screen.getByRole("button", { name: /Undo/ }));
  expect(service.bodiesOf("POST /missed-contacts/reopen")).toEqual([{ items: [{ id: 4, version: 4 }] }]);
});

test("one takes a missed contact; what others have is not theirs to take", async () => {
  const service = aService([aMissed(), aMissed({ id: 6, number: "+14155550188", owner: { id: 8, name: "Ben" } })]).on(
    "PUT /missed-contacts/4/owner",
    { body: aMissed({ owner: { id: 7, name: "Ava" } }) },
  );
  await draw(<Shown first={{ view: "missed" }} />);
  const list = await screen.findByTestId("missed-table");
  expect(within(list).getByText("Ben")).toBeTruthy();
  await userEvent.click(within(list).getByRole("button", { name: /^Take/ }));
  expect(service.bodiesOf("PUT /missed-contacts/4/owner")).toEqual([{ agent_id: 7 }]);
  await expectAccessible(screen.getByRole("main"));
});

test("who gave up in a menu is said to have done so there, and may be blocked by who leads", async () => {
  aService().on("GET /calls", { body: { items: [aCall({ outcome: "abandoned_ivr", menu_path: "main/shop" })], next_cursor: null } });
  const search: CallsSearch = {};
  await draw(<CallLogPage me={{ ...ME, role: "supervisor" }} search={search} onSearch={() => undefined} />);
  await userEvent.click(await screen.findByRole("button", { name: /^Inbound/ }));
  expect(await screen.findByText("Menu: main › shop.")).toBeTruthy();
  const link = screen.getByRole("link", { name: /^Block .*555-0123/ });
  expect(link.getAttribute("href")).toContain(encodeURIComponent("+14155550123"));
});
