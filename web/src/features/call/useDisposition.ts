import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { setResult } from "@/api/endpoints";
import type { ActiveCall } from "@/api/types";
import { usePatchDesk, withCall } from "@/live/desk";

interface Choice {
  key: string | null;
  /** The service has it. */
  isKept?: boolean;
}

function unsent(key: string): Choice | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") as Choice | null;
  } catch {
    return null;
  }
}

/**
 * The result chosen so far. The service keeps it with the call, so it outlives the browser and ends up in the call whoever finishes it.
 * What it does not have yet stays in this browser, and is sent again when the call is next on the screen.
 */
export function useDisposition(agentId: number, call: ActiveCall): [string | null, (key: string | null) => void] {
  const callId = call.pop.call.id;
  const key = `ringdesk.result.${agentId}.${callId}`;
  const patch = usePatchDesk();
  const [choice, setChoice] = useState(() => unsent(key));
  const latest = useRef(choice);
  const [told, setTold] = useState(call.disposition);
  // The service tells another result than before: this one's own, or that of another window.
  if (told !== call.disposition) {
    setTold(call.disposition);
    if (choice?.isKept) setChoice(null);
  }
  const { mutate } = useMutation({
    // One after the other: the last one chosen is the last one kept.
    scope: { id: key },
    mutationFn: (chosen: Choice) => setResult(callId, chosen.key),
    onSuccess: (_, chosen) => {
      patch((desk) => withCall(desk, callId, (known) => ({ ...known, disposition: chosen.key })));
      if (latest.current !== chosen) return;
      localStorage.removeItem(key);
      setChoice({ ...chosen, isKept: true });
    },
  });
  useEffect(() => {
    if (latest.current) mutate(latest.current);
  }, [mutate]);
  const choose = (disposition: string | null) => {
    const chosen = { key: disposition };
    latest.current = chosen;
    localStorage.setItem(key, JSON.stringify(chosen));
    setChoice(chosen);
    mutate(chosen);
  };
  return [choice ? choice.key : call.disposition, choose];
}
