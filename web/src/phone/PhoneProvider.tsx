import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";

import { voiceToken } from "@/api/endpoints";
import type { PhoneStatus } from "@/phone/phone";
import { Softphone } from "@/phone/softphone";

const Context = createContext<Softphone | null>(null);

/** Holds the phone of one agent; another agent is another instance (`key`). */
export function PhoneProvider({ agentId, children }: { agentId: number; children: ReactNode }) {
  const [phone] = useState(() => new Softphone(agentId, voiceToken));
  useEffect(() => {
    phone.start();
    return () => phone.stop();
  }, [phone]);
  return <Context value={phone}>{children}</Context>;
}

export function usePhone(): Softphone {
  const phone = useContext(Context);
  if (!phone) throw new Error("usePhone outside of PhoneProvider");
  return phone;
}

export function usePhoneStatus(): PhoneStatus {
  const phone = usePhone();
  return useSyncExternalStore(phone.subscribe, phone.getStatus);
}
