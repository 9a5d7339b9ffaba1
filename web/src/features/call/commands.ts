import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import * as api from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import type { ScreenPop, TransferTo } from "@/api/types";
import { showToast } from "@/design/toasts";
import { useProblemText } from "@/design/useProblemText";
import { usePatchDesk, useReadDeskAgain, withCall, withPop } from "@/live/desk";
import { useLiveStatus } from "@/live/LiveProvider";
import { showDone } from "@/parts/takeBack";
import { usePhone } from "@/phone/PhoneProvider";

import { useCallerName } from "./caller";

/** The socket tells what a command did; without it the desk is read again. */
function useSettled() {
  const { state } = useLiveStatus();
  const readAgain = useReadDeskAgain();
  return () => (state === "live" ? undefined : readAgain());
}

export interface Acceptance {
  pop: ScreenPop;
  /** A candidate the agent picked while it rang. */
  customerId: number | null;
}

/** Too late, whatever the reason: the pop goes, so what happened is said where it stays. */
const TOO_LATE: readonly string[] = ["offer_taken", "offer_expired", "offer_rescinded", "caller_left"];

export function useAccept() {
  const problemText = useProblemText();
  const nameOf = useCallerName();
  const phone = usePhone();
  const patch = usePatchDesk();
  const readAgain = useReadDeskAgain();
  const settled = useSettled();
  return useMutation({
    mutationFn: async ({ pop, customerId }: Acceptance) => {
      const { call } = await api.acceptOffer(pop.offer_id);
      const callId = call.id ?? pop.call.id;
      if (!call.is_on_telephone) phone.connect(callId);
      if (customerId !== null) {
        const chosen = await api.chooseCustomer(callId, customerId);
        patch((desk) => withPop(desk, chosen));
      }
    },
    onSuccess: settled,
    // Taken, expired or gone: whatever it was, the desk as the service sees it tells the truth.
    onError: (cause, { pop }) => {
      const problem = asProblem(cause);
      if (TOO_LATE.includes(problem.code)) {
        const text = `${nameOf(pop)} · ${pop.ticket.number}`;
        showToast({ id: `offer-${pop.offer_id}`, tone: "grey", title: problemText(problem), text });
      }
      return readAgain();
    },
  });
}

export function useReject() {
  const settled = useSettled();
  const readAgain = useReadDeskAgain();
  return useMutation({
    mutationFn: (pop: ScreenPop) => api.rejectOffer(pop.offer_id),
    onSuccess: settled,
    onError: () => readAgain(),
  });
}

export function useHangUp(callId: number) {
  const settled = useSettled();
  return useMutation({ mutationFn: () => api.hangUp(callId), onSuccess: settled });
}

/** The service says at once what is wanted; that it is so comes over the socket, when the provider has done it. */
export function useSetHold(callId: number) {
  const patch = usePatchDesk();
  const settled = useSettled();
  return useMutation({
    mutationFn: (isHeld: boolean) => api.setHold(callId, isHeld),
    onSuccess: ({ hold_wanted }) => {
      patch((desk) => withCall(desk, callId, (call) => ({ ...call, hold_wanted })));
      return settled();
    },
  });
}

/** On a telephone; that it is so comes over the socket, when the provider has said so. */
export function useSetMuted(callId: number) {
  const settled = useSettled();
  return useMutation({ mutationFn: (isMuted: boolean) => api.setMuted(callId, isMuted), onSuccess: settled });
}

/** The socket may take the dialog away before the answer is here, so what is said is said from here. */
export function useTransfer(callId: number) {
  const { t } = useTranslation();
  const settled = useSettled();
  return useMutation({
    mutationFn: ({ to, note }: { to: TransferTo; name: string; note?: string }) => api.transfer(callId, { ...to, note }),
    onSuccess: (_, { name }) => {
      showToast({ id: `transfer-${callId}`, tone: "green", title: t("transfer.done", { to: name }) });
      return settled();
    },
  });
}

/** Wanted at once; that it is so comes over the socket, when the provider has said so. */
export function usePauseRecording(callId: number) {
  const settled = useSettled();
  return useMutation({ mutationFn: (isPaused: boolean) => api.setRecordingPaused(callId, isPaused), onSuccess: settled });
}

/** Speak with somebody about the call first; the socket tells how that goes on. */
export function useConsult(callId: number) {
  const settled = useSettled();
  return useMutation({
    mutationFn: ({ to, note }: { to: TransferTo; note?: string }) => api.consult(callId, { ...to, note }),
    onSuccess: settled,
  });
}

export function useCompleteConsult(callId: number, name: string) {
  const { t } = useTranslation();
  const settled = useSettled();
  return useMutation({
    mutationFn: () => api.completeConsult(callId),
    onSuccess: () => {
      showToast({ id: `transfer-${callId}`, tone: "green", title: t("transfer.done", { to: name }) });
      return settled();
    },
  });
}

export function useEndConsult(callId: number) {
  const settled = useSettled();
  return useMutation({ mutationFn: () => api.endConsult(callId), onSuccess: settled });
}

export function useFinish(callId: number) {
  const patch = usePatchDesk();
  const settled = useSettled();
  return useMutation({
    mutationFn: ({ disposition, note }: { disposition: string | null; note: string | null }) =>
      api.finishCall(callId, disposition, note),
    onSuccess: ({ call: { state } }) => {
      // Still talking: result and note are kept, wrap-up comes later.
      if (state === "closed") {
        patch((desk) => ({ ...desk, calls: desk.calls.filter((call) => call.pop.call.id !== callId) }));
      }
      return settled();
    },
  });
}

export function useExtendWrapUp(callId: number) {
  const patch = usePatchDesk();
  const settled = useSettled();
  return useMutation({
    mutationFn: () => api.extendWrapUp(callId),
    onSuccess: ({ wrap_up_ends_at }) => {
      patch((desk) =>
        withCall(desk, callId, (call) => ({ ...call, wrap_up_ends_at, wrap_up: { ...call.wrap_up, extension_s: 0 } })),
      );
      return settled();
    },
  });
}

export function useRequestWrapUp(callId: number) {
  const patch = usePatchDesk();
  const settled = useSettled();
  return useMutation({
    mutationFn: (isWanted: boolean) => api.requestWrapUp(callId, isWanted),
    onSuccess: ({ is_requested }) => {
      patch((desk) => withCall(desk, callId, (call) => ({ ...call, wrap_up: { ...call.wrap_up, is_requested } })));
      return settled();
    },
  });
}

/** Who it is, with the way back to who it was, or to nobody. */
export function useChooseCustomer(pop: ScreenPop) {
  const { t } = useTranslation();
  const patch = usePatchDesk();
  return useMutation({
    mutationFn: (customerId: number) => api.chooseCustomer(pop.call.id, customerId),
    onSuccess: (chosen, customerId) => {
      patch((desk) => withPop(desk, chosen));
      const name = chosen.customer.profile?.name ?? t("customer.title");
      showDone(t("somebody.attached", { name }), async () => {
        const before = await api.chooseCustomer(pop.call.id, pop.customer.chosen_id, customerId);
        patch((desk) => withPop(desk, before));
      });
    },
  });
}

export function useCreateCustomer(pop: ScreenPop) {
  const patch = usePatchDesk();
  return useMutation({
    // That others have the number too is on the screen, where it is so.
    mutationFn: async (fresh: { name: string; language?: string; phone?: string }) => {
      const profile = await api.createCustomer(pop.customer.candidates.length > 0 ? { ...fresh, allow_duplicate: true } : fresh);
      return api.chooseCustomer(pop.call.id, profile.id);
    },
    onSuccess: (chosen) => patch((desk) => withPop(desk, chosen)),
  });
}

/** The ticket of the call, with the way back. A fresh ticket that the call has left is closed, so back means a new one. */
export function useChooseTicket(pop: ScreenPop) {
  const { t } = useTranslation();
  const patch = usePatchDesk();
  return useMutation({
    mutationFn: (ticketId: number | null) => api.chooseTicket(pop.call.id, ticketId),
    onSuccess: (moved) => {
      patch((desk) => withPop(desk, moved));
      showDone(t("somebody.moved", { ticket: moved.ticket.number }), async () => {
        const before = await api.chooseTicket(pop.call.id, pop.ticket.is_new ? null : pop.ticket.id);
        patch((desk) => withPop(desk, before));
      });
    },
  });
}
