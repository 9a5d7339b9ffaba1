import { type Binding, type CommandId, KEYS, keycaps } from "@/keys/shortcuts";

import classes from "./Keycaps.module.css";

/** The keys of a command. Beside a button they are hidden from assistive tech: `aria-keyshortcuts` says them. */
export function Keycaps({ of, isSpoken = false }: { of: CommandId; isSpoken?: boolean }) {
  return (
    <span className={classes.caps} aria-hidden={!isSpoken}>
      {keycaps(KEYS[of][0]).map((cap) => (
        <kbd key={cap} className={classes.cap}>
          {cap}
        </kbd>
      ))}
    </span>
  );
}

/** The value of `aria-keyshortcuts`. */
export function ariaKeys(of: CommandId): string {
  const binding: Binding = KEYS[of][0];
  return [binding.ctrl && "Control", binding.alt && "Alt", binding.shift && "Shift", binding.key].filter(Boolean).join("+");
}
