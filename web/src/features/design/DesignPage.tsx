import { Button, Checkbox, SegmentedControl, Select, TextInput, useMantineColorScheme } from "@mantine/core";
import { Check, Inbox } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Priority, TicketState } from "@/api/types";
import { Chip, StateDot, type Tone } from "@/design/Chip";
import { setContrast, useContrast } from "@/design/contrast";
import { Callout, EmptyState } from "@/design/Notice";
import { Page } from "@/design/Page";
import { Panel } from "@/design/Panel";
import tokens from "@/design/tokens.css?raw";
import { switchLanguage, useLanguage } from "@/i18n";
import { PriorityChip, TicketStateChip } from "@/parts/TicketParts";

import classes from "./DesignPage.module.css";
import { tokensNamed } from "./tokensNamed";

const TONES: Tone[] = ["green", "amber", "red", "blue", "violet", "grey"];
const STATES: TicketState[] = ["new", "open", "pending_customer", "resolved", "closed"];
const PRIORITIES: Priority[] = ["urgent", "high", "low"];
const PAIRS: [ink: string, ground: string][] = [
  ["ink", "ground"],
  ["ink", "surface"],
  ["ink-soft", "surface"],
  ["ink-muted", "surface-sunk"],
  ["ink", "surface-hover"],
  ["accent-ink", "accent-wash"],
  ["on-accent", "accent"],
  ["on-go", "go"],
  ["on-stop", "stop"],
  ["mark-fg", "mark-bg"],
];

/** What every page is made of, drawn from the tokens themselves: what is changed there is changed here. */
export function DesignPage() {
  const { t } = useTranslation();
  return (
    <Page name={t("design.title")} aside={<Look />}>
      <p className={classes.lead}>{t("design.lead")}</p>
      <div className={classes.columns}>
        <Panel title={t("design.spacing")}>
          <ul className={classes.scale}>
            {tokensNamed(tokens, /^space-/).map((name) => (
              <li key={name}>
                <code>{name}</code>
                <span className={classes.bar} style={{ width: `var(--${name})` }} />
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title={t("design.type")}>
          <ul className={classes.scale}>
            {tokensNamed(tokens, /^text-/).map((name) => (
              <li key={name}>
                <code>{name}</code>
                <span style={{ fontSize: `var(--${name})` }}>{t("design.sample")}</span>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title={t("design.colour")}>
          <ul className={classes.swatches}>
            {PAIRS.map(([ink, ground]) => (
              <li key={`${ink} ${ground}`} style={{ color: `var(--${ink})`, background: `var(--${ground})` }}>
                <code>{ink}</code>
                <code>{ground}</code>
              </li>
            ))}
          </ul>
          <ul className={classes.swatches}>
            {TONES.map((tone) => (
              <li
                key={tone}
                style={{
                  color: `var(--tone-${tone}-fg)`,
                  background: `var(--tone-${tone}-bg)`,
                  borderColor: `var(--tone-${tone}-line)`,
                }}
              >
                <code>tone-{tone}</code>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title={t("design.states")}>
          <div className={classes.stack}>
            <p className={classes.row}>
              {STATES.map((state) => (
                <TicketStateChip key={state} state={state} />
              ))}
              {PRIORITIES.map((priority) => (
                <PriorityChip key={priority} priority={priority} />
              ))}
            </p>
            <p className={classes.row}>
              {TONES.map((tone) => (
                <Chip key={tone} tone={tone} icon={<Check />}>
                  {tone}
                </Chip>
              ))}
              {TONES.map((tone) => (
                <StateDot key={`dot ${tone}`} tone={tone} />
              ))}
            </p>
            {(["green", "amber", "red"] as const).map((tone) => (
              <Callout key={tone} tone={tone}>
                {t("design.sample")}
              </Callout>
            ))}
            <EmptyState icon={<Inbox />} title={t("tickets.noneTitle")}>
              {t("tickets.noneText")}
            </EmptyState>
          </div>
        </Panel>
        <Panel title={t("design.controls")}>
          <div className={classes.stack}>
            <p className={classes.row}>
              <Button>{t("action.save")}</Button>
              <Button variant="default">{t("action.cancel")}</Button>
              <Button variant="subtle">{t("action.loadMore")}</Button>
              <Button disabled>{t("action.save")}</Button>
              <Button loading>{t("action.save")}</Button>
            </p>
            <TextInput label={t("customers.name")} defaultValue={t("design.sample")} />
            <TextInput label={t("customers.name")} error={t("problem.invalid")} defaultValue="?" />
            <Select
              label={t("tickets.state")}
              data={STATES.map((state) => ({ value: state, label: t(`ticketState.${state}`) }))}
              defaultValue="open"
            />
            <Checkbox label={t("views.share")} defaultChecked />
          </div>
        </Panel>
      </div>
    </Page>
  );
}

/** Language, theme and contrast, to look at the page in each. */
function Look() {
  const { t } = useTranslation();
  const language = useLanguage();
  const contrast = useContrast();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <div className={classes.row}>
      <SegmentedControl
        size="xs"
        aria-label={t("settings.language")}
        value={language}
        onChange={(value) => void switchLanguage(value)}
        data={[
          { value: "en", label: "English" },
          { value: "zh-CN", label: "中文" },
        ]}
      />
      <SegmentedControl
        size="xs"
        aria-label={t("settings.theme")}
        value={colorScheme}
        onChange={(value) => setColorScheme(value)}
        data={[
          { value: "light", label: t("settings.light") },
          { value: "dark", label: t("settings.dark") },
          { value: "auto", label: t("settings.system") },
        ]}
      />
      <SegmentedControl
        size="xs"
        aria-label={t("settings.contrast")}
        value={contrast}
        onChange={(value) => setContrast(value)}
        data={[
          { value: "standard", label: t("settings.standard") },
          { value: "high", label: t("settings.high") },
          { value: "system", label: t("settings.system") },
        ]}
      />
    </div>
  );
}
