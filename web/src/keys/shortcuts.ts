/**
 * Keyboard commands.
 *
 * One listener for the page. A command is known by its id; its usual keys stand in `KEYS`, a person's own in `own`, kept with the person
 * by the service (`keySettings.ts`). Nothing fires while somebody types, except commands with Ctrl or Alt that say so.
 * All of it can be switched off (WCAG 2.1.4).
 */
import { useEffect, useRef, useSyncExternalStore } from "react";

export interface Binding {
  /** `KeyboardEvent.code` without "Key" and "Digit" for letters and digits, `key` for the rest. */
  key: string;
  ctrl?: boolean;
  shift?: boolean;
  alt?: boolean;
  /** Also while a field has the focus. Only for bindings with Ctrl or Alt. */
  typing?: boolean;
}

export const KEYS = {
  accept: [{ key: "A", ctrl: true, shift: true, typing: true }],
  reject: [{ key: "X", ctrl: true, shift: true, typing: true }],
  hangUp: [{ key: "H", ctrl: true, shift: true, typing: true }],
  hold: [{ key: "H", alt: true, typing: true }, { key: "H" }],
  transfer: [{ key: "T", alt: true, typing: true }],
  completeConsult: [{ key: "C", alt: true, typing: true }],
  endConsult: [{ key: "B", alt: true, typing: true }],
  recording: [{ key: "R", alt: true, typing: true }],
  mute: [{ key: "M", alt: true, typing: true }, { key: "M" }],
  keypad: [{ key: "K", alt: true, typing: true }, { key: "K" }],
  finish: [{ key: "Enter", ctrl: true, typing: true }],
  focusNote: [{ key: "N" }],
  choice1: [{ key: "1" }, { key: "1", alt: true, typing: true }],
  choice2: [{ key: "2" }, { key: "2", alt: true, typing: true }],
  choice3: [{ key: "3" }, { key: "3", alt: true, typing: true }],
  choice4: [{ key: "4" }, { key: "4", alt: true, typing: true }],
  choice5: [{ key: "5" }, { key: "5", alt: true, typing: true }],
  choice6: [{ key: "6" }, { key: "6", alt: true, typing: true }],
  choice7: [{ key: "7" }, { key: "7", alt: true, typing: true }],
  choice8: [{ key: "8" }, { key: "8", alt: true, typing: true }],
  choice9: [{ key: "9" }, { key: "9", alt: true, typing: true }],
  presence: [{ key: "P" }],
  goAvailable: [{ key: "A", alt: true, typing: true }],
  palette: [{ key: "K", ctrl: true, typing: true }],
  goDesk: [{ key: "D" }],
  goTickets: [{ key: "T" }],
  goCustomers: [{ key: "C" }],
  dial: [{ key: "L" }],
  undo: [{ key: "Z", ctrl: true }],
  search: [{ key: "/" }],
  help: [{ key: "?" }],
} as const satisfies Record<string, readonly Binding[]>;

export type CommandId = keyof typeof KEYS;

interface Registration {
  run: () => void;
}

const OFF = "ringdesk.keys.off";
const OWN = "ringdesk.keys.own";
/** Command → its keys as text, such as "Ctrl+Shift+A"; none: it has no key. */
export type OwnKeys = Partial<Record<CommandId, string[]>>;
let own: OwnKeys = readOwn();
const bound = new Map<CommandId, readonly Binding[]>();
const commands = new Map<CommandId, Registration[]>();
const listeners = new Set<() => void>();
let version = 0;

function changed(): void {
  version += 1;
  listeners.forEach((listener) => listener());
}

function readOwn(): OwnKeys {
  try {
    return JSON.parse(localStorage.getItem(OWN) ?? "{}") as OwnKeys;
  } catch {
    return {};
  }
}

/** Kept in this browser too, so that the keys of whoever was here last are right from the first moment. */
export function setOwnKeys(keys: OwnKeys): void {
  own = keys;
  bound.clear();
  localStorage.setItem(OWN, JSON.stringify(keys));
  changed();
}

export function ownKeys(): OwnKeys {
  return own;
}

/** "Ctrl+Shift+A" → a binding. What has Ctrl or Alt also works while typing. */
export function parseKeys(text: string): Binding {
  const parts = text.split("+");
  const key = parts.at(-1) ?? "";
  const [ctrl, alt, shift] = ["Ctrl", "Alt", "Shift"].map((each) => parts.slice(0, -1).includes(each));
  return { key, ctrl, alt, shift, typing: ctrl || alt };
}

export function keysText({ key, ctrl, alt, shift }: Binding): string {
  return [ctrl && "Ctrl", alt && "Alt", shift && "Shift", key].filter(Boolean).join("+");
}

/** The keys of a command as they are now, the first one is shown on its button. */
export function bindingsOf(id: CommandId): readonly Binding[] {
  const known = bound.get(id);
  if (known) return known;
  const found: readonly Binding[] = own[id]?.map(parseKeys) ?? KEYS[id];
  bound.set(id, found);
  return found;
}

/** The text of what was pressed, for one who sets a key; null for a modifier alone. */
export function pressedKeys(event: KeyboardEvent): string | null {
  if (["Control", "Shift", "Alt", "Meta", "AltGraph", "Dead"].includes(event.key)) return null;
  const isSign = ["?", "/"].includes(event.key);
  return keysText({
    key: event.key === " " ? "Space" : event.key === "+" ? "Plus" : keyOf(event),
    ctrl: event.ctrlKey || event.metaKey,
    alt: event.altKey,
    shift: event.shiftKey && !isSign,
  });
}

/** The commands that another one with these keys would collide with. */
export function usersOf(keys: string, except: CommandId): CommandId[] {
  return (Object.keys(KEYS) as CommandId[]).filter(
    (id) => id !== except && bindingsOf(id).some((binding) => keysText(binding) === keys),
  );
}

export function areKeysOff(): boolean {
  return localStorage.getItem(OFF) === "1";
}

export function setKeysOff(off: boolean): void {
  if (off) localStorage.setItem(OFF, "1");
  else localStorage.removeItem(OFF);
  changed();
}

/** In a field, or in an open menu or dialog, which have keys of their own. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest('[role="menu"],[role="dialog"],[role="listbox"]')) return true;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["button", "checkbox", "radio", "submit", "range"].includes(target.type);
}

function keyOf(event: KeyboardEvent): string {
  const coded = /^(?:Key|Digit)(.)$/.exec(event.code)?.[1];
  // "?" and "/" sit on different keys in different layouts, so they go by what was typed.
  if (coded !== undefined && !["?", "/"].includes(event.key)) return coded;
  return event.key === " " ? "Space" : event.key === "+" ? "Plus" : event.key;
}

function matches(binding: Binding, event: KeyboardEvent): boolean {
  if (isTyping(event.target) && binding.typing !== true) return false;
  const wantsShift = binding.shift ?? false;
  const ctrl = event.ctrlKey || event.metaKey;
  return (
    keyOf(event) === binding.key &&
    ctrl === (binding.ctrl ?? false) &&
    event.altKey === (binding.alt ?? false) &&
    (event.shiftKey === wantsShift || binding.key === "?" || binding.key === "/")
  );
}

function onKeyDown(event: KeyboardEvent): void {
  if (areKeysOff() || event.repeat || event.isComposing || event.defaultPrevented) return;
  for (const [id, registrations] of commands) {
    const latest = registrations.at(-1);
    if (latest && bindingsOf(id).some((binding) => matches(binding, event))) {
      event.preventDefault();
      latest.run();
      return;
    }
  }
}

globalThis.addEventListener("keydown", onKeyDown);

/** While this component is on the screen (and `enabled`), the keys of `id` run `run`. The latest one wins. */
export function useShortcut(id: CommandId, run: () => void, enabled = true): void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  useEffect(() => {
    if (!enabled) return;
    const registration: Registration = { run: () => latest.current() };
    commands.set(id, [...(commands.get(id) ?? []), registration]);
    changed();
    return () => {
      const rest = (commands.get(id) ?? []).filter((other) => other !== registration);
      if (rest.length > 0) commands.set(id, rest);
      else commands.delete(id);
      changed();
    };
  }, [id, enabled]);
}

/** One handler for the digits 1 to 9. */
export function useDigits(run: (digit: number) => void, enabled: boolean): void {
  useShortcut("choice1", () => run(1), enabled);
  useShortcut("choice2", () => run(2), enabled);
  useShortcut("choice3", () => run(3), enabled);
  useShortcut("choice4", () => run(4), enabled);
  useShortcut("choice5", () => run(5), enabled);
  useShortcut("choice6", () => run(6), enabled);
  useShortcut("choice7", () => run(7), enabled);
  useShortcut("choice8", () => run(8), enabled);
  useShortcut("choice9", () => run(9), enabled);
}

/** Runs a command as its key would; false when it is not there now. */
export function runCommand(id: CommandId): boolean {
  const latest = commands.get(id)?.at(-1);
  latest?.run();
  return latest !== undefined;
}

/** The commands that would run now, for the key sheet. */
export function useActiveCommands(): { active: ReadonlySet<CommandId>; isOff: boolean } {
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => version,
  );
  return { active: new Set(commands.keys()), isOff: areKeysOff() };
}

const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator.userAgent);

/** ["Ctrl", "Shift", "A"] as it is printed on the keys. */
export function keycaps(binding: Binding): string[] {
  const caps: string[] = [];
  if (binding.ctrl) caps.push(IS_MAC ? "⌘" : "Ctrl");
  if (binding.alt) caps.push(IS_MAC ? "⌥" : "Alt");
  if (binding.shift) caps.push(IS_MAC ? "⇧" : "Shift");
  return [...caps, binding.key];
}
