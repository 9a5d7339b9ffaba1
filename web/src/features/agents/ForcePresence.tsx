import { Button, Modal, SegmentedControl, TextInput } from "@mantine/core";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";

import { setAgentPresence } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { AgentRow, ChosenPresence } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { useAct } from "@/parts/useAct";

/** A supervisor sets somebody's state, and can undo it. The reason is shown to them and kept in the audit. */
export function ForcePresence({ agent }: { agent: AgentRow }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        onClick={() => setOpen(true)}
        aria-label={t("agents.setStateOf", { name: agent.name })}
      >
        {t("agents.setState")}
      </Button>
      <Modal
        opened={isOpen}
        onClose={() => setOpen(false)}
        title={t("agents.setStateOf", { name: agent.name })}
        closeButtonProps={{ "aria-label": t("action.close") }}
      >
        {isOpen ? <ForceForm agent={agent} onDone={() => setOpen(false)} /> : null}
      </Modal>
    </>
  );
}

function ForceForm({ agent, onDone }: { agent: AgentRow; onDone: () => void }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const [state, setState] = useState<ChosenPresence>("available");
  const [reason, setReason] = useState("");
  // Of this moment: what changes while one writes is not overwritten unseen. Who has been told of the change may go on.
  const [seen, setSeen] = useState<number | null>(agent.presence_version);
  const force = useAct();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const done = t("act.forced", { name: agent.name, state: t(`presence.${state}`) });
    const run = async () => {
      const answer = await setAgentPresence(agent.id, { state, reason: reason.trim(), version: seen ?? agent.presence_version });
      onDone(); // not only when the floor has been read again: an open dialog keeps the keys from undoing it
      return answer;
    };
    force.mutate({ done, run }, { onError: () => setSeen(null) });
  };
  return (
    <form onSubmit={submit} style={{ display: "grid", gap: "var(--space-4)" }}>
      <SegmentedControl
        fullWidth
        aria-label={t("agents.state")}
        value={state}
        onChange={(value) => setState(value)}
        data={(["available", "break", "offline"] as const).map((value) => ({ value, label: t(`presence.${value}`) }))}
      />
      <TextInput
        label={t("agents.reason")}
        description={t("agents.reasonHint", { name: agent.name })}
        required
        withAsterisk={false}
        data-autofocus
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      {force.error ? (
        <div role="alert">
          <Callout tone="red">{problemText(asProblem(force.error))}</Callout>
        </div>
      ) : null}
      <Button type="submit" loading={force.isPending} disabled={reason.trim() === ""}>
        {t("agents.setState")}
      </Button>
    </form>
  );
}
