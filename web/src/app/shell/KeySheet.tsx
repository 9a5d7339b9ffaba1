import { Button, Modal, Switch } from "@mantine/core";
import { RotateCcw } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { Keycaps } from "@/keys/Keycaps";
import { useSetKeys, withKeys } from "@/keys/keySettings";
import { bindingsOf, type CommandId, ownKeys, pressedKeys, useActiveCommands, usersOf } from "@/keys/shortcuts";

import classes from "./Shell.module.css";

const GROUPS = [
  { title: "call", ids: ["accept", "reject", "hangUp", "hold", "transfer", "completeConsult", "endConsult", "recording", "mute", "keypad", "focusNote", "choice1", "finish"] },
  { title: "page", ids: ["goAvailable", "presence", "palette", "goDesk", "goTickets", "goCustomers", "dial", "undo", "search", "help"] },
] as const satisfies { title: string; ids: CommandId[] }[];
/** The digits are a row of keys; they stay where they are printed. */
const FIXED: readonly CommandId[] = ["choice1"];

/** Every key there is, what it does, and the way to another one, to none, and back to all as they were. */
export function KeySheet({ userId, onClose }: { userId: number; onClose: () => void }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const { isOff } = useActiveCommands();
  const save = useSetKeys(userId);
  const [changing, setChanging] = useState<CommandId | null>(null);
  const hasOwn = Object.keys(ownKeys()).length > 0;
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t("keys.title")}
      closeOnEscape={changing === null}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      {GROUPS.map((group) => (
        <section key={group.title} className={classes.keyGroup} aria-label={t(`keys.group.${group.title}`)}>
          <h3 className={classes.keyTitle}>{t(`keys.group.${group.title}`)}</h3>
          <ul className={classes.keyList}>
            {group.ids.map((id) => (
              <li key={id} className={classes.keyRow}>
                <span id={`keys-${id}`}>{t(`keys.${id}`)}</span>
                {changing === id ? (
                  <Press
                    id={id}
                    onKeys={(keys) => {
                      setChanging(null);
                      if (keys !== null) save.mutate({ bindings: withKeys(ownKeys(), id, keys) });
                    }}
                  />
                ) : (
                  <span className={classes.keyCaps}>
                    {bindingsOf(id).length === 0 ? <span className={classes.soft}>{t("keys.none")}</span> : <Keycaps of={id} isSpoken />}
                    {id === "choice1" ? (
                      <>
                        <span aria-hidden="true">…</span>
                        <Keycaps of="choice9" isSpoken />
                      </>
                    ) : null}
                    {FIXED.includes(id) ? null : (
                      <Button
                        size="compact-xs"
                        variant="subtle"
                        aria-label={t("keys.changeOf", { what: t(`keys.${id}`) })}
                        onClick={() => setChanging(id)}
                        data-testid={`change-${id}`}
                      >
                        {t("keys.change")}
                      </Button>
                    )}
                  </span>
                )}
              </li>
            ))}
          </ul>
        </section>
      ))}
      <p className={classes.soft}>{t("keys.typing")}</p>
      {save.error ? (
        <div role="alert">
          <Callout tone="red">{problemText(asProblem(save.error))}</Callout>
        </div>
      ) : null}
      <div className={classes.keyFoot}>
        <Switch
          label={t("settings.keys")}
          checked={!isOff}
          onChange={(event) => save.mutate({ is_off: !event.currentTarget.checked })}
        />
        {hasOwn ? (
          <Button
            variant="subtle"
            size="compact-sm"
            leftSection={<RotateCcw size={14} aria-hidden="true" />}
            onClick={() => save.mutate({ bindings: {} })}
            data-testid="usual-keys"
          >
            {t("keys.reset")}
          </Button>
        ) : null}
      </div>
    </Modal>
  );
}

/** Waits for the keys that are to be pressed from now on. Says what else has them; a key of its own is not taken from another command. */
function Press({ id, onKeys }: { id: CommandId; onKeys: (keys: string[] | null | undefined) => void }) {
  const { t } = useTranslation();
  const [taken, setTaken] = useState<{ keys: string; by: CommandId } | null>(null);
  useEffect(() => {
    const hear = (event: KeyboardEvent) => {
      const keys = pressedKeys(event);
      if (keys === null || ["Tab", "Enter", "Shift+Tab"].includes(keys)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (keys === "Escape") {
        onKeys(null);
        return;
      }
      const [other] = usersOf(keys, id);
      if (other) setTaken({ keys, by: other });
      else onKeys([keys]);
    };
    globalThis.addEventListener("keydown", hear, true);
    return () => globalThis.removeEventListener("keydown", hear, true);
  }, [id, onKeys]);
  const nameOf = (command: CommandId) => t(`keys.${command.startsWith("choice") ? "choice1" : (command as "accept")}`);
  return (
    <span className={classes.keyCaps}>
      <span role="status" className={classes.soft} data-testid="press-keys">
        {taken ? t("keys.taken", { keys: taken.keys, by: nameOf(taken.by) }) : t("keys.press")}
      </span>
      {id in ownKeys() ? (
        <Button size="compact-xs" variant="default" onClick={() => onKeys(undefined)}>
          {t("keys.usual")}
        </Button>
      ) : null}
      <Button size="compact-xs" variant="default" onClick={() => onKeys([])} data-testid="no-key">
        {t("keys.off")}
      </Button>
      <Button size="compact-xs" variant="subtle" onClick={() => onKeys(null)}>
        {t("action.cancel")}
      </Button>
    </span>
  );
}
