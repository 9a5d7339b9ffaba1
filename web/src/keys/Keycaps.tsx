import { bindingsOf, type CommandId, keycaps, useActiveCommands } from "@/keys/shortcuts";

import classes from "./Keycaps.module.css";

/** The keys of a command. Beside a button they are hidden from assistive tech: `aria-keyshortcuts` says them. */
export function Keycaps({ of, isSpoken = false }: { of: CommandId; isSpoken?: boolean }) {
  useActiveCommands();
  const binding = bindingsOf(of)[0];
  if (!binding) return null;
  return (
    <span className={classes.caps} aria-hidden={!isSpoken}>
      {keycaps(binding).map((cap) => (
        <kbd key={cap} className={classes.cap}>
          {cap}
        </kbd>
      ))}
    </span>
  );
}

/** The value of `aria-keyshortcuts`. */
export function ariaKeys(of: CommandId): string | undefined {
  const binding = bindingsOf(of)[0];
  if (!binding) return undefined;
  return [binding.ctrl && "Control", binding.alt && "Alt", binding.shift && "Shift", binding.key].filter(Boolean).join("+");
}
