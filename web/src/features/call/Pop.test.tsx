import { fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test } from "vitest";

import type { ScreenPop } from "@/api/types";
import { currentToasts, dismissToast } from "@/design/toasts";
import { switchLanguage } from "@/i18n";
import { aCandidate, aDesk, anEvidence, aPop } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { Pop } from "./Pop";
import { RingAnnouncer } from "./RingAnnouncer";

let service: Service;

beforeEach(() => {
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on("POST /offers/501/accept", { body: { offer: { id: 501, state: "accepted" }, call: { id: 42, conference: "call_42" } } })
    .on("POST /offers/501/reject", { body: { offer: { id: 501, state: "rejected" } } })
    .on("POST /voice-token", {
      body: { backend: "simulated", identity: "agent_1", token: "jwt", ttl_s: 600, connect_url: "/demo/phone/connect" },
    })
    .on("POST /demo/phone/connect", { status: 201, body: { sid: "CA1" } })
    .on("GET /demo/phone/CA1", { body: { sid: "CA1", status: "in-progress" } })
    .on("POST /calls/42/customer", { body: aPop({ state: "accepted", version: 9 }) });
});

afterEach(() => switchLanguage("en"));

const shared = anEvidence({ value: "+14155550150", is_shared: true, verified_at: null });
const many: ScreenPop["customer"] = {
  match: "many",
  profile: null,
  chosen_id: null,
  candidates: [aCandidate({ evidence: shared }), aCandidate({ id: 14, name: "Tom Becker", tier: "standard", evidence: shared })],
};

test("identity comes with its evidence, the reason and the suggested ticket", async () => {
  const { container } = await draw(<Pop pop={aPop()} hasKeys />, aDesk());
  expect(screen.getByTestId("pop-identity").textContent).toMatch(/Anna Krüger.*VIP.*\+1 \(415\) 555-0101.*Verified/);
  expect(container.textContent).toContain("You are the longest idle.");
  expect(container.textContent).toContain("T-2026-000123-8");
  expect(container.textContent).toContain("Refund approved.");
  await expectAccessible(container);
});

test("accepting by key connects the phone to the call", async () => {
  await draw(<Pop pop={aPop()} hasKeys />, aDesk());
  await userEvent.keyboard("{Control>}{Shift>}a{/Shift}{/Control}");
  await waitFor(() => expect(service.bodiesOf("POST /demo/phone/connect")).toEqual([{ token: "jwt", params: { CallId: "42" } }]));
  expect(service.bodiesOf("POST /calls/42/customer")).toEqual([]);
});

test("rejecting by button tells the service", async () => {
  await draw(<Pop pop={aPop()} hasKeys />, aDesk());
  await userEvent.click(screen.getByTestId("pop-reject"));
  await waitFor(() => expect(service.bodiesOf("POST /offers/501/reject")).toHaveLength(1));
});

test("what a telephone system rings is answered there: no buttons, no keys, no countdown", async () => {
  const pop = aPop({ customer: many, call: { ...aPop().call, is_external: true } });
  const { container } = await draw(<Pop pop={pop} hasKeys />, aDesk());
  expect(screen.getByTestId("pop-at-phone").textContent).toBe("Answer or decline at your telephone.");
  expect(screen.queryByTestId("pop-accept")).toBeNull();
  expect(screen.queryByTestId("pop-reject")).toBeNull();
  await userEvent.keyboard("{Control>}{Shift>}a{/Shift}{/Control}");
  await userEvent.keyboard("2");
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/customer")).toEqual([{ customer_id: 14 }]));
  expect(service.bodiesOf("POST /offers/501/accept")).toEqual([]);
  await expectAccessible(container);
});

test("a shared number picks nobody; a digit picks, and the choice goes with the call", async () => {
  const { container } = await draw(<Pop pop={aPop({ customer: many })} hasKeys />, aDesk());
  expect(screen.getByRole("heading").textContent).toBe("2 possible people");
  expect(container.querySelectorAll('[aria-pressed="true"]')).toHaveLength(0);
  await userEvent.keyboard("2");
  expect(screen.getByTestId("candidate-2").getAttribute("aria-pressed")).toBe("true");
  expect(screen.getByRole("heading").textContent).toBe("Tom Becker");
  await expectAccessible(container);
  await userEvent.click(screen.getByTestId("pop-accept"));
  await waitFor(() => expect(service.bodiesOf("POST /calls/42/customer")).toEqual([{ customer_id: 14 }]));
});

test.each([
  ["none", "e164", "Unknown caller", "+1 (415) 555-0101"],
  ["withheld", "withheld", "Number withheld", "Ask for a name"],
] as const)("a caller with match %s is not given a name", async (match, from_kind, title, words) => {
  const pop = aPop({ customer: { match, candidates: [], profile: null, chosen_id: null } });
  await draw(<Pop pop={{ ...pop, call: { ...pop.call, from_kind } }} hasKeys />, aDesk());
  expect(screen.getByRole("heading").textContent).toBe(title);
  expect(screen.getByTestId("pop-identity").textContent).toContain(words);
});

test.each([
  ["offer_taken", "Somebody else took this call.", "他人已接听此来电。"],
  ["offer_expired", "The time to answer was over; the call went on to the next agent.", "接听时间已过，来电已转给下一位坐席。"],
  ["offer_rescinded", "The call was withdrawn from this desk.", "来电已从此工作台撤回。"],
  ["caller_left", "The caller hung up.", "来电者已挂断。"],
])("who accepts too late is told what happened: %s, also when the pop has gone", async (code, english, chinese) => {
  service.on("POST /offers/501/accept", { status: 409, body: { code, status: 409 } });
  for (const [language, words] of [["en", english], ["zh-CN", chinese]] as const) {
    await switchLanguage(language);
    const { unmount } = await draw(<Pop pop={aPop()} hasKeys />, aDesk());
    await userEvent.click(screen.getByTestId("pop-accept"));
    expect((await screen.findByRole("alert")).textContent).toContain(words);
    unmount();
    expect(currentToasts()).toMatchObject([{ id: "offer-501", title: words, text: "Anna Krüger · T-2026-000123-8" }]);
    dismissToast("offer-501");
  }
});

test("a ringing call is announced once and leaves the focus where it is", async () => {
  const { container, queries } = await draw(
    <>
      <input aria-label="elsewhere" />
      <RingAnnouncer offers={[aPop()]} />
      <Pop pop={aPop()} hasKeys />
    </>,
    aDesk(),
  );
  const field = screen.getByLabelText("elsewhere");
  field.focus();
  fireEvent.change(field, { target: { value: "typing" } });
  expect(container.querySelectorAll('[role="alert"]')).toHaveLength(1);
  expect(screen.getByRole("alert").textContent).toBe("Incoming call: Anna Krüger, Support, waited 0:38");
  expect(document.activeElement).toBe(field);
  queries.clear();
});

test("what the carriers say of the number is told in words, and nothing is told when they say nothing", async () => {
  const of = (attestation: ScreenPop["call"]["attestation"], customer = aPop().customer) =>
    aPop({ customer, call: { ...aPop().call, attestation } });
  const said: [ScreenPop["call"]["attestation"], RegExp][] = [
    ["verified", /carrier confirms/],
    ["unknown", /do not confirm/],
    ["failed", /may be forged/],
  ];
  for (const [attestation, words] of said) {
    const { container, unmount } = await draw(<Pop pop={of(attestation)} hasKeys />, aDesk());
    expect(screen.getByTestId("pop-attestation").textContent).toMatch(words);
    await expectAccessible(container);
    unmount();
  }
  const one = { ...many, candidates: many.candidates.slice(0, 1) };
  const { unmount } = await draw(<Pop pop={of("failed", one)} hasKeys />, aDesk());
  expect(screen.getByRole("heading").textContent).toBe("1 possible person");
  expect(screen.getByTestId("pop-identity").textContent).toMatch(/\+1 \(415\) 555-0101.*may be forged/);
  unmount();
  await draw(<Pop pop={of(null)} hasKeys />, aDesk());
  expect(screen.queryByTestId("pop-attestation")).toBeNull();
});
