import createClient from "openapi-fetch";

import type { paths } from "@/api/schema";
import { asProblem, problemOf } from "@/api/problem";

const client = createClient<paths>({
  baseUrl: globalThis.location.origin,
  credentials: "same-origin",
  // Looked up at each call: tests stand at the wire.
  fetch: (request) => globalThis.fetch(request),
});
const listeners = new Set<() => void>();

/** Tell me when the service no longer knows this session. */
export function onSignedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

interface Answer<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** The body of a good answer, or a thrown `Problem`; a lost network is a problem as well. */
export async function answer<Data>(pending: Promise<Answer<Data>>): Promise<Data> {
  let result: Answer<Data>;
  try {
    result = await pending;
  } catch (cause) {
    throw asProblem(cause);
  }
  if (!result.response.ok) {
    const problem = problemOf(result.response.status, result.error);
    if (problem.code === "unauthenticated") listeners.forEach((listener) => listener());
    throw problem;
  }
  return result.data as Data;
}

export { client };
