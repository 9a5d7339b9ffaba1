import { Button, SegmentedControl, Switch, useMantineColorScheme } from "@mantine/core";
import { Headphones, Keyboard, LogOut } from "lucide-react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Me } from "@/api/types";
import { setContrast, useContrast } from "@/design/contrast";
import { useProblemText } from "@/design/useProblemText";
import { switchLanguage, useLanguage } from "@/i18n";
import { useActiveCommands } from "@/keys/shortcuts";
import { useDeskIfRead } from "@/live/desk";
import { type Reach, useSetReach } from "@/parts/useSetReach";

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
      <OneOf
        id="setting-language"
        label={t("settings.language")}
        value={language}
        onChange={(value) => void switchLanguage(value)}
        data={[
          { value: "en", label: "English" },
          { value: "zh-CN", label: "中文" },
        ]}
      />
      <OneOf
        id="setting-theme"
        label={t("settings.theme")}
        value={colorScheme}
        onChange={setColorScheme}
        data={[
          { value: "light", label: t("settings.light") },
          { value: "dark", label: t("settings.dark") },
          { value: "auto", label: t("settings.system") },
        ]}
      />
      <OneOf
        id="setting-contrast"
        label={t("settings.contrast")}
        value={contrast}
        onChange={setContrast}
        data={[
          { value: "standard", label: t("settings.standard") },
          { value: "high", label: t("settings.high") },
          { value: "system", label: t("settings.system") },
        ]}
      />
      {me ? <ReachField /> : null}
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

/** For who may take calls on a telephone as well. */
function ReachField() {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const telephone = useDeskIfRead().data?.presence?.telephone;
  const choose = useSetReach();
  if (!telephone) return null;
  return (
    <>
      <OneOf<Reach>
        id="setting-reach"
        label={t("telephone.reach", { number: telephone.shown })}
        value={telephone.is_used ? "telephone" : "browser"}
        onChange={(by) => choose.mutate(by)}
        data={[
          { value: "browser", label: t("telephone.inBrowser") },
          { value: "telephone", label: t("telephone.onTelephone") },
        ]}
      />
      {choose.error ? <p role="alert">{problemText(asProblem(choose.error))}</p> : null}
    </>
  );
}

function OneOf<T extends string>({ id, label, value, onChange, data }: {
  id: string;
  label: string;
  value: T;
  onChange: (value: T) => void;
  data: { value: T; label: string }[];
}) {
  return (
    <div className={classes.setting}>
      <span id={id}>{label}</span>
      <SegmentedControl fullWidth size="xs" aria-labelledby={id} value={value} onChange={onChange} data={data} />
    </div>
  );
}
