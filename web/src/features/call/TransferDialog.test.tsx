import { skipToken, useQuery } from "@tanstack/react-query";
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import type { Desk } from "@/api/types";
import { Toasts } from "@/design/Toasts";
import { DESK_KEY } from "@/live/desk";
import { aCall, aDesk, aPop } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { ActiveCall } from "./ActiveCall";
import { numberIn } from "./transferOptions";

let service: Service;
const SEND = "POST /calls/42/transfer";
const TARGETS = "GET /calls/42/transfer-targets";
const free = { en: "can take it", "zh-CN": "可接听" };
const onBreak = { en: "on a break", "zh-CN": "小休中" };
const agents = [
  { agent_id: 2, name: "Ben Fischer", can: true, reason: free },
  { agent_id: 3, name: "Chen Wei", can: true, reason: free },
  { agent_id: 4, name: "Dana Reyes", can: false, reason: onBreak },
];
const queues = [
  { key: "support", name: { en: "Support" }, waiting: 2, agents_available: 0 },
  { key: "sales", name: { en: "Sales" }, waiting: 0, agents_available: 3 },
];
let outside: string[];

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
  outside = [];
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on(TARGETS, ({ query }) => {
      const q = (query.get("q") ?? "").toLowerCase();
      return { body: { agents: agents.filter(({ name }) => name.toLowerCase().includes(q)), queues, outside } };
    })
    .on(SEND, { body: { call: { id: 42, state: "queued" } } });
});

const show = (call = aCall()) =>
  draw(<ActiveCall agentId={1} call={call} dispositions={[]} hasKeys />, { ...aDesk(), calls: [call] });
const open = async () => {
  const drawn = await show();
  await userEvent.keyboard("{Alt>}t{/Alt}");
  await screen.findByRole("option", { name: /Ben Fischer/ });
  return drawn;
};
const active = () => screen.getByRole("option", { selected: true }).textContent;

test("by keys alone: speak with an agent first", async () => {
  service.on("POST /calls/42/consult", { body: { call: { id: 42, state: "in_call" }, consult: { id: 3, state: "asking", outcome: null } } });
  await open();
  await userEvent.keyboard("chen{Enter}Two more.");
  await userEvent.keyboard("{Control>}{Shift>}{Enter}{/Shift}{/Control}");
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/consult")).toEqual([{ agent_id: 3, note: "Two more." }]));
  expect(service.bodiesOf(SEND)).toEqual([]);
});

test("by keys alone: find an agent, say why, transfer", async () => {
  await open();
  expect(document.activeElement).toBe(screen.getByTestId("transfer-find"));
  await expectAccessible(screen.getByRole("dialog"));
  await userEvent.keyboard("chen");
  await waitFor(() => expect(active()).toContain("Chen Wei"));
  await userEvent.keyboard("{Enter}");
  expect(document.activeElement).toBe(screen.getByTestId("transfer-note"));
  await expectAccessible(screen.getByRole("dialog"));
  await userEvent.keyboard("Knows the contract.{Control>}{Enter}{/Control}");
  await waitFor(() => expect(service.bodiesOf(SEND)).toEqual([{ agent_id: 3, note: "Knows the contract." }]));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(service.bodiesOf("POST /calls/42/wrap-up"), "the key was meant for the dialog").toEqual([]);
});

test("arrows go over who can take it, in the order shown, and into the queues", async () => {
  await open();
  await userEvent.keyboard("{ArrowDown}{ArrowDown}");
  expect(active()).toContain("Support");
  await userEvent.keyboard("{ArrowDown}{Enter}");
  expect(screen.getByTestId("transfer-chosen").textContent).toContain("Sales");
  await userEvent.click(screen.getByTestId("transfer-send"));
  await waitFor(() => expect(service.bodiesOf(SEND)).toEqual([{ queue: "sales" }]));
});

test("who cannot take it is shown with the reason, and cannot be chosen", async () => {
  await open();
  const dana = screen.getByRole("option", { name: /Dana Reyes/ });
  expect(dana.textContent).toContain("on a break");
  expect(dana.getAttribute("aria-disabled")).toBe("true");
  await userEvent.click(dana);
  expect(screen.queryByTestId("transfer-chosen")).toBeNull();
});

test("a number is offered only where numbers outside are allowed", async () => {
  await open();
  await userEvent.keyboard("+49 30 1234567");
  expect(await screen.findByText("Nothing found.")).toBeTruthy();
});

test("a number that is refused says so, and the call stays", async () => {
  outside = ["+49"];
  service.on(SEND, { status: 409, body: { code: "not_allowed_outside", status: 409 } });
  await open();
  await userEvent.keyboard("+1 415 555 0177");
  await waitFor(() => expect(active()).toContain("rings there"));
  await userEvent.keyboard("{Enter}{Control>}{Enter}{/Control}");
  expect((await screen.findByRole("alert")).textContent).toBe("Calls may not be transferred to this number.");
  expect(service.bodiesOf(SEND)).toEqual([{ number: "+1 415 555 0177" }]);
});

test("whoever takes it sees who gave it and what they said", async () => {
  const transfer = { by: "Ava Chen", note: "Wants two licences more.", at: "2026-11-22T10:00:00Z" };
  const { container } = await show(aCall({ pop: aPop({ state: "accepted", transfer }) }));
  expect(screen.getByTestId("pop-transfer").textContent).toBe("Transferred by Ava ChenWants two licences more.");
  await expectAccessible(container);
});

test.each([
  ["+49 (30) 123-4567", true],
  ["030/123456", true],
  ["12", false],
  ["Sales 2", false],
])("%s is dialled: %s", (words, is) => {
  expect(numberIn(words) !== null).toBe(is);
});

test("the call may leave the desk before the answer is here: it is said all the same", async () => {
  let answer: () => void = () => undefined;
  const late = new Promise<void>((resolve) => (answer = resolve));
  service.on(SEND, async () => {
    await late;
    return { body: { call: { id: 42, state: "queued" } } };
  });
  const { queries } = await draw(
    <>
      <Shown />
      <Toasts />
    </>,
    { ...aDesk(), calls: [aCall()] },
  );
  await userEvent.keyboard("{Alt>}t{/Alt}");
  await screen.findByRole("option", { name: /Ben Fischer/ });
  await userEvent.keyboard("{Enter}{Control>}{Enter}{/Control}");
  await waitFor(() => expect(service.bodiesOf(SEND)).toEqual([{ agent_id: 2 }]));
  queries.setQueryData<Desk>(DESK_KEY, (desk) => desk && { ...desk, calls: [aCall({ state: "wrapping" })] });
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  answer();
  expect(await screen.findByText("Transferred to Ben Fischer")).toBeTruthy();
});

function Shown() {
  const { data } = useQuery<Desk>({ queryKey: DESK_KEY, queryFn: skipToken });
  const call = data?.calls[0];
  return call ? <ActiveCall agentId={1} call={call} dispositions={[]} hasKeys /> : null;
}

test("a call that we have made goes on only after somebody was spoken with", async () => {
  service.on("POST /calls/42/consult", { body: { call: { id: 42, state: "in_call" }, consult: { id: 3, state: "asking", outcome: null } } });
  const call = aCall();
  await show({ ...call, pop: { ...call.pop, call: { ...call.pop.call, direction: "outbound" } } });
  await userEvent.keyboard("{Alt>}t{/Alt}");
  await screen.findByRole("option", { name: /Ben Fischer/ });
  await userEvent.keyboard("chen{Enter}");
  expect(await screen.findByTestId("consult-send")).toBeTruthy();
  expect(screen.queryByTestId("transfer-send")).toBeNull();
  await userEvent.keyboard("{Control>}{Enter}{/Control}");
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/consult")).toHaveLength(1));
  expect(service.bodiesOf(SEND)).toEqual([]);
});
