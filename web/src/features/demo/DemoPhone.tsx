import { Button, NativeSelect, TextInput, UnstyledButton } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Phone, PhoneOff } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asProblem } from "@/api/problem";
import { Chip } from "@/design/Chip";
import { Callout } from "@/design/Notice";
import { Panel } from "@/design/Panel";
import { useProblemText } from "@/design/useProblemText";
import { formatPhone } from "@/format/phone";

import { demoCall, endCall, startCall } from "./demoApi";
import classes from "./DemoPhone.module.css";
import { Keypad } from "./Keypad";
import { CALLERS, LINES } from "./presets";
import { Transcript } from "./Transcript";

const SID = "ringdesk.demo.sid";
const OVER = new Set(["completed", "failed", "busy", "no-answer", "canceled"]);

/** The caller's side: a number to call from, a number to call, and what is heard. */
export function DemoPhone() {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const [from, setFrom] = useState<string>(CALLERS[0].number);
  const [to, setTo] = useState<string>(LINES[0].number);
  const [sid, setSid] = useState(() => sessionStorage.getItem(SID));
  const start = useMutation({
    mutationFn: () => startCall(from.trim(), to),
    onSuccess: ({ sid: started }) => {
      sessionStorage.setItem(SID, started);
      setSid(started);
    },
  });
  const call = useQuery({
    queryKey: ["demo", "call", sid],
    queryFn: () => demoCall(sid ?? ""),
    enabled: sid !== null,
    retry: false,
    refetchInterval: ({ state }) => (state.error || (state.data && OVER.has(state.data.status)) ? false : 700),
  });
  const end = useMutation({ mutationFn: () => endCall(sid ?? ""), onSettled: () => void call.refetch() });
  const isUp = call.data !== undefined && !OVER.has(call.data.status);
  const isRunning = isUp || start.isPending;
  return (
    <div className={classes.phone} data-testid="demo-phone">
      <Panel title={t("demo.phone")} aside={call.data ? <CallStatus status={call.data.status} isUp={isUp} /> : null}>
        <div className={classes.fields}>
          <div className={classes.presets} role="group" aria-label={t("demo.callers")}>
            {CALLERS.map((caller) => (
              <UnstyledButton
                key={caller.key}
                className={classes.preset}
                aria-pressed={from === caller.number}
                disabled={isRunning}
                onClick={() => setFrom(caller.number)}
                data-testid={`demo-caller-${caller.key}`}
              >
                {t(`demo.caller.${caller.key}`)}
              </UnstyledButton>
            ))}
          </div>
          <TextInput
            label={t("demo.from")}
            value={from}
            disabled={isRunning}
            onChange={(event) => setFrom(event.currentTarget.value)}
            data-testid="demo-from"
          />
          <NativeSelect
            label={t("demo.to")}
            value={to}
            disabled={isRunning}
            onChange={(event) => setTo(event.currentTarget.value)}
            data={LINES.map(({ number, key }) => ({
              value: number,
              label: `${t(`demo.line.${key}`)} · ${formatPhone(number)}`,
            }))}
            data-testid="demo-to"
          />
          {isUp ? (
            <Button
              size="md"
              className={classes.end}
              leftSection={<PhoneOff size={16} aria-hidden="true" />}
              loading={end.isPending}
              onClick={() => end.mutate()}
              data-testid="demo-hangup"
            >
              {t("action.hangUp")}
            </Button>
          ) : (
            <Button
              size="md"
              className={classes.call}
              leftSection={<Phone size={16} aria-hidden="true" />}
              loading={start.isPending}
              disabled={from.trim() === ""}
              onClick={() => start.mutate()}
              data-testid="demo-call"
            >
              {t("demo.call")}
            </Button>
          )}
          {start.error ? (
            <div role="alert">
              <Callout tone="red">{problemText(asProblem(start.error))}</Callout>
            </div>
          ) : null}
        </div>
        <Transcript said={call.data?.said ?? []} isUp={isUp} />
        {isUp && sid !== null ? <Keypad sid={sid} /> : null}
      </Panel>
    </div>
  );
}

function CallStatus({ status, isUp }: { status: string; isUp: boolean }) {
  const { t, i18n } = useTranslation();
  const key = `demo.status.${status}`;
  return (
    <Chip tone={isUp ? "green" : "grey"}>
      {i18n.exists(key) ? t(key as "demo.status.ringing") : status}
    </Chip>
  );
}
