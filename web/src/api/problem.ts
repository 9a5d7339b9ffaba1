/** An RFC 9457 problem as the service sends it, or a stand-in when no answer came at all. */
export interface ProblemBody {
  type?: string;
  title?: string;
  status: number;
  detail?: string;
  code: string;
  request_id?: string;
  errors?: { field: string; message: string }[];
  [field: string]: unknown;
}

export class Problem extends Error {
  readonly code: string;
  readonly status: number;

  constructor(readonly body: ProblemBody) {
    super(body.detail ?? body.title ?? body.code);
    this.name = "Problem";
    this.code = body.code;
    this.status = body.status;
  }

  /** The message for one form field, when the service named it. */
  field(name: string): string | undefined {
    return this.body.errors?.find((error) => error.field === name)?.message;
  }
}

export function asProblem(cause: unknown): Problem {
  if (cause instanceof Problem) return cause;
  return new Problem({ status: 0, code: "network", detail: cause instanceof Error ? cause.message : String(cause) });
}

export function problemOf(status: number, body: unknown): Problem {
  if (typeof body === "object" && body !== null && "code" in body && typeof body.code === "string") {
    return new Problem({ ...(body as ProblemBody), status });
  }
  return new Problem({ status, code: status >= 500 ? "server_error" : "unexpected" });
}
