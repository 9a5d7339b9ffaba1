import { Modal, Switch } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { Keycaps } from "@/keys/Keycaps";
import { type CommandId, setKeysOff, useActiveCommands } from "@/keys/shortcuts";

import classes from "./Shell.module.css";

const GROUPS = [
  { title: "call", ids: ["accept", "reject", "hangUp", "hold", "transfer", "mute", "keypad", "focusNote", "choice1", "finish"] },
  { title: "page", ids: ["presence", "goDesk", "goTickets", "goCustomers", "dial", "undo", "search", "help"] },
] as const satisfies { title: string; ids: CommandId[] }[];

/** Every key there is, what it does, and the switch that turns them all off. */
export function KeySheet({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { isOff } = useActiveCommands();
  return (
    <Modal opened onClose={onClose} title={t("keys.title")} closeButtonProps={{ "aria-label": t("action.close") }}>
      {GROUPS.map((group) => (
        <section key={group.title} className={classes.keyGroup} aria-label={t(`keys.group.${group.title}`)}>
          <h3 className={classes.keyTitle}>{t(`keys.group.${group.title}`)}</h3>
          <dl className={classes.keyList}>
            {group.ids.map((id) => (
              <div key={id} className={classes.keyRow}>
                <dt>{t(`keys.${id}`)}</dt>
                <dd className={classes.keyCaps}>
                  <Keycaps of={id} isSpoken />
                  {id === "choice1" ? (
                    <>
                      <span aria-hidden="true">…</span>
                      <Keycaps of="choice9" isSpoken />
                    </>
                  ) : null}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <p className={classes.soft}>{t("keys.typing")}</p>
      <Switch
        mt="md"
        label={t("settings.keys")}
        checked={!isOff}
        onChange={(event) => setKeysOff(!event.currentTarget.checked)}
      />
    </Modal>
  );
}
