import { expect, test } from "vitest";

import type { AgentRow, AgentState } from "@/api/types";
import { anAgent } from "@/test/builders";

import { visibleAgents } from "./useAgents";

function agent(id: number, name: string, state: AgentState, minutes: number, queues = ["support"]): AgentRow {
  const since = new Date(Date.UTC(2026, 10, 22, 10, 0) - minutes * 60_000).toISOString();
  return anAgent({ id, name, state, email: `agent${id}@demo.example`, since, queues });
}

const agents = [
  agent(1, "Ava Chen", "available", 3),
  agent(2, "Ben Fischer", "talking", 12, ["support", "de"]),
  agent(3, "Chen Wei", "not_responding", 1),
];
const everybody = { words: "", state: null, queue: null, sort: "since" } as const;
const names = (rows: AgentRow[]) => rows.map(({ name }) => name);

test("by time in state, the longest comes first", () => {
  expect(names(visibleAgents(agents, everybody))).toEqual(["Ben Fischer", "Ava Chen", "Chen Wei"]);
});

test("by state, those who need a hand come first", () => {
  expect(names(visibleAgents(agents, { ...everybody, sort: "state" }))[0]).toBe("Chen Wei");
});

test("filters by words, state and queue", () => {
  expect(names(visibleAgents(agents, { ...everybody, words: "chen", sort: "name" }))).toEqual(["Ava Chen", "Chen Wei"]);
  expect(names(visibleAgents(agents, { ...everybody, state: "talking" }))).toEqual(["Ben Fischer"]);
  expect(names(visibleAgents(agents, { ...everybody, queue: "de" }))).toEqual(["Ben Fischer"]);
});
