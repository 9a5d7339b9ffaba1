import { ActionIcon, Menu, SegmentedControl, Switch, useMantineColorScheme } from "@mantine/core";
import { Keyboard, LogOut, Settings2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { switchLanguage, useLanguage } from "@/i18n";
import { setKeysOff, useActiveCommands } from "@/keys/shortcuts";
import { Avatar } from "@/parts/CustomerParts";

import classes from "./Shell.module.css";

interface Props {
  me?: Me;
  onKeySheet?: () => void;
  onLogOut?: () => void;
}

/** Language, theme and keys; with somebody signed in also who that is and the way out. */
export function Settings({ me, onKeySheet, onLogOut }: Props) {
  const { t } = useTranslation();
  const language = useLanguage();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { isOff } = useActiveCommands();
  return (
    <Menu position="bottom-end" width={280} closeOnItemClick={false}>
      <Menu.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          size={36}
          radius="xl"
        >
          {me ? <Avatar name={me.name} /> : <Settings2 size={18} aria-hidden="true" />}
          <span className="visually-hidden">{me ? t("settings.of", { name: me.name }) : t("settings.title")}</span>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {me ? (
          <div className={classes.account}>
            <strong>{me.name}</strong>
            <span className={classes.soft}>{me.email}</span>
          </div>
        ) : null}
        <div className={classes.setting}>
          <span id="setting-language">{t("settings.language")}</span>
          <SegmentedControl
            fullWidth
            size="xs"
            aria-labelledby="setting-language"
            value={language}
            onChange={(value) => void switchLanguage(value)}
            data={[
              { value: "en", label: "English" },
              { value: "zh-CN", label: "中文" },
            ]}
          />
        </div>
        <div className={classes.setting}>
          <span id="setting-theme">{t("settings.theme")}</span>
          <SegmentedControl
            fullWidth
            size="xs"
            aria-labelledby="setting-theme"
            value={colorScheme}
            onChange={(value) => setColorScheme(value)}
            data={[
              { value: "light", label: t("settings.light") },
              { value: "dark", label: t("settings.dark") },
              { value: "auto", label: t("settings.system") },
            ]}
          />
        </div>
        {me ? (
          <>
            <div className={classes.setting}>
              <Switch
                size="sm"
                label={t("settings.keys")}
                checked={!isOff}
                onChange={(event) => setKeysOff(!event.currentTarget.checked)}
              />
            </div>
            <Menu.Divider />
            <Menu.Item
              closeMenuOnClick
              leftSection={<Keyboard size={16} aria-hidden="true" />}
              onClick={() => onKeySheet?.()}
            >
              {t("settings.keySheet")}
            </Menu.Item>
            <Menu.Item
              closeMenuOnClick
              leftSection={<LogOut size={16} aria-hidden="true" />}
              onClick={() => onLogOut?.()}
            >
              {t("settings.logOut")}
            </Menu.Item>
          </>
        ) : null}
      </Menu.Dropdown>
    </Menu>
  );
}
