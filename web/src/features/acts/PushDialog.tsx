import { Button, Modal, Skeleton, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { candidates, pushItem } from "@/api/endpoints";
import type { PushCandidate, Waiting } from "@/api/types";
import { ErrorState } from "@/design/Notice";
import { useText } from "@/i18n";
import { callerText } from "@/parts/callerText";
import { useAct } from "@/parts/useAct";

import classes from "./PushDialog.module.css";

/** To whom a caller can be given, and why not to the others. */
export function PushDialog({ waiting, onClose }: { waiting: Waiting | null; onClose: () => void }) {
  const { t } = useTranslation();
  const caller = waiting ? (waiting.customer ?? callerText(t, waiting.caller)) : "";
  return (
    <Modal
      opened={waiting !== null}
      onClose={onClose}
      title={t("push.title", { caller })}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      {waiting ? <Choice waiting={waiting} caller={caller} onDone={onClose} /> : null}
    </Modal>
  );
}

function Choice({ waiting, caller, onDone }: { waiting: Waiting; caller: string; onDone: () => void }) {
  const { t } = useTranslation();
  const [words, setWords] = useState("");
  const act = useAct();
  const { data, error, refetch } = useQuery({
    queryKey: ["candidates", waiting.id],
    queryFn: () => candidates(waiting.id),
    refetchInterval: 2000,
  });
  const needle = words.trim().toLowerCase();
  const shown = data?.items.filter(({ name }) => name.toLowerCase().includes(needle)) ?? [];
  const push = ({ agent_id, name, push }: PushCandidate) => {
    const run = () => pushItem(waiting.id, { agent_id, version: waiting.version, anyway: push === "anyway" });
    act.mutate({ done: t("act.pushed", { caller, agent: name }), run });
    // Done or not, the bar says so and the line shows it; the dialog would only keep the keys from undoing it.
    onDone();
  };
  return (
    <div className={classes.choice}>
      <TextInput
        aria-label={t("push.find")}
        placeholder={t("push.find")}
        leftSection={<Search size={16} aria-hidden="true" />}
        data-autofocus
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
      {error && !data ? <ErrorState error={error} retry={() => void refetch()} /> : null}
      {data || error ? null : <Skeleton height={160} />}
      {data && shown.length === 0 ? <p className={classes.soft}>{t("push.none")}</p> : null}
      <ul className={classes.agents}>
        {shown.map((candidate) => (
          <Candidate key={candidate.agent_id} candidate={candidate} onPush={() => push(candidate)} />
        ))}
      </ul>
    </div>
  );
}

function Candidate({ candidate, onPush }: { candidate: PushCandidate; onPush: () => void }) {
  const { t } = useTranslation();
  const text = useText();
  const { name, push } = candidate;
  const isAnyway = push === "anyway";
  return (
    <li className={classes.agent} data-push={push}>
      <span className={classes.who}>
        <span className={classes.name}>{name}</span>
        <span className={classes.soft}>{text(candidate.reason)}</span>
      </span>
      {push === "no" ? null : (
        <Button
          size="compact-sm"
          variant={isAnyway ? "default" : "filled"}
          aria-label={t(isAnyway ? "push.anywayTo" : "push.pushTo", { agent: name })}
          onClick={onPush}
        >
          {t(isAnyway ? "push.anyway" : "push.push")}
        </Button>
      )}
    </li>
  );
}
