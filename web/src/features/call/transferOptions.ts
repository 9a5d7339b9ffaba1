import { useTranslation } from "react-i18next";

import type { Text, TransferTargets, TransferTo } from "@/api/types";
import { formatPhone } from "@/format/phone";
import { useText } from "@/i18n";

export interface Option {
  key: string;
  kind: "agent" | "queue" | "number" | "notNow";
  name: string;
  about: string;
  /** Why it cannot be chosen, or that it can. */
  reason?: Text;
  can: boolean;
  to: TransferTo;
}

const DIALLED = /^\+?[\d\s()./-]{3,}$/;

/** What was typed may be a number to ring; whether it is allowed is for the service to say. */
export function numberIn(words: string): string | null {
  const typed = words.trim();
  return DIALLED.test(typed) ? typed : null;
}

/** Agents who can take it (found by the service), queues whose name fits, the number that was typed; at the end who cannot. */
export function useTransferOptions(targets: TransferTargets | undefined, words: string): Option[] {
  const { t } = useTranslation();
  const text = useText();
  if (!targets) return [];
  const needle = words.trim().toLowerCase();
  const number = targets.outside.length > 0 ? numberIn(words) : null;
  const agents = targets.agents.map(
      ({ agent_id, name, can, reason }): Option => ({
        key: `agent-${agent_id}`,
        kind: can ? "agent" : "notNow",
        name,
        about: text(reason),
        reason,
        can,
        to: { agent_id },
      }),
  );
  return [
    ...agents.filter(({ can }) => can),
    ...targets.queues
      .map(
        ({ key, name, waiting, agents_available }): Option => ({
          key: `queue-${key}`,
          kind: "queue",
          name: text(name),
          about: t("transfer.ofQueue", { waiting, free: agents_available }),
          can: true,
          to: { queue: key },
        }),
      )
      .filter(({ name }) => name.toLowerCase().includes(needle)),
    ...(number === null
      ? []
      : [
          {
            key: "number",
            kind: "number" as const,
            name: formatPhone(number),
            about: t("transfer.outside"),
            can: true,
            to: { number },
          },
        ]),
    ...agents.filter(({ can }) => !can),
  ];
}
