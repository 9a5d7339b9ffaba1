/** Every request the screens make, one function each: the only place that knows paths and parameter names. */
import { answer, client } from "@/api/client";
import type { CustomerChange, NewCustomer, TicketChange, TicketFilter } from "@/api/paths";
import { asProblem } from "@/api/problem";
import type { ChosenPresence, Me, Priority } from "@/api/types";

const ROOT = "/api/v1";

export async function currentUser(): Promise<Me | null> {
  try {
    return (await answer(client.GET(`${ROOT}/session`))).user;
  } catch (cause) {
    const problem = asProblem(cause);
    if (problem.status === 401) return null;
    throw problem;
  }
}
export const logIn = async (email: string, password: string): Promise<Me> =>
  (await answer(client.POST(`${ROOT}/session`, { body: { email, password } }))).user;
export const logOut = () => answer(client.DELETE(`${ROOT}/session`));

export const realtimeTicket = async (): Promise<string> =>
  (await answer(client.POST(`${ROOT}/realtime-ticket`))).ticket;
export const voiceToken = () => answer(client.POST(`${ROOT}/voice-token`));

export const desk = () => answer(client.GET(`${ROOT}/desk`));
export const setPresence = (state: ChosenPresence, reason?: string) =>
  answer(client.PUT(`${ROOT}/presence`, { body: { state, reason } }));

const id = (value: number) => ({ params: { path: { id: value } } });

export const acceptOffer = (offer: number) => answer(client.POST(`${ROOT}/offers/{id}/accept`, id(offer)));
export const rejectOffer = (offer: number) =>
  answer(client.POST(`${ROOT}/offers/{id}/reject`, { ...id(offer), body: {} }));

export const calls = (query: { state?: string; from?: string; limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/calls`, { params: { query } }));
export const hangUp = (call: number) => answer(client.POST(`${ROOT}/calls/{id}/hangup`, id(call)));
export const saveNote = (call: number, body: string, version: number, keepalive = false) =>
  answer(client.PUT(`${ROOT}/calls/{id}/note`, { ...id(call), body: { body, version }, keepalive }));
export const finishCall = (call: number, disposition: string | null, note: string | null) =>
  answer(client.POST(`${ROOT}/calls/{id}/wrap-up`, { ...id(call), body: { disposition, note } }));
export const chooseCustomer = (call: number, customer_id: number) =>
  answer(client.POST(`${ROOT}/calls/{id}/customer`, { ...id(call), body: { customer_id } }));
export const chooseTicket = (call: number, ticket_id: number | null) =>
  answer(client.POST(`${ROOT}/calls/{id}/ticket`, { ...id(call), body: { ticket_id } }));

const ticketPath = (value: number | string) => ({ params: { path: { id: String(value) } } });

export const tickets = (query: TicketFilter) => answer(client.GET(`${ROOT}/tickets`, { params: { query } }));
export const ticket = (idOrNumber: number | string) =>
  answer(client.GET(`${ROOT}/tickets/{id}`, ticketPath(idOrNumber)));
export const createTicket = (body: { subject: string; queue: string; customer_id?: number; priority?: Priority }) =>
  answer(client.POST(`${ROOT}/tickets`, { body }));
export const changeTicket = (ticketId: number, body: TicketChange) =>
  answer(client.PATCH(`${ROOT}/tickets/{id}`, { ...ticketPath(ticketId), body }));
export const addTicketNote = (ticketId: number, body: string) =>
  answer(client.POST(`${ROOT}/tickets/{id}/notes`, { ...ticketPath(ticketId), body: { body } }));
export const assignTicket = (ticketId: number, agent_id: number | null, version: number) =>
  answer(client.POST(`${ROOT}/tickets/{id}/assign`, { ...ticketPath(ticketId), body: { agent_id, version } }));

export const customers = (query: { q?: string; phone?: string; limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/customers`, { params: { query } }));
export const createCustomer = (body: NewCustomer) => answer(client.POST(`${ROOT}/customers`, { body }));
export const customer = (customerId: number) => answer(client.GET(`${ROOT}/customers/{id}`, id(customerId)));
export const changeCustomer = (customerId: number, body: CustomerChange) =>
  answer(client.PATCH(`${ROOT}/customers/{id}`, { ...id(customerId), body }));
export const timeline = (customerId: number, query: { limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/customers/{id}/timeline`, { params: { path: { id: customerId }, query } }));

export const queues = () => answer(client.GET(`${ROOT}/queues`));
export const queuesLive = () => answer(client.GET(`${ROOT}/queues/live`));
export const agents = () => answer(client.GET(`${ROOT}/agents`));
export const setAgentPresence = (agent: number, state: ChosenPresence, reason?: string) =>
  answer(client.PUT(`${ROOT}/agents/{id}/presence`, { ...id(agent), body: { state, reason } }));
export const explain = (workItem: number) => answer(client.GET(`${ROOT}/work-items/{id}/explain`, id(workItem)));
