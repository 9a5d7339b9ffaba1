/** What travels on the socket. One argument per event; `type` is the event's name. */
import type {
  ActiveCall,
  CallClosed,
  Desk,
  OfferEnded,
  PopLayer,
  PresenceChanged,
  QueueStatsChanged,
  ScreenPop,
  AgentsTold,
  TicketSummary,
  CustomerTold,
  ViewersTold,
} from "@/api/types";

/** What is on the screen; nothing, a ticket or a customer. `is_editing`: something typed is not saved yet. */
export interface Viewing {
  ticket_id?: number;
  customer_id?: number;
  is_editing?: boolean;
  /** The floor of a supervisor: its agents are told as they change. */
  is_floor?: boolean;
}

export interface EventData {
  snapshot: Desk;
  screen_pop: ScreenPop;
  offer_ended: OfferEnded;
  call_changed: ActiveCall | CallClosed;
  presence_changed: PresenceChanged;
  ticket_changed: TicketSummary;
  customer_changed: CustomerTold;
  viewers: ViewersTold;
  agents_changed: AgentsTold;
  queue_stats: QueueStatsChanged;
  noop: Record<string, never>;
}
export type EventType = keyof EventData;

export interface Envelope<Type extends EventType> {
  seq: number | null;
  type: Type;
  v: number;
  at: string;
  data: EventData[Type];
}
export type DeskEvent = { [Type in EventType]: Envelope<Type> }[EventType];

export interface ServerToClient {
  snapshot: (event: Envelope<"snapshot">) => void;
  screen_pop: (event: Envelope<"screen_pop">) => void;
  offer_ended: (event: Envelope<"offer_ended">) => void;
  call_changed: (event: Envelope<"call_changed">) => void;
  presence_changed: (event: Envelope<"presence_changed">) => void;
  ticket_changed: (event: Envelope<"ticket_changed">) => void;
  customer_changed: (event: Envelope<"customer_changed">) => void;
  viewers: (event: Envelope<"viewers">) => void;
  agents_changed: (event: Envelope<"agents_changed">) => void;
  queue_stats: (event: Envelope<"queue_stats">) => void;
  noop: (event: Envelope<"noop">) => void;
}
export interface ClientToServer {
  ack: (message: { seq: number }) => void;
  painted: (message: { offer_id: number; layer: PopLayer; ms: number }) => void;
  viewing: (message: Viewing) => void;
}

export function isClosed(data: EventData["call_changed"]): data is CallClosed {
  return data.state === "closed";
}
