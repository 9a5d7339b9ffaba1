import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import type { ActiveCall as Call, CallConsult } from "@/api/types";
import { aCall, aDesk, aPop } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { ActiveCall } from "./ActiveCall";
import { Pop } from "./Pop";

let service: Service;
const COMPLETE = "POST /calls/42/consult/complete";
const END = "POST /calls/42/consult/end";
const done = (outcome: string) => ({ body: { call: { id: 42, state: "in_call" }, consult: { id: 3, state: "over", outcome } } });

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on(COMPLETE, done("completed"))
    .on(END, done("returned"));
});

const aConsult = (change: Partial<CallConsult> = {}): CallConsult => ({
  id: 3,
  is_asker: true,
  state: "talking",
  outcome: null,
  to: "agent",
  who: "Ben Fischer",
  queue_name: null,
  since: new Date().toISOString(),
  ...change,
});
const show = (consult: CallConsult, change: Partial<Call> = {}) => {
  const call = aCall({ state: "on_hold", hold_wanted: true, consult, ...change });
  return draw(<ActiveCall agentId={1} call={call} dispositions={[]} hasKeys />, { ...aDesk(), calls: [call] });
};

test("says with whom one speaks, and hands over by a key", async () => {
  await show(aConsult());
  const strip = screen.getByTestId("consult");
  expect(strip.textContent).toContain("Speaking with Ben Fischer");
  expect(strip.textContent).toContain("The caller is on hold and does not hear you.");
  await expectAccessible(strip);
  await userEvent.keyboard("{Alt>}c{/Alt}");
  await waitFor(() => expect(service.bodiesOf(COMPLETE)).toHaveLength(1));
});

test("nobody can be handed over to who is not there yet, but one can go back", async () => {
  await show(aConsult({ state: "asking" }));
  expect(screen.getByTestId("consult").textContent).toContain("Asking Ben Fischer…");
  expect(screen.getByTestId<HTMLButtonElement>("consult-complete").disabled).toBe(true);
  await userEvent.keyboard("{Alt>}c{/Alt}{Alt>}b{/Alt}");
  await waitFor(() => expect(service.bodiesOf(END)).toHaveLength(1));
  expect(service.bodiesOf(COMPLETE)).toHaveLength(0);
});

test("hanging up and transferring wait until it is over; off hold, the three talk", async () => {
  await show(aConsult(), { state: "in_call", hold_wanted: false });
  expect(screen.queryByTestId("hangup")).toBeNull();
  expect(screen.queryByTestId("transfer")).toBeNull();
  screen.getByTestId("hold");
  expect(screen.getByTestId("consult").textContent).toContain("The caller hears you both.");
});

test("who is consulted may leave, and neither holds nor finishes the call", async () => {
  await show(aConsult({ is_asker: false, who: "Ava Chen" }), { state: "consulted" });
  expect(screen.getByTestId("consult").textContent).toContain("Ava Chen is consulting you");
  for (const id of ["consult-complete", "hold", "hangup", "finish"]) expect(screen.queryByTestId(id)).toBeNull();
  await userEvent.click(screen.getByTestId("consult-end"));
  await waitFor(() => expect(service.bodiesOf(END)).toHaveLength(1));
});

test.each([
  ["declined", "Ben Fischer did not take it."],
  ["left", "Ben Fischer has left."],
  ["not_reached", "Ben Fischer could not be reached."],
])("an end that was not one's own is said: %s", async (outcome, words) => {
  await show(aConsult({ state: "over", outcome }), { state: "in_call", hold_wanted: false });
  expect(screen.getByTestId("consult-ended").textContent).toContain(words);
  screen.getByTestId("hangup");
  await userEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(screen.queryByTestId("consult-ended")).toBeNull();
});

test("what one has ended oneself needs no word", async () => {
  await show(aConsult({ state: "over", outcome: "returned" }), { state: "in_call" });
  expect(screen.queryByTestId("consult-ended")).toBeNull();
});

test("a refusal is said in the strip", async () => {
  service.on(COMPLETE, { status: 409, body: { code: "consult_over", status: 409 } });
  await show(aConsult());
  await userEvent.click(screen.getByTestId("consult-complete"));
  await screen.findByText("They are not there any more.");
});

test("the pop says who asks, and that the call stays theirs", async () => {
  const pop = aPop({ consult: { by: "Ava Chen", note: "Wants two licences more.", at: new Date().toISOString() } });
  await draw(<Pop pop={pop} hasKeys />, { ...aDesk(), offers: [pop] });
  const told = screen.getByTestId("pop-consult");
  expect(told.textContent).toContain("Ava Chen wants to speak with you about this call");
  expect(told.textContent).toContain("Wants two licences more.");
});
