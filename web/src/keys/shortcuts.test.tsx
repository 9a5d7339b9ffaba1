import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";

import { bindingsOf, KEYS, keysText, parseKeys, runCommand, setKeysOff, setOwnKeys, useDigits, usersOf, useShortcut } from "./shortcuts";

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
  setOwnKeys({});
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

test("a key of one's own takes the place of the usual one, and none is none", async () => {
  const { getByRole } = render(<Page />);
  setOwnKeys({ accept: ["Alt+Q"], help: [] });
  getByRole("textbox").focus();
  await userEvent.keyboard("{Control>}{Shift>}a{/Shift}{/Control}{Alt>}q{/Alt}");
  getByRole("button").focus();
  await userEvent.keyboard("?");
  expect(run.mock.calls.flat()).toEqual(["accept"]);
  expect(runCommand("help")).toBe(true);
  expect(run.mock.calls.flat()).toEqual(["accept", "help"]);
});

test("keys are read as they are written, and who has them is known", () => {
  for (const bindings of Object.values(KEYS)) {
    for (const binding of bindings) expect(keysText(parseKeys(keysText(binding)))).toBe(keysText(binding));
  }
  expect(usersOf("Ctrl+Enter", "accept")).toEqual(["finish"]);
  expect(usersOf("Ctrl+Enter", "finish")).toEqual([]);
  setOwnKeys({ finish: ["Alt+F"] });
  expect(usersOf("Ctrl+Enter", "accept")).toEqual([]);
  expect(bindingsOf("finish")).toEqual([{ key: "F", ctrl: false, alt: true, shift: false, typing: true }]);
});

test("no two commands that can be there together have the same usual keys", () => {
  const texts = Object.values(KEYS).flatMap((bindings) => bindings.map(keysText));
  expect(texts.filter((text, index) => texts.indexOf(text) !== index)).toEqual([]);
});
