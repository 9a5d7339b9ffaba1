import { Button, SegmentedControl, Switch, useMantineColorScheme } from "@mantine/core";
import { Headphones, Keyboard, LogOut } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/types";
import { setContrast, useContrast } from "@/design/contrast";
import { switchLanguage, useLanguage } from "@/i18n";
import { useActiveCommands } from "@/keys/shortcuts";

import classes from "./Shell.module.css";

export interface FieldsProps {
  me?: Me;
  onKeySheet?: () => void;
  onKeysOff?: (isOff: boolean) => void;
  onCheck?: () => void;
  onLogOut?: () => void;
}

/** What the settings hold; fetched when somebody opens them. Each way out closes them first. */
export function SettingsFields({ me, onKeySheet, onKeysOff, onCheck, onLogOut, close }: FieldsProps & { close: (then?: () => void) => void }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const contrast = useContrast();
  const { isOff } = useActiveCommands();
  return (
    <>
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
      <div className={classes.setting}>
        <span id="setting-contrast">{t("settings.contrast")}</span>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-labelledby="setting-contrast"
          value={contrast}
          onChange={(value) => setContrast(value)}
          data={[
            { value: "standard", label: t("settings.standard") },
            { value: "high", label: t("settings.high") },
            { value: "system", label: t("settings.system") },
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
              onChange={(event) => onKeysOff?.(!event.currentTarget.checked)}
            />
          </div>
          <div className={classes.settingButtons}>
            {onCheck ? (
              <Button
                variant="subtle"
                color="gray"
                fullWidth
                justify="flex-start"
                leftSection={<Headphones size={16} aria-hidden="true" />}
                onClick={() => close(onCheck)}
                data-testid="open-check"
              >
                {t("ring.check")}
              </Button>
            ) : null}
            <Button
              variant="subtle"
              color="gray"
              fullWidth
              justify="flex-start"
              leftSection={<Keyboard size={16} aria-hidden="true" />}
              onClick={() => close(onKeySheet)}
            >
              {t("settings.keySheet")}
            </Button>
            <Button
              variant="subtle"
              color="gray"
              fullWidth
              justify="flex-start"
              leftSection={<LogOut size={16} aria-hidden="true" />}
              onClick={() => close(onLogOut)}
            >
              {t("settings.logOut")}
            </Button>
          </div>
        </>
      ) : null}
    </>
  );
}
