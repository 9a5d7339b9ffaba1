import { useState } from "react";

import type { ActiveCall } from "@/api/types";

/** The result chosen so far. It is sent when the call is finished; until then this browser keeps it over a reload. */
export function useDisposition(agentId: number, call: ActiveCall): [string | null, (key: string | null) => void] {
  const key = `ringdesk.result.${agentId}.${call.pop.call.id}`;
  const [chosen, setChosen] = useState<string | null>(() => call.disposition ?? sessionStorage.getItem(key));
  const choose = (disposition: string | null) => {
    if (disposition === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, disposition);
    setChosen(disposition);
  };
  return [chosen, choose];
}
