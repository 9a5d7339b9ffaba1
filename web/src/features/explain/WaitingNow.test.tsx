import { screen } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";

import { aDesk } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { WaitingNow } from "./WaitingNow";

let service: Service;
beforeEach(() => {
  service = new Service();
});

test("nobody waits, and it says how old that is", async () => {
  service.on("GET /calls", { body: { items: [], next_cursor: null } });
  const { container } = await draw(<WaitingNow queueNames={new Map()} />, aDesk());
  expect(await screen.findByText("Nobody is waiting.")).toBeTruthy();
  expect(screen.getByText(/^Live · \d s old$/)).toBeTruthy();
  await expectAccessible(container);
});

test("a line that cannot be read is not an empty line", async () => {
  service.on("GET /calls", { status: 503, body: { code: "unavailable", status: 503 } });
  await draw(<WaitingNow queueNames={new Map()} />, aDesk());
  expect(await screen.findByRole("button", { name: "Try again" })).toBeTruthy();
  expect(screen.queryByText("Nobody is waiting.")).toBeNull();
});
