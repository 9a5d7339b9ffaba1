/**
 * The desk as a pure function of events: `reduce(desk, event) -> desk`.
 *
 * Order is decided by `place` before an event is applied: an event at or below the desk's seq was seen before,
 * one that skips a number means that something was lost. Inside an object, an older version never replaces a
 * newer one. The same desk object comes back when nothing changed, so screens do not paint again.
 */
import type { ActiveCall, Desk, PresenceChanged, Profile, QueueStats, ScreenPop, TicketSummary } from "@/api/types";
import { type DeskEvent, type EventData, type EventType, isClosed } from "@/live/protocol";

type Apply<Type extends EventType> = (desk: Desk, data: EventData[Type]) => Desk;

const dispatch: { [Type in EventType]: Apply<Type> } = {
  snapshot: (_, snapshot) => snapshot,
  screen_pop: applyPop,
  offer_ended: (desk, ended) => without(desk, ended.offer_id),
  call_changed: (desk, change) => (isClosed(change) ? closed(desk, change.call_id) : applyCall(desk, change)),
  presence_changed: applyPresence,
  ticket_changed: applyTicket,
  queue_stats: (desk, { queues }) => ({ ...desk, queues: mergeQueues(desk.queues, queues) }),
  customer_changed: (desk) => desk,
  viewers: (desk) => desk,
  agents_changed: (desk) => desk,
  noop: (desk) => desk,
};

export type Place = "apply" | "drop" | "gap";

export function place(desk: Desk | undefined, event: DeskEvent): Place {
  if (event.type === "snapshot") return "apply";
  if (event.seq === null) return desk ? "apply" : "drop";
  if (!desk) return "gap";
  if (event.seq <= desk.seq) return "drop";
  return event.seq === desk.seq + 1 ? "apply" : "gap";
}

export function reduce(desk: Desk, event: DeskEvent): Desk {
  if (place(desk, event) !== "apply") return desk;
  // An event of a newer service that this page does not know changes nothing but the place in the sequence.
  const apply = (dispatch as Partial<typeof dispatch>)[event.type] as Apply<EventType> | undefined;
  const next = apply ? apply(desk, event.data) : desk;
  return event.seq === null || event.type === "snapshot" ? next : { ...next, seq: event.seq };
}

/** A REST snapshot may be older than what the socket has told since: then it is left alone. */
export function newer(current: Desk | undefined, fetched: Desk): Desk {
  return current && current.seq > fetched.seq ? current : fetched;
}

function applyPresence(desk: Desk, change: PresenceChanged): Desk {
  const { state, reason, since, work, next = null, next_reason = null, telephone, version } = change;
  if (version < (desk.presence?.version ?? 0)) return desk;
  return { ...desk, presence: { state, reason, since, work, next, next_reason, telephone, version } };
}

function applyPop(desk: Desk, pop: ScreenPop): Desk {
  const call = desk.calls.find((candidate) => candidate.pop.offer_id === pop.offer_id);
  if (call) {
    if (pop.version < call.pop.version) return desk;
    const newer = { ...call, pop: keepNewerTicket(call.pop, pop) };
    return { ...desk, calls: desk.calls.map((other) => (other === call ? newer : other)) };
  }
  const known = desk.offers.find((offer) => offer.offer_id === pop.offer_id);
  if (known && pop.version < known.version) return desk;
  const offers = known
    ? desk.offers.map((offer) => (offer === known ? keepNewerTicket(known, pop) : offer))
    : [...desk.offers, pop];
  return { ...desk, offers };
}

function without(desk: Desk, offerId: number): Desk {
  const offers = desk.offers.filter((offer) => offer.offer_id !== offerId);
  return offers.length === desk.offers.length ? desk : { ...desk, offers };
}

function applyCall(desk: Desk, call: ActiveCall): Desk {
  const rest = without(desk, call.pop.offer_id);
  const known = desk.calls.find((other) => other.pop.call.id === call.pop.call.id);
  if (!known) return { ...rest, calls: [...desk.calls, call] };
  if (call.version < known.version) return rest;
  const newer = { ...call, pop: keepNewerTicket(known.pop, call.pop) };
  return { ...rest, calls: desk.calls.map((other) => (other === known ? newer : other)) };
}

/** A ticket's own event may overtake a pop that was built a moment earlier. */
function keepNewerTicket(known: ScreenPop, fresh: ScreenPop): ScreenPop {
  if (known.ticket.id !== fresh.ticket.id || known.ticket.version <= fresh.ticket.version) return fresh;
  return { ...fresh, ticket: { ...fresh.ticket, ...known.ticket } };
}

function closed(desk: Desk, callId: number): Desk {
  const calls = desk.calls.filter((call) => call.pop.call.id !== callId);
  return calls.length === desk.calls.length ? desk : { ...desk, calls };
}

const ENDED = new Set(["resolved", "closed", "merged"]);

function applyTicket(desk: Desk, ticket: TicketSummary): Desk {
  return { ...desk, tickets: applyToMine(desk, ticket), ...applyToPops(desk, ticket) };
}

function applyToMine(desk: Desk, ticket: TicketSummary): TicketSummary[] {
  const known = desk.tickets.find((other) => other.id === ticket.id);
  if (known && ticket.version < known.version) return desk.tickets;
  const mine = ticket.assignee?.id === desk.me.id && !ENDED.has(ticket.state);
  if (!mine) return known ? desk.tickets.filter((other) => other !== known) : desk.tickets;
  return known ? desk.tickets.map((other) => (other === known ? ticket : other)) : [ticket, ...desk.tickets];
}

function applyToPops(desk: Desk, ticket: TicketSummary): Pick<Desk, "offers" | "calls"> {
  const update = (pop: ScreenPop): ScreenPop => {
    const isSuggested = pop.ticket.id === ticket.id && pop.ticket.version <= ticket.version;
    const isOther = pop.other_tickets.some((other) => other.id === ticket.id && other.version <= ticket.version);
    const profile = pop.customer.profile;
    const isOpenOne = profile?.open_tickets.some((other) => other.id === ticket.id && other.version <= ticket.version);
    if (!isSuggested && !isOther && !isOpenOne) return pop;
    return {
      ...pop,
      customer: profile && isOpenOne ? { ...pop.customer, profile: withTicket(profile, ticket) } : pop.customer,
      ticket: isSuggested ? { ...pop.ticket, ...ticket } : pop.ticket,
      other_tickets: pop.other_tickets.map((other) => (isOther && other.id === ticket.id ? ticket : other)),
    };
  };
  return {
    offers: desk.offers.map(update),
    calls: desk.calls.map((call) => {
      const pop = update(call.pop);
      return pop === call.pop ? call : { ...call, pop };
    }),
  };
}

/** The customer's open tickets beside the call say the same as the call's own card. */
function withTicket(profile: Profile, ticket: TicketSummary): Profile {
  const told = profile.open_tickets.map((other) => (other.id === ticket.id ? { ...other, ...ticket } : other));
  return { ...profile, open_tickets: told.filter(({ state }) => !ENDED.has(state)) };
}

export function mergeQueues(known: QueueStats[], fresh: QueueStats[]): QueueStats[] {
  const byKey = new Map(fresh.map((queue) => [queue.key, queue]));
  const kept = known.map((queue) => byKey.get(queue.key) ?? queue);
  return [...kept, ...fresh.filter((queue) => !known.some((other) => other.key === queue.key))];
}
