import { Button, Select, Textarea, TextInput } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import type { Profile } from "@/api/types";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { useLanguage } from "@/i18n";
import { languageName } from "@/parts/CustomerParts";

import classes from "./CustomerPage.module.css";
import { useChangeCustomer } from "./useCustomers";

const LANGUAGES = ["en", "de", "zh-CN", "fr", "es", "it", "ja"];

/** The facts about a customer, shown as a form that wakes up when it is changed. */
export function CustomerFields({ profile }: { profile: Profile }) {
  const { t } = useTranslation();
  const page = useLanguage();
  const problemText = useProblemText();
  const change = useChangeCustomer(profile);
  const before = {
    name: profile.name,
    company: profile.company ?? "",
    language: profile.language ?? "",
    note: profile.note,
  };
  const [fields, setFields] = useState(before);
  const set = (part: Partial<typeof before>) => setFields({ ...fields, ...part });
  const changed = Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => value !== before[name as keyof typeof before]),
  );
  const isChanged = Object.keys(changed).length > 0;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    change.mutate(changed);
  };
  const spoken = fields.language !== "" && !LANGUAGES.includes(fields.language) ? [fields.language] : [];
  return (
    <Panel title={t("customers.profile")}>
      <form className={classes.fields} onSubmit={submit}>
        {change.error ? (
          <div role="alert">
            <Callout tone="red">{problemText(asProblem(change.error))}</Callout>
          </div>
        ) : null}
        <TextInput label={t("customers.name")} value={fields.name} onChange={(e) => set({ name: e.currentTarget.value })} />
        <TextInput
          label={t("customers.company")}
          value={fields.company}
          onChange={(e) => set({ company: e.currentTarget.value })}
        />
        <Select
          label={t("customer.language")}
          data={[...spoken, ...LANGUAGES].map((code) => ({ value: code, label: languageName(code, page) }))}
          value={fields.language === "" ? null : fields.language}
          onChange={(language) => set({ language: language ?? "" })}
        />
        <Textarea
          label={t("customers.note")}
          description={t("customers.noteHint")}
          autosize
          minRows={2}
          value={fields.note}
          onChange={(e) => set({ note: e.currentTarget.value })}
        />
        {isChanged ? (
          <div className={classes.buttons}>
            <Button type="submit" loading={change.isPending} disabled={fields.name.trim() === ""}>
              {t("action.save")}
            </Button>
            <Button variant="default" onClick={() => setFields(before)}>
              {t("action.cancel")}
            </Button>
          </div>
        ) : null}
      </form>
    </Panel>
  );
}
