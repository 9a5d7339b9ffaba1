import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";

import { setKeysOff, useDigits, useShortcut } from "./shortcuts";

const run = vi.fn<(what: string) => void>();

function Page() {
  useShortcut("accept", () => run("accept"));
  useShortcut("goTickets", () => run("tickets"));
  useShortcut("help", () => run("help"));
  useDigits((digit) => run(`digit ${digit}`), true);
  return (
    <>
      <textarea aria-label="note" />
      <button type="button">button</button>
      <div role="menu" tabIndex={-1} data-testid="menu" />
    </>
  );
}

afterEach(() => {
  run.mockClear();
  setKeysOff(false);
});

test("single keys run when nobody types", async () => {
  const { getByRole } = render(<Page />);
  getByRole("button").focus();
  await userEvent.keyboard("t?2");
  expect(run.mock.calls.flat()).toEqual(["tickets", "help", "digit 2"]);
});

test("while typing only keys with Ctrl or Alt run", async () => {
  const { getByRole } = render(<Page />);
  getByRole("textbox").focus();
  await userEvent.keyboard("t?2{Alt>}3{/Alt}{Control>}{Shift>}a{/Shift}{/Control}");
  expect(run.mock.calls.flat()).toEqual(["digit 3", "accept"]);
  expect(getByRole("textbox")).toHaveProperty("value", "t?2");
});

test("an open menu keeps its keys", async () => {
  const { getByTestId } = render(<Page />);
  getByTestId("menu").focus();
  await userEvent.keyboard("t1");
  expect(run).not.toHaveBeenCalled();
});

test("all keys can be switched off", async () => {
  render(<Page />);
  setKeysOff(true);
  await userEvent.keyboard("t");
  expect(run).not.toHaveBeenCalled();
});

test("a command ends with its component", async () => {
  const { unmount } = render(<Page />);
  unmount();
  await userEvent.keyboard("t");
  expect(run).not.toHaveBeenCalled();
});
