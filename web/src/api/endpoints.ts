/** Every request the screens make, one function each: the only place that knows paths and parameter names. */
import { answer, client } from "@/api/client";
import { asProblem } from "@/api/problem";
import type {
  AgentsLive,
  CallState,
  ChosenPresence,
  CustomerChange,
  Desk,
  KeySettings,
  Me,
  ManyTickets,
  MissedResult,
  NewCall,
  NewCustomer,
  NewListed,
  NewWallboard,
  NumberListName,
  Page,
  PastOffer,
  Presence,
  Priority,
  ScreenPop,
  TicketChange,
  TicketQuery,
  TicketState,
  TimelineEntry,
  TransferTo,
  VoiceToken,
} from "@/api/types";

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
export const voiceToken = () => answer(client.POST(`${ROOT}/voice-token`)) as Promise<VoiceToken>;

export const desk = () => answer(client.GET(`${ROOT}/desk`)) as Promise<Desk>;
export const setPresence = (state: ChosenPresence, reason?: string) =>
  answer(client.PUT(`${ROOT}/presence`, { body: { state, reason } })) as Promise<Presence>;

export const setReach = (by: "browser" | "telephone") =>
  answer(client.PUT(`${ROOT}/presence/reach`, { body: { by } })) as Promise<Presence>;

const at = (id: number | string) => ({ params: { path: { id: String(id) } } });

export const acceptOffer = (offer: number) => answer(client.POST(`${ROOT}/offers/{id}/accept`, at(offer)));
export const rejectOffer = (offer: number) =>
  answer(client.POST(`${ROOT}/offers/{id}/reject`, { ...at(offer), body: {} }));

export interface CallFilter {
  state?: CallState[];
  direction?: ("inbound" | "outbound" | "internal")[];
  outcome?: string[];
  queue?: string;
  agent?: number;
  customer?: number;
  number?: string;
  since?: string;
  until?: string;
  limit?: number;
  cursor?: string;
}
export const calls = (query: CallFilter) => answer(client.GET(`${ROOT}/calls`, { params: { query } }));

export const missedContacts = (query: { state: "open" | "done"; owner?: string; queue?: string; limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/missed-contacts`, { params: { query } }));
export const missedCount = () => answer(client.GET(`${ROOT}/missed-contacts/count`));
export const ownMissed = (id: number, agent_id: number | null) =>
  answer(client.PUT(`${ROOT}/missed-contacts/{id}/owner`, { ...at(id), body: { agent_id } }));
export const finishMissed = (items: { id: number; version: number }[], result: MissedResult) =>
  answer(client.POST(`${ROOT}/missed-contacts/done`, { body: { items, result } }));
export const reopenMissed = (items: { id: number; version: number }[]) =>
  answer(client.POST(`${ROOT}/missed-contacts/reopen`, { body: { items } }));
const LISTS = { blocked: `${ROOT}/blocked-numbers`, do_not_call: `${ROOT}/do-not-call` } as const;
export const listedNumbers = (list: NumberListName, query: { number?: string; limit?: number; cursor?: string }) =>
  answer(client.GET(LISTS[list], { params: { query: { ...query, cursor: query.cursor === undefined ? undefined : Number(query.cursor) } } }));
export const listNumber = (list: NumberListName, body: NewListed) => answer(client.POST(LISTS[list], { body }));
export const unlistNumber = (list: NumberListName, id: number) =>
  answer(client.DELETE(list === "blocked" ? `${ROOT}/blocked-numbers/{id}` : `${ROOT}/do-not-call/{id}`, at(id)));
export const makeCall = (body: NewCall) => answer(client.POST(`${ROOT}/calls`, { body }));
/** Where the sound of a message is, for a player. */
export const soundOf = (message: number): string => `${ROOT}/voicemails/${message}/audio`;
/** Where the sound of a recorded call is, for a player. */
export const recordingOf = (recording: number): string => `${ROOT}/recordings/${recording}/audio`;
export const setRecordingPaused = (call: number, isPaused: boolean) =>
  answer(client.POST(isPaused ? `${ROOT}/calls/{id}/recording/pause` : `${ROOT}/calls/{id}/recording/resume`, at(call)));
export const hangUp = (call: number) => answer(client.POST(`${ROOT}/calls/{id}/hangup`, at(call)));
export const setHold = (call: number, isHeld: boolean) =>
  answer(client.POST(isHeld ? `${ROOT}/calls/{id}/hold` : `${ROOT}/calls/{id}/resume`, at(call)));
export const setMuted = (call: number, isMuted: boolean) =>
  answer(client.POST(isMuted ? `${ROOT}/calls/{id}/mute` : `${ROOT}/calls/{id}/unmute`, at(call)));
export const transferTargets = (call: number, q: string) =>
  answer(client.GET(`${ROOT}/calls/{id}/transfer-targets`, { params: { ...at(call).params, query: { q } } }));
export const transfer = (call: number, body: TransferTo & { note?: string }) =>
  answer(client.POST(`${ROOT}/calls/{id}/transfer`, { ...at(call), body }));
export const consult = (call: number, body: TransferTo & { note?: string }) =>
  answer(client.POST(`${ROOT}/calls/{id}/consult`, { ...at(call), body }));
export const completeConsult = (call: number) => answer(client.POST(`${ROOT}/calls/{id}/consult/complete`, at(call)));
export const endConsult = (call: number) => answer(client.POST(`${ROOT}/calls/{id}/consult/end`, at(call)));
export const saveNote = (call: number, body: string, version: number, keepalive = false) =>
  answer(client.PUT(`${ROOT}/calls/{id}/note`, { ...at(call), body: { body, version }, keepalive }));
export const finishCall = (call: number, disposition: string | null, note: string | null) =>
  answer(client.POST(`${ROOT}/calls/{id}/wrap-up`, { ...at(call), body: { disposition, note } }));
export const extendWrapUp = (call: number) => answer(client.POST(`${ROOT}/calls/{id}/wrap-up/extend`, at(call)));
export const requestWrapUp = (call: number, is_wanted: boolean) =>
  answer(client.POST(`${ROOT}/calls/{id}/wrap-up/request`, { ...at(call), body: { is_wanted } }));
export const chooseCustomer = (call: number, customer_id: number | null, instead_of?: number) =>
  answer(client.POST(`${ROOT}/calls/{id}/customer`, { ...at(call), body: { customer_id, instead_of } })) as Promise<ScreenPop>;
export const popAgain = (offer: number) => answer(client.GET(`${ROOT}/offers/{id}/pop`, at(offer))) as Promise<ScreenPop>;
export const lostOffers = async (): Promise<PastOffer[]> =>
  (await answer(client.GET(`${ROOT}/desk/lost-offers`))).items as PastOffer[];
export const withoutResult = async () => (await answer(client.GET(`${ROOT}/desk/without-result`))).items;
export const setResult = (call: number, disposition: string | null) =>
  answer(client.PUT(`${ROOT}/calls/{id}/result`, { ...at(call), body: { disposition } }));
export const popLevel = (minutes: number) =>
  answer(client.GET(`${ROOT}/pop-level`, { params: { query: { minutes } } }));
export const keySettings = () => answer(client.GET(`${ROOT}/keys`));
export const saveKeySettings = (body: KeySettings) => answer(client.PUT(`${ROOT}/keys`, { body }));
export const chooseTicket = (call: number, ticket_id: number | null) =>
  answer(client.POST(`${ROOT}/calls/{id}/ticket`, { ...at(call), body: { ticket_id } })) as Promise<ScreenPop>;

export interface TicketFilter {
  state?: TicketState[];
  priority?: Priority[];
  queue?: string;
  assignee?: string;
  tag?: string;
  customer?: number;
  q?: string;
  limit?: number;
  cursor?: string;
}
export const tickets = (query: TicketFilter) => answer(client.GET(`${ROOT}/tickets`, { params: { query } }));
export const ticket = (idOrNumber: number | string) => answer(client.GET(`${ROOT}/tickets/{id}`, at(idOrNumber)));
export const createTicket = (body: { subject: string; queue: string; customer_id?: number; priority?: Priority }) =>
  answer(client.POST(`${ROOT}/tickets`, { body }));
export const changeTicket = (id: number, body: TicketChange) =>
  answer(client.PATCH(`${ROOT}/tickets/{id}`, { ...at(id), body }));
export const addTicketNote = (id: number, body: string) =>
  answer(client.POST(`${ROOT}/tickets/{id}/notes`, { ...at(id), body: { body } }));
export const assignTicket = (id: number, agent_id: number | null, version: number) =>
  answer(client.POST(`${ROOT}/tickets/{id}/assign`, { ...at(id), body: { agent_id, version } }));

export const ticketViews = () => answer(client.GET(`${ROOT}/ticket-views`));
export const createTicketView = (body: { name: string; query: TicketQuery; is_shared: boolean }) =>
  answer(client.POST(`${ROOT}/ticket-views`, { body }));
export const changeTicketView = (id: number, body: { name?: string; is_shared?: boolean; version: number }) =>
  answer(client.PATCH(`${ROOT}/ticket-views/{id}`, { ...at(id), body }));
export const deleteTicketView = (id: number) => answer(client.DELETE(`${ROOT}/ticket-views/{id}`, at(id)));
export const changeManyTickets = (body: ManyTickets) => answer(client.POST(`${ROOT}/ticket-acts`, { body }));
export const undoManyTickets = (act: number) => answer(client.POST(`${ROOT}/ticket-acts/{id}/undo`, at(act)));

export const customers = (query: { q?: string; phone?: string; limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/customers`, { params: { query } }));
export const createCustomer = (body: NewCustomer) => answer(client.POST(`${ROOT}/customers`, { body }));
export const customer = (id: number) => answer(client.GET(`${ROOT}/customers/{id}`, at(id)));
export const changeCustomer = (id: number, body: CustomerChange) =>
  answer(client.PATCH(`${ROOT}/customers/{id}`, { ...at(id), body }));
export const timeline = (id: number, query: { limit?: number; cursor?: string }) =>
  answer(client.GET(`${ROOT}/customers/{id}/timeline`, { params: { path: { id: String(id) }, query } })) as Promise<
    Page<TimelineEntry>
  >;

export const queues = () => answer(client.GET(`${ROOT}/queues`));
export const queuesLive = () => answer(client.GET(`${ROOT}/queues/live`));
export const agents = () => answer(client.GET(`${ROOT}/agents`)) as Promise<AgentsLive>;
export const setAgentPresence = (
  agent: number,
  body: { state: ChosenPresence; reason: string | undefined; version: number },
) => answer(client.PUT(`${ROOT}/agents/{id}/presence`, { ...at(agent), body }));
export const explain = (workItem: number) => answer(client.GET(`${ROOT}/work-items/{id}/explain`, at(workItem)));

const ofQueue = (key: string) => ({ params: { path: { key } } });

export const line = (queue: string, limit?: number) =>
  answer(client.GET(`${ROOT}/queues/{key}/waiting`, { params: { path: { key: queue }, query: { limit } } }));
export const inHand = (queue: string) =>
  answer(client.GET(`${ROOT}/queues/{key}/in-hand`, { params: { path: { key: queue } } }));
export const candidates = (workItem: number) => answer(client.GET(`${ROOT}/work-items/{id}/candidates`, at(workItem)));
export const rankItem = (workItem: number, body: { tier?: number; boost_s?: number; version: number }) =>
  answer(client.PATCH(`${ROOT}/work-items/{id}`, { ...at(workItem), body }));
export const pushItem = (workItem: number, body: { agent_id: number; version: number; anyway: boolean }) =>
  answer(client.POST(`${ROOT}/work-items/{id}/push`, { ...at(workItem), body }));
export const pickItem = (workItem: number, version: number) =>
  answer(client.POST(`${ROOT}/work-items/{id}/pick`, { ...at(workItem), body: { version } }));
export const holdQueue = (queue: string, body: { is_held: boolean; version: number; reason?: string | undefined }) =>
  answer(client.PUT(`${ROOT}/queues/{key}/hold`, { ...ofQueue(queue), body }));
export const undoAct = (act: number) => answer(client.POST(`${ROOT}/acts/{id}/undo`, at(act)));

export const metrics = () => answer(client.GET(`${ROOT}/metrics`));
export interface FiguresQuestion {
  metrics: string;
  group: "none" | "queue" | "agent";
  from?: string;
  to?: string;
}
export const figures = (query: FiguresQuestion) => answer(client.GET(`${ROOT}/figures`, { params: { query } }));
export interface ContactsQuestion {
  metric: string;
  part: "numerator" | "denominator";
  queue: string;
  from?: string;
  to?: string;
  limit?: number;
  cursor?: string;
}
export const figureContacts = (query: ContactsQuestion) =>
  answer(client.GET(`${ROOT}/figures/contacts`, { params: { query } }));

export const wallboards = () => answer(client.GET(`${ROOT}/wallboards`));
export const createWallboard = (label: string) =>
  answer(client.POST(`${ROOT}/wallboards`, { body: { label } })) as Promise<NewWallboard>;
export const revokeWallboard = (id: number) => answer(client.DELETE(`${ROOT}/wallboards/{id}`, at(id)));
/** Asked by a screen that nobody has logged in to: the secret of its link is all it has. */
export const wall = (token: string) =>
  answer(client.GET(`${ROOT}/wall`, { headers: { "X-Wallboard-Token": token }, credentials: "omit" }));
