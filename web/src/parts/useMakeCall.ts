import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";

import { makeCall } from "@/api/endpoints";
import { asProblem } from "@/api/problem";
import { useReadDeskAgain } from "@/live/desk";
import { usePhone } from "@/phone/PhoneProvider";

import { type Dialling, openDial } from "./dial";

/** Calls somebody: one's own phone joins at once, the customer is rung after that. A refusal is shown in the dial box. */
export function useMakeCall() {
  const phone = usePhone();
  const readAgain = useReadDeskAgain();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async ({ call }: Dialling) => {
      const made = await makeCall(call);
      if (!made.is_on_telephone) phone.connect(made.call.id);
      return made;
    },
    onSuccess: () => {
      openDial(null);
      void navigate({ to: "/desk" });
      return readAgain();
    },
    onError: (cause, dialling) => openDial({ ...dialling, problem: asProblem(cause) }),
  });
}
