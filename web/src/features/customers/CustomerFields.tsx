import { Button, Select, Textarea, TextInput } from "@mantine/core";
import type { SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { useLanguage } from "@/i18n";
import { ConflictDialog } from "@/parts/ConflictDialog";
import { languageName } from "@/parts/CustomerParts";

import classes from "./CustomerPage.module.css";
import type { CustomerForm, Fields } from "./useCustomerForm";

const LANGUAGES = ["en", "de", "zh-CN", "fr", "es", "it", "ja"];

/** The facts about a customer, shown as a form that wakes up when it is changed. What somebody else saves meanwhile never takes what is typed. */
export function CustomerFields({ form }: { form: CustomerForm }) {
  const { t } = useTranslation();
  const page = useLanguage();
  const problemText = useProblemText();
  const { fields, set } = form;
  const label: Record<keyof Fields, string> = {
    name: t("customers.name"),
    company: t("customers.company"),
    language: t("customer.language"),
    note: t("customers.note"),
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    form.save();
  };
  const shown = (field: keyof Fields, value: string) =>
    field === "language" && value !== "" ? languageName(value, page) : value;
  const spoken = fields.language !== "" && !LANGUAGES.includes(fields.language) ? [fields.language] : [];
  return (
    <Panel title={t("customers.profile")}>
      <form className={classes.fields} onSubmit={submit}>
        {form.error ? (
          <div role="alert">
            <Callout tone="red">{problemText(asProblem(form.error))}</Callout>
          </div>
        ) : null}
        <TextInput label={label.name} value={fields.name} onChange={(e) => set({ name: e.currentTarget.value })} />
        <TextInput
          label={label.company}
          value={fields.company}
          onChange={(e) => set({ company: e.currentTarget.value })}
        />
        <Select
          label={label.language}
          data={[...spoken, ...LANGUAGES].map((code) => ({ value: code, label: languageName(code, page) }))}
          value={fields.language === "" ? null : fields.language}
          onChange={(language) => set({ language: language ?? "" })}
        />
        <Textarea
          label={label.note}
          description={t("customers.noteHint")}
          autosize
          minRows={2}
          maxRows={12}
          value={fields.note}
          onChange={(e) => set({ note: e.currentTarget.value })}
        />
        {form.isChanged ? (
          <div className={classes.buttons}>
            <Button type="submit" loading={form.isSaving} disabled={fields.name.trim() === ""}>
              {t("action.save")}
            </Button>
            <Button variant="default" onClick={form.reset}>
              {t("action.cancel")}
            </Button>
          </div>
        ) : null}
      </form>
      {form.conflicts.length > 0 ? (
        <ConflictDialog
          rows={form.conflicts.map(({ field, base, theirs, yours }) => ({
            field,
            label: label[field],
            base: shown(field, base),
            theirs: shown(field, theirs),
            yours: shown(field, yours),
          }))}
          isBusy={form.isSaving}
          onChoose={form.choose}
          onClose={form.dismiss}
        />
      ) : null}
    </Panel>
  );
}
