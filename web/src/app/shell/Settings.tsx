import { ActionIcon, Popover } from "@mantine/core";
import { Settings2 } from "lucide-react";
import { type ComponentType, useState } from "react";
import { useTranslation } from "react-i18next";

import { Avatar } from "@/parts/CustomerParts";

import type { FieldsProps } from "./SettingsFields";

type Fields = ComponentType<FieldsProps & { close: (then?: () => void) => void }>;

/** Language, theme and keys; with somebody signed in also who that is and the way out. */
export function Settings(props: FieldsProps) {
  const { me } = props;
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  const [fields, setFields] = useState<{ Shown: Fields } | null>(null);
  // Fetched before they open: the focus goes to the first of them.
  const toggle = async () => {
    if (!fields) setFields({ Shown: (await import("./SettingsFields")).SettingsFields });
    setOpen(!isOpen);
  };
  const close = (then?: () => void) => {
    setOpen(false);
    then?.();
  };
  return (
    <Popover position="bottom-end" width={280} trapFocus returnFocus opened={isOpen} onChange={setOpen}>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size={36} radius="xl" onClick={() => void toggle()}>
          {me ? <Avatar name={me.name} /> : <Settings2 size={18} aria-hidden="true" />}
          <span className="visually-hidden">{me ? t("settings.of", { name: me.name }) : t("settings.title")}</span>
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown p={4} aria-label={t("settings.title")}>
        {fields ? <fields.Shown {...props} close={close} /> : null}
      </Popover.Dropdown>
    </Popover>
  );
}
