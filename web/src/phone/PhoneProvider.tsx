import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";

import { voiceToken } from "@/api/endpoints";
import type { PhoneStatus } from "@/phone/phone";
import { Softphone } from "@/phone/softphone";

const Context = createContext<Softphone | null>(null);

export function PhoneProvider({ agentId, children }: { agentId: number; children: ReactNode }) {
  const [phone, setPhone] = useState<Softphone | null>(null);
  useEffect(() => {
    const opened = new Softphone(agentId, voiceToken);
    setPhone(opened);
    return () => opened.dispose();
  }, [agentId]);
  return phone ? <Context value={phone}>{children}</Context> : null;
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
