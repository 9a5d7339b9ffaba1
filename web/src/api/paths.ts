/** The routes of the service in the form openapi-typescript writes them. */
import type * as T from "@/api/types";

interface Op<Result, Parts extends { path?: object; query?: object; body?: object } = object> {
  parameters: (Parts extends { path: infer P } ? { path: P } : { path?: never }) & {
    query?: Parts extends { query: infer Q } ? Q : never;
    header?: never;
    cookie?: never;
  };
  requestBody: Parts extends { body: infer B } ? { content: { "application/json": B } } : never;
  responses: { 200: { headers: Record<string, unknown>; content: { "application/json": Result } } };
}
interface Get<Result, Parts extends { path?: object; query?: object } = object> {
  get: Omit<Op<Result, Parts>, "requestBody"> & { requestBody?: never };
}
interface Id {
  path: { id: number };
}
interface Listing {
  limit?: number;
  cursor?: string;
}
export interface TicketFilter extends Listing {
  state?: string[];
  queue?: string;
  assignee?: string;
  customer?: number;
  q?: string;
}
export interface TicketChange {
  version: number;
  state?: T.TicketState;
  priority?: T.Priority;
  queue?: string;
  subject?: string;
  tags?: string[];
  customer_id?: number | null;
}
export interface NewCustomer {
  name: string;
  phone?: string;
  email?: string;
  company?: string;
  tier?: string;
  language?: string;
}
export interface CustomerChange {
  version: number;
  name?: string;
  company?: string | null;
  tier?: string | null;
  language?: string | null;
  note?: string | null;
}

export interface paths {
  "/api/v1/session": Get<{ user: T.Me }> & {
    post: Op<{ user: T.Me }, { body: { email: string; password: string } }>;
    delete: Omit<Op<undefined>, "requestBody"> & { requestBody?: never };
  };
  "/api/v1/realtime-ticket": { post: Omit<Op<{ ticket: string }>, "requestBody"> & { requestBody?: never } };
  "/api/v1/voice-token": { post: Omit<Op<T.VoiceToken>, "requestBody"> & { requestBody?: never } };
  "/api/v1/desk": Get<T.Desk>;
  "/api/v1/presence": { put: Op<T.Presence, { body: { state: T.ChosenPresence; reason?: string } }> };
  "/api/v1/offers/{id}/accept": {
    post: Omit<
      Op<{ offer: { id: number; state: string }; call: { id: number; conference: string | null } }, Id>,
      "requestBody"
    > & { requestBody?: never };
  };
  "/api/v1/offers/{id}/reject": {
    post: Op<{ offer: { id: number; state: string } }, Id & { body: { reason?: string } }>;
  };
  "/api/v1/calls": Get<T.Page<T.CallLogEntry>, { query: Listing & { sid?: string; from?: string; state?: string } }>;
  "/api/v1/calls/{id}/hangup": {
    post: Omit<Op<{ call: { id: number; state: string } }, Id>, "requestBody"> & { requestBody?: never };
  };
  "/api/v1/calls/{id}/note": { put: Op<T.CallNote, Id & { body: { body: string; version: number } }> };
  "/api/v1/calls/{id}/wrap-up": {
    post: Op<
      { call: { id: number; state: string } },
      Id & { body: { disposition: string | null; note: string | null } }
    >;
  };
  "/api/v1/calls/{id}/customer": { post: Op<T.ScreenPop, Id & { body: { customer_id: number } }> };
  "/api/v1/calls/{id}/ticket": { post: Op<T.ScreenPop, Id & { body: { ticket_id: number | null } }> };
  "/api/v1/tickets": Get<T.Page<T.TicketSummary>, { query: TicketFilter }> & {
    post: Op<T.Ticket, { body: { subject: string; queue: string; customer_id?: number; priority?: T.Priority } }>;
  };
  "/api/v1/tickets/{id}": Get<T.Ticket, { path: { id: string } }> & {
    patch: Op<T.Ticket, { path: { id: string }; body: TicketChange }>;
  };
  "/api/v1/tickets/{id}/notes": { post: Op<T.TicketNote, { path: { id: string }; body: { body: string } }> };
  "/api/v1/tickets/{id}/assign": {
    post: Op<T.Ticket, { path: { id: string }; body: { agent_id: number | null; version: number } }>;
  };
  "/api/v1/customers": Get<T.Page<T.CustomerSummary>, { query: Listing & { phone?: string; q?: string } }> & {
    post: Op<T.Profile, { body: NewCustomer }>;
  };
  "/api/v1/customers/{id}": Get<T.Profile, Id> & { patch: Op<T.Profile, Id & { body: CustomerChange }> };
  "/api/v1/customers/{id}/timeline": Get<T.Page<T.TimelineEntry>, Id & { query: Listing }>;
  "/api/v1/queues": Get<{ items: T.QueueDefinition[] }>;
  "/api/v1/queues/live": Get<T.QueuesLive>;
  "/api/v1/agents": Get<T.AgentsLive>;
  "/api/v1/agents/{id}/presence": {
    put: Op<T.Presence, Id & { body: { state: T.ChosenPresence; reason?: string } }>;
  };
  "/api/v1/work-items/{id}/explain": Get<T.Explanation, Id>;
}
