/** A service at the wire: answers requests by method and path, and remembers what was asked. */
import { vi } from "vitest";

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
}
type Reply = { status?: number; body?: unknown };
type Route = (asked: Asked) => Reply | Promise<Reply>;

export class Service {
  readonly asked: Asked[] = [];
  private readonly routes = new Map<string, Route>();

  constructor() {
    vi.stubGlobal("fetch", async (input: Request | string, init?: RequestInit) => {
      const request = typeof input === "string" ? new Request(new URL(input, location.origin), init) : input;
      const url = new URL(request.url);
      const text = await request.text();
      const asked: Asked = {
        method: request.method,
        path: url.pathname.replace("/api/v1", ""),
        query: url.searchParams,
        body: text === "" ? undefined : JSON.parse(text),
      };
      this.asked.push(asked);
      const route = this.routes.get(`${asked.method} ${asked.path}`);
      const { status = 200, body } = route
        ? await route(asked)
        : { status: 404, body: { code: "not_found", status: 404 } };
      return new Response(body === undefined ? null : JSON.stringify(body), {
        status,
        headers: { "content-type": status >= 400 ? "application/problem+json" : "application/json" },
      });
    });
  }

  on(methodAndPath: string, route: Route | Reply): this {
    this.routes.set(methodAndPath, typeof route === "function" ? route : () => route);
    return this;
  }

  bodiesOf(methodAndPath: string): unknown[] {
    return this.asked.filter(({ method, path }) => `${method} ${path}` === methodAndPath).map(({ body }) => body);
  }
}
