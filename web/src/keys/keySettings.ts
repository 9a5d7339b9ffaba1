/** A person's own keys: read once after signing in, saved with each change. */
import { type QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { keySettings, saveKeySettings } from "@/api/endpoints";
import type { KeySettings } from "@/api/types";
import { areKeysOff, type CommandId, type OwnKeys, setKeysOff, setOwnKeys } from "@/keys/shortcuts";

const KEY = ["keys"] as const;

function adopt(settings: KeySettings): KeySettings {
  setOwnKeys(settings.bindings);
  if (settings.is_off !== areKeysOff()) setKeysOff(settings.is_off);
  return settings;
}

async function read(): Promise<KeySettings> {
  return adopt(await keySettings());
}

/** In the frame of every page: from here on the keys are this person's. */
export function useOwnKeys(userId: number): void {
  const { refetch } = useQuery({ queryKey: [...KEY, userId], queryFn: read, staleTime: Infinity, gcTime: Infinity });
  useEffect(() => {
    const again = () => {
      if (document.visibilityState === "visible") void refetch();
    };
    document.addEventListener("visibilitychange", again);
    return () => document.removeEventListener("visibilitychange", again);
  }, [refetch]);
}

const known = (queries: QueryClient, userId: number) => queries.getQueryData<KeySettings>([...KEY, userId]);

export function useSetKeys(userId: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (change: { is_off?: boolean; bindings?: OwnKeys }) => {
      const before = known(queries, userId) ?? (await keySettings());
      return saveKeySettings({ ...before, ...(change as Partial<KeySettings>) });
    },
    // At once; if it cannot be kept, what is kept is read again.
    onMutate: ({ is_off, bindings }) => {
      if (is_off !== undefined) setKeysOff(is_off);
      if (bindings !== undefined) setOwnKeys(bindings);
    },
    onSuccess: (saved) => queries.setQueryData([...KEY, userId], adopt(saved)),
    // Another window was faster, or it could not be kept: the keys that are kept are shown, and the change can be made again.
    onError: () => queries.invalidateQueries({ queryKey: KEY }),
  });
}

/** `own` with other keys for one command; `undefined` are the usual ones. */
export function withKeys(own: OwnKeys, id: CommandId, keys: string[] | undefined): OwnKeys {
  const rest = Object.fromEntries(Object.entries(own).filter(([other]) => other !== id));
  return keys === undefined ? rest : { ...rest, [id]: keys };
}
