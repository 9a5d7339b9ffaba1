import { Button, Modal, Textarea, TextInput } from "@mantine/core";
import { Phone } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Problem } from "@/api/problem";
import type { Me } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";

import { type Dialling, openDial } from "./dial";
import classes from "./DialBox.module.css";
import { useMakeCall } from "./useMakeCall";

/** What a supervisor may overrule, with a reason. */
const OVERRULED: readonly string[] = ["do_not_call", "quiet_hours"];

function Why({ problem: { code, body } }: { problem: Problem }) {
  const { t } = useTranslation();
  const word = (value: unknown) => (typeof value === "string" ? value : "");
  if (code === "do_not_call") return <span className={classes.detail}>{t("dial.why", { why: word(body.why) })}</span>;
  if (code !== "quiet_hours") return null;
  return <span className={classes.detail}>{t("dial.allowed", { from: word(body.allowed_from), to: word(body.allowed_to) })}</span>;
}

/** A number is typed, or a call that was refused says why. */
export function DialBox({ dialling, me }: { dialling: Dialling; me: Me }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const make = useMakeCall();
  const isTyped = dialling.call.missed_contact_id == null;
  const [to, setTo] = useState(dialling.call.to ?? "");
  const [reason, setReason] = useState("");
  const { problem } = dialling;
  const mayOverrule = problem !== undefined && OVERRULED.includes(problem.code) && me.role !== "agent";
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (make.isPending) return;
    make.mutate({
      ...dialling,
      call: { ...dialling.call, ...(isTyped ? { to: to.trim() } : {}), override_reason: reason.trim() || undefined },
    });
  };
  return (
    <Modal opened onClose={() => openDial(null)} title={dialling.name ? t("dial.callWho", { who: dialling.name }) : t("dial.title")} size="sm" closeButtonProps={{ "aria-label": t("action.close") }}>
      <form onSubmit={submit} className={classes.form}>
        {isTyped ? (
          <TextInput
            label={t("dial.number")}
            description={t("dial.hint")}
            inputMode="tel"
            autoComplete="off"
            maxLength={100}
            data-autofocus
            value={to}
            onChange={(event) => setTo(event.currentTarget.value)}
            data-testid="dial-number"
          />
        ) : null}
        {problem ? (
          <div role="alert">
            <Callout tone="red">
              {problemText(problem)}
              <Why problem={problem} />
            </Callout>
          </div>
        ) : null}
        {mayOverrule ? (
          <Textarea
            label={t("dial.overrule")}
            autosize
            maxLength={300}
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
        ) : null}
        <Button
          type="submit"
          leftSection={<Phone size={16} aria-hidden="true" />}
          loading={make.isPending}
          disabled={(isTyped && to.trim() === "") || (mayOverrule && reason.trim() === "")}
          data-testid="dial-call"
        >
          {t(mayOverrule ? "dial.callAnyway" : "dial.call")}
        </Button>
      </form>
    </Modal>
  );
}
