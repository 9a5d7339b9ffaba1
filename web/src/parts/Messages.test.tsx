import { fireEvent, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import { aDesk } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { Messages, Recordings } from "./Messages";

const MESSAGE = { id: 5, duration_s: 66, is_deleted: false };

test("a message is asked for only when somebody wants to hear it", async () => {
  new Service();
  const { container } = await draw(<Messages messages={[MESSAGE]} from="+14155550101" />, aDesk());
  expect(container.querySelector("audio")).toBeNull();
  await expectAccessible(container);
  await userEvent.click(screen.getByRole("button", { name: "Hear the message from +14155550101, 1:06" }));
  const player = container.querySelector("audio");
  expect(player?.getAttribute("src")).toBe("/api/v1/voicemails/5/audio");
  expect(player?.getAttribute("aria-label")).toBe("Message from +14155550101");
});

test("a recording that cannot be had now is said, and may be asked for again", async () => {
  new Service();
  const { container } = await draw(<Messages messages={[MESSAGE]} from="withheld" />, aDesk());
  await userEvent.click(screen.getByRole("button"));
  fireEvent.error(container.querySelector("audio") as Element);
  expect((await screen.findByRole("alert")).textContent).toMatch(/cannot be had right now/);
  await userEvent.click(screen.getByRole("button"));
  expect(container.querySelector("audio")).not.toBeNull();
});

test("a recorded call has a player of its own, of a length that may not be known yet", async () => {
  new Service();
  const { container } = await draw(<Recordings recordings={[{ ...MESSAGE, duration_s: null }]} from="x" />, aDesk());
  await userEvent.click(screen.getByRole("button", { name: /hear the call from x/ }));
  expect(container.querySelector("audio")?.getAttribute("src")).toBe("/api/v1/recordings/5/audio");
});

test("of a deleted message is told that there was one", async () => {
  new Service();
  const { container } = await draw(<Messages messages={[{ ...MESSAGE, is_deleted: true }]} from="x" />, aDesk());
  expect(screen.queryByRole("button")).toBeNull();
  expect(container.textContent).toMatch(/1:06.*deleted/);
});
