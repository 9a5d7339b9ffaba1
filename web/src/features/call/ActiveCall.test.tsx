import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import type { Desk } from "@/api/types";
import { DESK_KEY } from "@/live/desk";
import { aCall, aDesk, aPop } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { ActiveCall } from "./ActiveCall";
import { draftKey } from "./useNote";

let service: Service;
const FINISH = "POST /calls/42/wrap-up";

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on("PUT /calls/42/note", ({ body }) => ({
      body: { ...(body as { body: string; version: number }), version: 1, saved_at: "2026-11-22T10:00:00Z" },
    }))
    .on("PUT /calls/42/result", ({ body }) => ({ body: { call_id: 42, before: null, ...(body as object) } }))
    .on("POST /calls/42/hangup", { body: { call: { id: 42, state: "wrap_up" } } })
    .on(FINISH, { body: { call: { id: 42, state: "closed" } } });
});

const desk = aDesk();
const show = (call = aCall()) =>
  draw(<ActiveCall agentId={1} call={call} dispositions={desk.dispositions} hasKeys />, { ...desk, calls: [call] });

const wrapping = aCall({
  state: "wrapping",
  ended_at: "2026-11-22T10:02:00Z",
  wrap_up_ends_at: "2099-11-22T10:02:30Z",
});

test("the note has the focus; digits written into it choose nothing, Alt and a digit does", async () => {
  const { container } = await show();
  expect(document.activeElement).toBe(screen.getByTestId("call-note"));
  await userEvent.keyboard("1 refund");
  expect(screen.getByTestId("call-note")).toHaveProperty("value", "1 refund");
  expect(container.querySelectorAll('[aria-pressed="true"]')).toHaveLength(0);
  await userEvent.keyboard("{Alt>}3{/Alt}");
  expect(screen.getByTestId("disposition-callback").getAttribute("aria-pressed")).toBe("true");
  await expectAccessible(container);
});

test("the chosen result is kept by the service, the last one last, and not by the page", async () => {
  const { queries, unmount } = await show();
  await userEvent.keyboard("{Alt>}3{/Alt}{Alt>}1{/Alt}");
  await waitFor(() => expect(queries.getQueryData<Desk>(DESK_KEY)?.calls[0]?.disposition).toBe("resolved"));
  expect(service.bodiesOf("PUT /calls/42/result")).toEqual([{ disposition: "callback" }, { disposition: "resolved" }]);
  expect(localStorage.length).toBe(0);
  unmount();
  await show(aCall({ disposition: "resolved" }));
  expect(screen.getByTestId("disposition-resolved").getAttribute("aria-pressed")).toBe("true");
});

test("a result that the service does not have yet is sent again by the next page", async () => {
  service.on("PUT /calls/42/result", { status: 503, body: { code: "unavailable", status: 503 } });
  const { unmount } = await show();
  await userEvent.click(screen.getByTestId("disposition-callback"));
  await waitFor(() => expect(service.bodiesOf("PUT /calls/42/result")).toHaveLength(1));
  unmount();
  service.on("PUT /calls/42/result", { body: { call_id: 42, before: null, disposition: "callback" } });
  await show();
  expect(screen.getByTestId("disposition-callback").getAttribute("aria-pressed")).toBe("true");
  await waitFor(() => expect(localStorage.length).toBe(0));
});

test("only the results of this queue are offered", async () => {
  await show();
  expect(screen.queryByTestId("disposition-refund")).toBeNull();
  expect(screen.getByTestId("disposition-resolved")).toBeTruthy();
});

test("what becomes of the ticket is said as soon as a result is chosen", async () => {
  await show();
  const after = () => screen.getByTestId("after-call").textContent;
  expect(after()).toBe("");
  await userEvent.click(screen.getByTestId("disposition-resolved"));
  expect(after()).toBe("The ticket will be resolved.");
  await userEvent.click(screen.getByTestId("disposition-callback"));
  expect(after()).toBe("The ticket stays open and is yours.");
});

test("a ticket of somebody else stays theirs", async () => {
  const call = aCall();
  const ticket = { ...call.pop.ticket, assignee: { id: 7, name: "Ben Fischer" } };
  await show({ ...call, pop: { ...call.pop, ticket } });
  await userEvent.click(screen.getByTestId("disposition-callback"));
  expect(screen.getByTestId("after-call").textContent).toBe("The ticket stays open and is Ben Fischer's.");
});

test("in wrap-up Ctrl+Enter saves note and result and finishes", async () => {
  await show(wrapping);
  await userEvent.keyboard("call back at four{Alt>}3{/Alt}{Control>}{Enter}{/Control}");
  await waitFor(() => expect(service.bodiesOf(FINISH)).toEqual([{ disposition: "callback", note: "call back at four" }]));
  await waitFor(() => expect(localStorage.getItem(draftKey(1, 42))).toBeNull());
});

test("a finish that fails says so, and the note goes on being saved", async () => {
  service.on(FINISH, { status: 503, body: { code: "unavailable", status: 503 } });
  await show(wrapping);
  await userEvent.keyboard("do not lose this{Control>}{Enter}{/Control}");
  expect((await screen.findByRole("alert")).textContent).toContain("Nothing was lost");
  const saved = () => service.bodiesOf("PUT /calls/42/note").at(-1);
  await waitFor(() => expect(saved()).toMatchObject({ body: "do not lose this" }));
});

test("during the call Ctrl+Enter cuts nobody off: it finishes when the call has ended", async () => {
  service.on(FINISH, { body: { call: { id: 42, state: "in_call" } } });
  await show();
  await userEvent.keyboard("soon done{Alt>}1{/Alt}{Control>}{Enter}{/Control}");
  expect(await screen.findByText("Will be finished as soon as the call ends.")).toBeTruthy();
  expect(service.bodiesOf("POST /calls/42/hangup")).toEqual([]);
  expect(service.bodiesOf(FINISH)).toEqual([{ disposition: "resolved", note: "soon done" }]);
  expect(screen.getByTestId("active-call")).toBeTruthy();
});

test("more time is asked for once, and the time left is the new one", async () => {
  service.on("POST /calls/42/wrap-up/extend", {
    body: { call: { id: 42, state: "wrapping" }, wrap_up_ends_at: "2099-11-22T10:03:00Z" },
  });
  const call = { ...wrapping, wrap_up: { mode: "timed" as const, extension_s: 30, is_requested: false } };
  const { container, queries } = await show(call);
  await expectAccessible(container);
  await userEvent.click(screen.getByRole("button", { name: "30 s more for wrap-up, once" }));
  const kept = () => queries.getQueryData<Desk>(DESK_KEY)?.calls[0];
  await waitFor(() => expect(kept()?.wrap_up_ends_at).toBe("2099-11-22T10:03:00Z"));
  expect(kept()?.wrap_up.extension_s).toBe(0);
});

test("no more time is offered where there is none", async () => {
  await show(wrapping);
  expect(screen.queryByTestId("extend-wrap-up")).toBeNull();
});

test("an extension that is refused says why", async () => {
  service.on("POST /calls/42/wrap-up/extend", { status: 409, body: { code: "wrap_up_already_extended", status: 409 } });
  await show({ ...wrapping, wrap_up: { mode: "timed", extension_s: 30, is_requested: false } });
  await userEvent.click(screen.getByTestId("extend-wrap-up"));
  expect((await screen.findByRole("alert")).textContent).toBe("This wrap-up was extended already.");
});

test.each([false, true])("wrap-up on request is asked for in the call, and taken back (asked: %s)", async (is_requested) => {
  service.on("POST /calls/42/wrap-up/request", { body: { call: { id: 42, state: "in_call" }, is_requested: !is_requested } });
  const { container } = await show(aCall({ wrap_up: { mode: "on_request", extension_s: 0, is_requested } }));
  const button = screen.getByRole("button", { name: "Wrap-up after this call", pressed: is_requested });
  await expectAccessible(container);
  await userEvent.click(button);
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/wrap-up/request")).toEqual([{ is_wanted: !is_requested }]));
});

test("a wrap-up of fixed time is saved, once, and goes on", async () => {
  service.on(FINISH, { body: { call: { id: 42, state: "wrapping" } } });
  await show({ ...wrapping, wrap_up: { mode: "timed_fixed", extension_s: 0, is_requested: false } });
  expect(screen.getByTestId("finish").textContent).toContain("Save");
  await userEvent.keyboard("sent{Alt>}3{/Alt}{Control>}{Enter}{/Control}");
  expect(await screen.findByText("Saved. Wrap-up has a fixed time here and ends by itself.")).toBeTruthy();
  expect(service.bodiesOf(FINISH)).toEqual([{ disposition: "callback", note: "sent" }]);
});

test.each([
  ["manual", "Choose a result, then finish."],
  ["optional", "Ends when you finish or go available."],
] as const)("what ends wrap-up is said: %s", async (mode, words) => {
  await show({ ...wrapping, wrap_up_ends_at: null, wrap_up: { mode, extension_s: 0, is_requested: false } });
  expect(screen.getByText(words)).toBeTruthy();
});

test("a result that is asked for and missing is said", async () => {
  service.on(FINISH, { status: 409, body: { code: "disposition_required", status: 409 } });
  await show({ ...wrapping, wrap_up_ends_at: null, wrap_up: { mode: "manual", extension_s: 0, is_requested: false } });
  await userEvent.click(screen.getByTestId("finish"));
  expect((await screen.findByRole("alert")).textContent).toContain("Choose a result first; this queue asks for one.");
});

test("hanging up by key tells the service", async () => {
  await show();
  await userEvent.keyboard("{Control>}{Shift>}h{/Shift}{/Control}");
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/hangup")).toHaveLength(1));
});

test("an unknown caller can be found or created with two fields, country and language filled in", async () => {
  const pop = aPop({ state: "accepted", customer: { match: "none", candidates: [], profile: null, chosen_id: null } });
  service
    .on("POST /customers", { status: 201, body: { id: 77 } })
    .on("POST /calls/42/customer", { body: { ...pop, version: 5 } });
  const { container } = await show(aCall({ pop: { ...pop, call: { ...pop.call, language: "de" } } }));
  await userEvent.type(await screen.findByLabelText("Or a new customer: name"), "Nora Neu");
  await userEvent.click(screen.getByRole("button", { name: "Create and attach" }));
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/customer")).toEqual([{ customer_id: 77 }]));
  expect(service.bodiesOf("POST /customers")).toEqual([{ name: "Nora Neu", language: "de", phone: "+14155550101" }]);
  await expectAccessible(container);
});

test("the customer is put on hold by key, also while the note is being written", async () => {
  service.on("POST /calls/42/hold", { body: { call: { id: 42, state: "in_call" }, hold_wanted: true } });
  const { container, queries } = await show();
  await userEvent.keyboard("{Alt>}h{/Alt}");
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/hold")).toHaveLength(1));
  await waitFor(() => expect(queries.getQueryData<Desk>(DESK_KEY)?.calls[0]?.hold_wanted).toBe(true));
  expect(screen.getByTestId("call-note")).toHaveProperty("value", "");
  await expectAccessible(container);
});

test("on hold the time of it is shown, and the same button takes the customer back", async () => {
  service.on("POST /calls/42/resume", { body: { call: { id: 42, state: "on_hold" }, hold_wanted: false } });
  const { container } = await show(aCall({ state: "on_hold", held_since: "2026-11-22T10:01:00Z", hold_wanted: true }));
  expect(screen.getByTestId("held-for").textContent).toMatch(/^on hold \d/);
  await userEvent.click(screen.getByTestId("hold"));
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/resume")).toHaveLength(1));
  await expectAccessible(container);
});

test("a hold that is refused says why", async () => {
  service.on("POST /calls/42/hold", { status: 409, body: { code: "not_in_call", status: 409 } });
  await show();
  await userEvent.click(screen.getByTestId("hold"));
  expect((await screen.findByRole("alert")).textContent).toBe("Nobody is talking in this call now.");
});

test("mute and touch tones go to the phone of this call", async () => {
  service
    .on("POST /voice-token", { body: { backend: "simulated", token: "jwt", connect_url: "/demo/phone/connect" } })
    .on("POST /demo/phone/connect", { status: 201, body: { sid: "CA1" } })
    .on("GET /demo/phone/CA1", { body: { sid: "CA1", status: "in-progress" } })
    .on("POST /demo/phone/CA1/digits", { body: { sid: "CA1" } });
  await show();
  await userEvent.click(screen.getByRole("button", { name: "Join audio" }));
  await userEvent.click(await screen.findByTestId("mute"));
  await waitFor(() => expect(screen.getByTestId("mute").getAttribute("aria-pressed")).toBe("true"));
  await userEvent.click(screen.getByTestId("keypad"));
  await userEvent.keyboard("4#");
  await userEvent.click(screen.getByRole("button", { name: "Tone 2" }));
  await waitFor(() =>
    expect(service.bodiesOf("POST /demo/phone/CA1/digits")).toEqual([{ digits: "4" }, { digits: "#" }, { digits: "2" }]),
  );
  expect(screen.getByTestId("keypad-sent").textContent).toBe("4#2");
});

const atTelephone = (change = {}) =>
  aCall({ telephone: { shown: "+49…78", state: "taken", is_mute_wanted: false, is_muted: false, ...change } });

test("who is rung on a telephone is told so, and sees no microphone", async () => {
  const { container } = await show(atTelephone({ state: "ringing" }));
  expect((await screen.findByTestId("telephone")).textContent).toBe(
    "Rings at your telephone +49…78. Press 1 there to take the call.",
  );
  expect(screen.queryByTestId("mute")).toBeNull();
  expect(screen.queryByTestId("keypad")).toBeNull();
  expect(screen.queryByText("Join audio")).toBeNull();
  await expectAccessible(container);
});

test("while the telephone rings the caller is given back, not hung up on", async () => {
  await show({ ...atTelephone({ state: "ringing" }), state: "connecting" });
  expect((await screen.findByTestId("hangup")).textContent).toContain("Give the call back");
});

test("mute of a telephone is asked of the service, and shown once it is so", async () => {
  service.on("POST /calls/42/mute", { body: { call: { id: 42, state: "in_call" }, is_mute_wanted: true } });
  await show(atTelephone());
  const mute = await screen.findByTestId("mute");
  expect(mute.getAttribute("aria-pressed")).toBe("false");
  await userEvent.click(mute);
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/mute")).toHaveLength(1));
  expect(screen.getByTestId("telephone").textContent).toContain("Touch tones: press them there.");
});

test("a telephone that is down leaves the way in by the browser", async () => {
  await show(atTelephone({ state: "over" }));
  expect(await screen.findByText("Join audio")).toBeTruthy();
});
