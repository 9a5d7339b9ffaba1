import { useQuery } from "@tanstack/react-query";

import { queues } from "@/api/endpoints";
import { useText } from "@/i18n";

/** The queues by key, named in the language of the page, in the order of the organisation. */
export function useQueueNames(): ReadonlyMap<string, string> {
  const text = useText();
  const { data } = useQuery({ queryKey: ["queues", "definitions"], queryFn: queues, staleTime: 300_000 });
  return new Map((data?.items ?? []).map((queue) => [queue.key, text(queue.name)]));
}
