import { useQuery } from "@tanstack/react-query";

import * as api from "@/api/endpoints";
import type { AgentRow, AgentState } from "@/api/types";
import { AGENTS_LIVE_KEY } from "@/live/caches";
import { observeServerTime } from "@/live/clock";

export function useAgentsLive() {
  return useQuery({
    queryKey: AGENTS_LIVE_KEY,
    queryFn: async () => {
      const live = await api.agents();
      observeServerTime(live.as_of);
      return live;
    },
    // The socket tells what changes, twice a second; this is for what it did not tell, and proves the rest before it is grey.
    refetchInterval: 3000,
  });
}

export type SortKey = "name" | "state" | "since";
export interface AgentFilter {
  words: string;
  state: AgentState | null;
  queue: string | null;
  sort: SortKey;
}

const RANK: AgentState[] = [
  "not_responding",
  "unreachable",
  "reconnecting",
  "reserved",
  "talking",
  "wrapping",
  "available",
  "break",
  "offline",
];

/** The rows a supervisor asked for. By "since", the one longest in its state comes first. */
export function visibleAgents(agents: AgentRow[], { words, state, queue, sort }: AgentFilter): AgentRow[] {
  const needle = words.trim().toLowerCase();
  const byName = (a: AgentRow, b: AgentRow) => a.name.localeCompare(b.name) || a.id - b.id;
  const since = (agent: AgentRow) => (agent.since === null ? Infinity : Date.parse(agent.since));
  const bySince = (a: AgentRow, b: AgentRow) => Math.sign(since(a) - since(b)) || byName(a, b);
  const byState = (a: AgentRow, b: AgentRow) => RANK.indexOf(a.state) - RANK.indexOf(b.state) || bySince(a, b);
  return agents
    .filter((agent) => state === null || agent.state === state)
    .filter((agent) => queue === null || agent.queues.includes(queue))
    .filter(({ name, email }) => needle === "" || name.toLowerCase().includes(needle) || email.toLowerCase().includes(needle))
    .sort(sort === "name" ? byName : sort === "state" ? byState : bySince);
}
