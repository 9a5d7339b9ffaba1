/**
 * The shapes the service speaks, by the names its OpenAPI document gives them.
 *
 * Times are ISO-8601 in UTC; ids are numbers; a `Text` has one entry per language.
 */
export type Role = "agent" | "supervisor" | "admin" | "auditor" | "integration";
export type Language = "en" | "zh-CN";
export interface Text {
  en: string;
  "zh-CN": string;
}

export interface Me {
  id: number;
  email: string;
  name: string;
  role: Role;
  language: Language | null;
}

export type PresenceState = "available" | "break" | "offline" | "not_responding" | "reconnecting" | "unreachable";
export type ChosenPresence = "available" | "break" | "offline";
export type WorkState = "idle" | "offered" | "in_call" | "wrapping";
export interface Presence {
  state: PresenceState;
  reason: string | null;
  since: string;
  work: WorkState;
  next: string | null;
  version: number;
}

export interface ServiceLevel {
  numerator: number;
  denominator: number;
  within_s: number;
  target: number;
}
export interface QueueStats {
  key: string;
  name: Text;
  waiting: number;
  longest_wait_s: number | null;
  agents_signed_in: number;
  agents_available: number;
  agents_busy: number;
  offering: number;
  in_call: number;
  answered_today: number;
  abandoned_today: number;
  service_level: ServiceLevel;
}
export interface QueuesLive {
  queues: QueueStats[];
  as_of: string;
}

export type TicketState =
  | "new"
  | "open"
  | "pending_customer"
  | "pending_third_party"
  | "pending_until"
  | "resolved"
  | "closed"
  | "merged";
export type Priority = "low" | "normal" | "high" | "urgent";
export interface Ref {
  id: number;
  name: string;
}
export interface TicketSummary {
  id: number;
  number: string;
  subject: string;
  state: TicketState;
  priority: Priority;
  queue: string;
  assignee: Ref | null;
  customer: Ref | null;
  tags: string[];
  version: number;
  opened_at: string;
  updated_at: string;
  closed_at: string | null;
}
export interface TicketNote {
  id: number;
  body: string;
  author: Ref | null;
  created_at: string;
  call_id: number | null;
}
export interface TicketHistoryEntry {
  at: string;
  actor: Ref | null;
  kind: string;
  data: Record<string, unknown>;
}
export interface TicketCall {
  id: number;
  from: string;
  outcome: string | null;
  created_at: string;
  talk_s: number | null;
  disposition: string | null;
}
export interface Ticket extends TicketSummary {
  close_reason: string | null;
  next_states: TicketState[];
  notes: TicketNote[];
  history: TicketHistoryEntry[];
  calls: TicketCall[];
}

export interface Evidence {
  kind: "phone" | "email" | "external";
  value: string;
  label: string | null;
  verified_at: string | null;
  is_shared: boolean;
  source: string | null;
}
export interface Candidate {
  id: number;
  name: string;
  tier: string | null;
  company: string | null;
  evidence: Evidence;
}
export interface Identity {
  kind: "phone" | "email" | "external";
  value: string;
  label: string | null;
  verified_at: string | null;
  is_shared: boolean;
}
export interface LastContact {
  call_id: number;
  at: string;
  direction: string;
  outcome: string | null;
  queue: string | null;
  agent: string | null;
  disposition: string | null;
  talk_s: number | null;
}
export interface Profile {
  id: number;
  name: string;
  tier: string | null;
  language: string | null;
  company: string | null;
  note: string | null;
  version: number;
  identities: Identity[];
  open_tickets: TicketSummary[];
  last_contacts: LastContact[];
}

export type FromKind = "e164" | "short" | "sip" | "client" | "withheld" | "invalid";
export type Match = "one" | "many" | "none" | "withheld";
export interface PopCall {
  id: number;
  from: string;
  from_kind: FromKind;
  to: string;
  queue: string;
  queue_name: Text;
  waited_s: number;
  channel: "voice";
  language: string | null;
  calls_24h: number;
}
export interface PopTicket extends TicketSummary {
  is_new: boolean;
  last_note: string | null;
}
export interface PopCustomer {
  match: Match;
  candidates: Candidate[];
  profile: Profile | null;
  chosen_id: number | null;
}
export interface ScreenPop {
  offer_id: number;
  state: "pending" | "accepted";
  offered_at: string;
  deadline: string;
  version: number;
  call: PopCall;
  ticket: PopTicket;
  other_tickets: TicketSummary[];
  customer: PopCustomer;
  reason: { rule: string; step: number; why: Text };
  work_item_id: number;
}

export interface CallNote {
  body: string;
  version: number;
  saved_at: string | null;
}
export interface ActiveCall {
  pop: ScreenPop;
  state: "connecting" | "in_call" | "on_hold" | "wrapping";
  conference: string | null;
  connected_at: string | null;
  ended_at: string | null;
  wrap_up_ends_at: string | null;
  note: CallNote;
  disposition: string | null;
  version: number;
}

export interface Disposition {
  key: string;
  name: Text;
  digit: number | null;
  queue: string | null;
}
export interface Desk {
  me: Me;
  presence: Presence;
  offers: ScreenPop[];
  calls: ActiveCall[];
  tickets: TicketSummary[];
  queues: QueueStats[];
  dispositions: Disposition[];
  seq: number;
  server_time: string;
}

export interface CallLeg {
  sid: string;
  kind: string;
  state: string;
  agent_id: number | null;
}
export interface CallLogEntry {
  id: number;
  sid: string;
  state: string;
  outcome: string | null;
  queue: string | null;
  from: string;
  to: string;
  direction: string;
  created_at: string;
  queued_at: string | null;
  answered_at: string | null;
  ended_at: string | null;
  ticket: { id: number; number: string } | null;
  work_item_id: number | null;
  legs: CallLeg[];
  offers: { id: number; agent_id: number; state: string }[];
}
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export interface CustomerSummary {
  id: number;
  name: string;
  tier: string | null;
  company: string | null;
  language: string | null;
  phones: string[];
}
export interface TimelineEntry {
  at: string;
  kind: "call" | "ticket" | "note";
  title: string;
  data: Record<string, unknown>;
}

export interface QueueDefinition {
  key: string;
  name: Text;
  service_level: { within_s: number; target: number };
  offer_timeout_s: number;
  wrap_up: { mode: string; seconds: number | null };
}

export type AgentState =
  | "available"
  | "reserved"
  | "talking"
  | "wrapping"
  | "break"
  | "offline"
  | "not_responding"
  | "reconnecting"
  | "unreachable";
export interface AgentRow {
  id: number;
  name: string;
  email: string;
  role: Role;
  state: AgentState;
  reason: string | null;
  since: string;
  connected: boolean;
  queues: string[];
  skills: Record<string, number>;
  used_units: number;
  total_units: number;
  call: { id: number; queue: string; since: string | null } | null;
  misses: number;
  version: number;
}
export interface AgentsLive {
  items: AgentRow[];
  as_of: string;
}

export interface Verdict {
  agent_id: number;
  name: string;
  verdict: string;
  reason: string | null;
}
export interface Explanation {
  work_item: {
    id: number;
    state: string;
    queue: string;
    rule: string;
    step: number;
    entered_at: string;
    waited_s: number;
  };
  sentences: Text[];
  decisions: {
    at: string;
    ruleset_version: number;
    rule: string;
    step: number;
    chosen: Ref | null;
    verdicts: Verdict[];
    counts: Record<string, number>;
  }[];
}

export interface VoiceToken {
  backend: "twilio" | "simulated";
  identity: string;
  token: string;
  ttl_s: number;
  connect_url: string | null;
}
