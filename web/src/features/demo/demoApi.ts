/** The simulator's own doors: callers, what they hear, and the traffic in the background. */
import { asProblem, Problem, problemOf } from "@/api/problem";

import type { Entry } from "./journal";

export interface Said {
  at: string;
  verb: string;
  text: string;
}
export interface DemoCall {
  sid: string;
  status: string;
  from: string;
  to: string;
  said: Said[];
  conference: string | null;
}

async function request<Result>(method: "GET" | "POST", path: string, body?: object): Promise<Result> {
  let response: Response;
  try {
    response = await fetch(`/demo${path}`, {
      method,
      credentials: "same-origin",
      headers: body ? { "content-type": "application/json" } : undefined,
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch (cause) {
    throw asProblem(cause);
  }
  if (!response.ok) {
    if (response.status === 404 && path === "/calls") throw new Problem({ status: 404, code: "demo_off" });
    throw problemOf(response.status, await response.json().catch(() => null));
  }
  return (await response.json()) as Result;
}

export const startCall = (from: string, to: string) => request<{ sid: string }>("POST", "/calls", { from, to });
export const demoCall = (sid: string) => request<DemoCall>("GET", `/calls/${encodeURIComponent(sid)}`);
export const endCall = (sid: string) => request<{ sid: string; status: string }>("POST", `/calls/${encodeURIComponent(sid)}/hangup`, {});
export const press = (sid: string, digits: string) =>
  request<DemoCall>("POST", `/calls/${encodeURIComponent(sid)}/digits`, { digits });
export const speak = (sid: string, text: string) => request<DemoCall>("POST", `/calls/${encodeURIComponent(sid)}/say`, { text });
export const traffic = () => request<{ on: boolean }>("GET", "/traffic");
export const setTraffic = (on: boolean) => request<{ on: boolean }>("POST", "/traffic", { on });
export const liveCalls = () => request<{ items: DemoCall[] }>("GET", "/calls?state=active");
export const journalSince = (since: number, limit: number) =>
  request<{ items: Entry[]; next: number }>("GET", `/journal?since=${since}&limit=${limit}`);
