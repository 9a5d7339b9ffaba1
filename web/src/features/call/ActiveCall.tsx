import { Button } from "@mantine/core";
import { Check, CircleCheck, ClipboardList, UserRoundSearch, X } from "lucide-react";
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import { addTicketNote, setResult } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { ActiveCall as Call, Disposition } from "@/api/types";
import { Callout } from "@/design/Notice";
import { useProblemText } from "@/design/useProblemText";
import { ariaKeys, Keycaps } from "@/keys/Keycaps";
import { useText } from "@/i18n";
import { useDigits, useShortcut } from "@/keys/shortcuts";
import { showAct } from "@/parts/acts";
import { showDone } from "@/parts/takeBack";

import classes from "./ActiveCall.module.css";
import { useCallerName } from "./caller";
import { CallHead } from "./CallHead";
import { Candidates } from "./Candidates";
import { useChooseCustomer, useFinish, useRequestWrapUp } from "./commands";
import { Dispositions } from "./Dispositions";
import { MissingPart, FillHoles } from "./Holes";
import { NoteField } from "./NoteField";
import { PopIdentity } from "./PopIdentity";
import { PopConsult, PopTransfer } from "./PopTransfer";
import { TicketChoice } from "./TicketChoice";
import { LATE_KEY } from "./lostOffers";
import { useDisposition } from "./useDisposition";
import { useNote } from "./useNote";

const CreateOrAttach = lazy(async () => ({ default: (await import("./CreateOrAttach")).CreateOrAttach }));

interface Props {
  agentId: number;
  call: Call;
  dispositions: Disposition[];
  hasKeys: boolean;
}

/** A call that was answered here, from the first word to the end of wrap-up. */
export function ActiveCall({ agentId, call, dispositions, hasKeys }: Props) {
  const { t } = useTranslation();
  const { pop } = call;
  const isAmbiguous = pop.customer.match === "many" && pop.customer.chosen_id === null;
  const isUnknown = pop.customer.profile === null && !isAmbiguous && pop.customer.match !== "one";
  const fitting = dispositions.filter(({ queue }) => queue === null || queue === pop.call.queue);
  // The result and the end of the call are for who has it.
  const isConsulted = call.state === "consulted";
  const keepLate = (body: string) => addTicketNote(pop.ticket.id, body);
  const note = useNote(agentId, pop.call.id, pop.ticket.id, call.note, keepLate);
  const [disposition, setDisposition] = useDisposition(agentId, call);
  return (
    <article className={classes.call} data-testid="active-call" data-call={pop.call.id} aria-label={t("call.title")}>
      <CallHead call={call} hasKeys={hasKeys} />
      <FillHoles pop={pop} />
      <PopIdentity pop={pop} />
      <MissingPart pop={pop} source="identity" />
      <PopTransfer pop={pop} />
      {isConsulted && pop.consult?.note ? <PopConsult pop={pop} /> : null}
      {isAmbiguous ? <ChooseCandidate call={call} hasKeys={hasKeys} /> : null}
      <WhoElse pop={pop} isOpen={isUnknown} />
      <TicketChoice pop={pop} />
      <MissingPart pop={pop} source="ticket" />
      <NoteField note={note} hasKeys={hasKeys} />
      {isConsulted ? null : (
        <>
          <Dispositions
            dispositions={fitting}
            chosen={disposition}
            ticket={pop.ticket}
            agentId={agentId}
            onChoose={setDisposition}
            hasKeys={hasKeys && !isAmbiguous}
          />
          <Finish call={call} note={note} disposition={disposition} dispositions={fitting} hasKeys={hasKeys} />
        </>
      )}
    </article>
  );
}

/** Nobody is known: who is it? And where somebody is, or may be: the way to say that it is somebody else. */
function WhoElse({ pop, isOpen }: { pop: Call["pop"]; isOpen: boolean }) {
  const { t } = useTranslation();
  const who = pop.customer.chosen_id;
  const [asked, setAsked] = useState<{ who: number | null } | null>(null);
  const isAsked = isOpen || (asked !== null && asked.who === who);
  return (
    <>
      {isOpen ? null : (
        <div className={classes.whoElse}>
          <Button
            size="compact-sm"
            variant="subtle"
            leftSection={<UserRoundSearch size={14} aria-hidden="true" />}
            aria-expanded={isAsked}
            onClick={() => setAsked(isAsked ? null : { who })}
            data-testid="somebody-else"
          >
            {t(pop.customer.profile === null ? "somebody.noneOfThese" : "somebody.else")}
          </Button>
        </div>
      )}
      {isAsked ? (
        <Suspense>
          <CreateOrAttach pop={pop} />
        </Suspense>
      ) : null}
    </>
  );
}

function ChooseCandidate({ call, hasKeys }: { call: Call; hasKeys: boolean }) {
  const choose = useChooseCustomer(call.pop);
  const { candidates } = call.pop.customer;
  useDigits((digit) => {
    const hit = candidates[digit - 1];
    if (hit && !choose.isPending) choose.mutate(hit.id);
  }, hasKeys);
  return (
    <Candidates
      candidates={candidates}
      pickedId={choose.variables ?? null}
      onPick={(candidate) => choose.mutate(candidate.id)}
      hasKeys={hasKeys}
      isBusy={choose.isPending}
    />
  );
}

interface FinishProps {
  call: Call;
  note: ReturnType<typeof useNote>;
  disposition: string | null;
  dispositions: Disposition[];
  hasKeys: boolean;
}

/** What ends this wrap-up, in words. */
const ENDS = {
  none: "call.wrapHint",
  timed: "call.wrapHint",
  on_request: "call.wrapHint",
  timed_fixed: "call.wrapFixed",
  manual: "call.wrapManual",
  optional: "call.wrapOptional",
} as const;

/** Save and finish. During the call it keeps note and result and waits: nobody is cut off by a key meant for the note. */
function Finish({ call, note, disposition, dispositions, hasKeys }: FinishProps) {
  const { t } = useTranslation();
  const text = useText();
  const nameOf = useCallerName();
  const queries = useQueryClient();
  const problemText = useProblemText();
  const finish = useFinish(call.pop.call.id);
  const [isArmed, setArmed] = useState(false);
  const [isSaved, setSaved] = useState(false);
  const isOver = call.state === "wrapping";
  const { mode } = call.wrap_up;
  const isFixed = isOver && mode === "timed_fixed" && call.wrap_up_ends_at !== null;
  const run = async () => {
    const words = note.body === "" ? null : note.body;
    note.pause();
    try {
      const { call: after } = await finish.mutateAsync({ disposition, note: words });
      if (after.state === "closed") {
        note.forget();
        sayFinished();
        return;
      }
      // Still wrapping: this queue's time may not be cut short.
      const isKept = after.state === "wrapping";
      setArmed(!isKept);
      setSaved(isKept);
      if (words !== null) note.kept(words);
    } catch {
      // Shown beside the button; the note goes on being saved by itself.
    }
    note.resume();
  };
  const sayFinished = () => {
    const result = dispositions.find(({ key }) => key === disposition);
    const name = nameOf(call.pop);
    if (!result) {
      showAct({ text: t("late.finished", { name }) });
      return;
    }
    const takeBack = () => setResult(call.pop.call.id, null).finally(() => queries.invalidateQueries({ queryKey: LATE_KEY }));
    showDone(t("late.finishedAs", { name, result: text(result.name) }), takeBack);
  };
  const press = () => {
    if (!finish.isPending) void run();
  };
  // The call has ended since: what was kept during the call becomes the end of it.
  const hasEnded = isArmed && isOver;
  const runLatest = useRef(run);
  useEffect(() => {
    runLatest.current = run;
  });
  useEffect(() => {
    if (hasEnded) void runLatest.current();
  }, [hasEnded]);
  useShortcut("finish", press, hasKeys);
  return (
    <footer className={classes.foot}>
      {finish.error ? (
        <div className={classes.wide} role="alert">
          <Callout tone="red">{problemText(asProblem(finish.error))}</Callout>
        </div>
      ) : null}
      <Button
        size="md"
        leftSection={<CircleCheck size={16} aria-hidden="true" />}
        rightSection={hasKeys ? <Keycaps of="finish" /> : null}
        loading={finish.isPending}
        onClick={press}
        variant={isOver ? "filled" : "default"}
        aria-keyshortcuts={ariaKeys("finish")}
        data-testid="finish"
      >
        {t(isFixed ? "call.save" : isOver ? "call.finish" : "call.finishLater")}
      </Button>
      {mode === "on_request" && !isOver ? <RequestWrapUp call={call} /> : null}
      <p className={classes.footText} role="status">
        {isArmed && !isOver ? t("call.willFinish") : null}
        {isOver ? t(isFixed && isSaved ? "call.wrapSaved" : ENDS[mode]) : null}
      </p>
      {isArmed && !isOver ? (
        <Button variant="subtle" leftSection={<X size={14} aria-hidden="true" />} onClick={() => setArmed(false)}>
          {t("call.doNotFinish")}
        </Button>
      ) : null}
    </footer>
  );
}

/** Where wrap-up comes only on request: asks for it while the call goes on, or takes that back. */
function RequestWrapUp({ call }: { call: Call }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  const request = useRequestWrapUp(call.pop.call.id);
  const isRequested = call.wrap_up.is_requested;
  return (
    <>
      <Button
        variant={isRequested ? "light" : "default"}
        leftSection={isRequested ? <Check size={16} aria-hidden="true" /> : <ClipboardList size={16} aria-hidden="true" />}
        loading={request.isPending}
        onClick={() => request.mutate(!isRequested)}
        aria-pressed={isRequested}
        data-testid="request-wrap-up"
      >
        {t("call.requestWrapUp")}
      </Button>
      {request.error ? <span role="alert">{problemText(asProblem(request.error))}</span> : null}
    </>
  );
}
