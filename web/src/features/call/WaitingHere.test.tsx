import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import { currentAct } from "@/parts/acts";
import { aDesk, aQueue, aWaiting } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { WaitingHere } from "./WaitingHere";

const AT = "2026-11-22T10:00:00Z";
const masked = aWaiting({ customer: null, caller: "+14*******00" });

test("who waits in my queues is there to be taken, the longest first, without who it is", async () => {
  const service = new Service()
    .on("GET /queues/support/waiting", {
      body: { items: [masked, aWaiting({ id: 8, state: "offering" })], as_of: AT },
    })
    .on("GET /queues/de/waiting", {
      body: { items: [aWaiting({ id: 9, customer: null, caller: null, entered_at: "2026-11-22T09:59:00Z" })], as_of: AT },
    })
    .on("POST /work-items/7/pick", {
      body: {
        offer: { id: 5, state: "accepted" },
        call: { id: 42, conference: "call_42" },
        undo: { id: 88, until: new Date(Date.now() + 10_000).toISOString() },
      },
    });
  const queues = [aQueue({ waiting: 2 }), aQueue({ key: "de", name: { en: "German" }, waiting: 1 }), aQueue({ key: "idle" })];
  const { container } = await draw(<WaitingHere queues={queues} />, aDesk());
  await waitFor(() => expect(screen.getAllByRole("listitem")).toHaveLength(2));
  const [first, second] = screen.getAllByRole("listitem");
  expect(first?.textContent).toMatch(/^GermanNumber withheld/);
  expect(second?.textContent).toMatch(/^Support\+14•••••••00/);
  await expectAccessible(container);
  await userEvent.click(screen.getByRole("button", { name: "Take: +14•••••••00, Support" }));
  await waitFor(() => expect(service.bodiesOf("POST /work-items/7/pick")).toEqual([{ version: 3 }]));
  await waitFor(() => expect(currentAct()).toMatchObject({ text: "Took the call of +14•••••••00", undo: { id: 88 } }));
});

test("who was faster is told, and a held queue offers nothing to take", async () => {
  new Service()
    .on("GET /queues/support/waiting", { body: { items: [masked], as_of: AT } })
    .on("POST /work-items/7/pick", { status: 409, body: { code: "not_waiting", status: 409 } });
  await draw(<WaitingHere queues={[aQueue({ waiting: 1 }), aQueue({ key: "x", waiting: 3, held_since: AT })]} />, aDesk());
  await userEvent.click(await screen.findByRole("button", { name: /^Take/ }));
  expect((await screen.findByRole("alert")).textContent).toMatch(/not in line any more/);
});

test("nobody waits: nothing is shown", async () => {
  new Service();
  await draw(<WaitingHere queues={[aQueue()]} />, aDesk());
  expect(screen.queryByTestId("waiting-here")).toBeNull();
});
