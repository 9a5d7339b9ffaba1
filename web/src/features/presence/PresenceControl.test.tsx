import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import { aDesk, aPresence } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { PresenceControl } from "./PresenceControl";

let service: Service;

beforeEach(() => {
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on("PUT /presence", { body: aPresence({ version: 9 }) });
});

test("a break is taken with its reason", async () => {
  const { container } = await draw(<PresenceControl presence={aPresence()} work="idle" />, aDesk());
  await userEvent.click(screen.getByTestId("presence"));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Lunch" }));
  await waitFor(() => expect(service.bodiesOf("PUT /presence")).toEqual([{ state: "break", reason: "lunch" }]));
  await expectAccessible(container);
});

test("a state set by the service comes with the way back", async () => {
  await draw(<PresenceControl presence={aPresence({ state: "not_responding" })} work="idle" />, aDesk());
  await userEvent.click(screen.getByRole("button", { name: "Back to available" }));
  await waitFor(() => expect(service.bodiesOf("PUT /presence")).toEqual([{ state: "available" }]));
});

test("what the agent does is shown before that they are available", async () => {
  await draw(<PresenceControl presence={aPresence()} work="wrapping" />, aDesk());
  expect(screen.getByTestId("presence").textContent).toContain("Wrap-up");
});

test("what was chosen for after the call is shown and can be taken back", async () => {
  const next = aPresence({ next: "break", next_reason: "lunch" });
  const { container } = await draw(<PresenceControl presence={next} work="in_call" />, aDesk());
  expect(screen.getByTestId("next-presence").textContent).toBe("After this call: Lunch");
  await expectAccessible(container);
  await userEvent.click(screen.getByRole("button", { name: "Take this back" }));
  await waitFor(() => expect(service.bodiesOf("PUT /presence")).toEqual([{ state: "available" }]));
});

test("the list says that a choice waits for the end of the call, and marks the choice", async () => {
  await draw(<PresenceControl presence={aPresence({ next: "offline" })} work="wrapping" />, aDesk());
  await userEvent.click(screen.getByTestId("presence"));
  expect(await screen.findByText("Applies when this call and its wrap-up are over")).toBeTruthy();
  expect(screen.getByRole("menuitem", { name: "Offline" }).getAttribute("aria-current")).toBe("true");
  expect(screen.getByRole("menuitem", { name: "Available" }).getAttribute("aria-current")).toBeNull();
});
