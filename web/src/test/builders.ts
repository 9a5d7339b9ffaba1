/** Values for tests: complete, plausible, and open to be changed in one place. */
import type {
  ActiveCall,
  AgentRow,
  Candidate,
  Desk,
  Evidence,
  Figures,
  Metric,
  Presence,
  Profile,
  QueueStats,
  ScreenPop,
  TicketSummary,
  Waiting,
} from "@/api/types";

const AT = "2026-11-22T10:00:00Z";

export function aTicket(change: Partial<TicketSummary> = {}): TicketSummary {
  return {
    id: 123,
    number: "T-2026-000123-8",
    subject: "Invoice charged twice",
    state: "open",
    priority: "normal",
    queue: "support",
    assignee: { id: 1, name: "Ava Chen" },
    customer: { id: 11, name: "Anna Krüger" },
    tags: [],
    version: 3,
    opened_at: AT,
    updated_at: AT,
    closed_at: null,
    ...change,
  };
}

export function anEvidence(change: Partial<Evidence> = {}): Evidence {
  return {
    kind: "phone",
    value: "+14155550101",
    label: "mobile",
    verified_at: "2025-05-12T10:00:00Z",
    is_shared: false,
    source: "import",
    ...change,
  };
}

export function aCandidate(change: Partial<Candidate> = {}): Candidate {
  return {
    id: 11,
    name: "Anna Krüger",
    tier: "vip",
    language: "de",
    company: "Nordlicht GmbH",
    evidence: anEvidence(),
    version: 1,
    ...change,
  };
}

export function aProfile(change: Partial<Profile> = {}): Profile {
  return {
    id: 11,
    name: "Anna Krüger",
    tier: "vip",
    language: "de",
    company: "Nordlicht GmbH",
    note: "",
    version: 1,
    restricted_tickets: 0,
    identities: [anEvidence()],
    open_tickets: [aTicket()],
    last_contacts: [],
    ...change,
  };
}

export function aPop(change: Partial<ScreenPop> = {}): ScreenPop {
  return {
    offer_id: 501,
    state: "pending",
    offered_at: AT,
    deadline: "2026-11-22T10:00:20Z",
    version: 1,
    call: {
      id: 42,
      from: "+14155550101",
      from_kind: "e164",
      to: "+14155550199",
      queue: "support",
      queue_name: { en: "Support", "zh-CN": "客服" },
      waited_s: 38,
      channel: "voice",
      language: "en",
      calls_24h: 1,
      is_external: false,
      attestation: null,
    },
    ticket: { ...aTicket(), is_new: false, last_note: "Refund approved." },
    other_tickets: [],
    restricted_tickets: 0,
    customer: { match: "one", candidates: [aCandidate()], profile: aProfile(), chosen_id: null },
    reason: { rule: "Everybody", step: 0, why: { en: "You are the longest idle.", "zh-CN": "您空闲时间最长。" } },
    work_item_id: 7,
    ...change,
  };
}

export function aCall(change: Partial<ActiveCall> = {}): ActiveCall {
  return {
    pop: aPop({ state: "accepted", version: 2 }),
    state: "in_call",
    conference: "call_42",
    connected_at: AT,
    ended_at: null,
    wrap_up: { mode: "timed", extension_s: 0, is_requested: false },
    wrap_up_ends_at: null,
    note: { body: "", version: 0, saved_at: null },
    disposition: null,
    version: 1,
    ...change,
  };
}

export function aPresence(change: Partial<Presence> = {}): Presence {
  return { state: "available", reason: null, since: AT, work: "idle", next: null, next_reason: null, version: 4, ...change };
}

export function aQueue(change: Partial<QueueStats> = {}): QueueStats {
  return {
    key: "support",
    name: { en: "Support", "zh-CN": "客服" },
    channel: "voice",
    held_since: null,
    hold_version: 1,
    is_deserted: false,
    waiting: 0,
    longest_wait_s: null,
    agents_signed_in: 4,
    agents_available: 2,
    agents_busy: 2,
    offering: 0,
    in_call: 2,
    answered_today: 10,
    abandoned_today: 1,
    service_level: { numerator: 8, denominator: 10, within_s: 20, target: 0.8 },
    ...change,
  };
}

export function aDesk(change: Partial<Desk> = {}): Desk {
  return {
    me: { id: 1, email: "agent1@demo.example", name: "Ava Chen", role: "agent", language: null },
    presence: aPresence(),
    offers: [],
    calls: [],
    tickets: [],
    queues: [aQueue()],
    dispositions: [
      { key: "resolved", name: { en: "Resolved", "zh-CN": "已解决" }, digit: 1, queue: null, resolves_ticket: true },
      { key: "callback", name: { en: "Call back", "zh-CN": "需回电" }, digit: 3, queue: null, resolves_ticket: false },
      { key: "refund", name: { en: "Refund", "zh-CN": "退款" }, digit: 6, queue: "billing", resolves_ticket: false },
    ],
    seq: 10,
    server_time: AT,
    ...change,
  };
}

export function aWaiting(change: Partial<Waiting> = {}): Waiting {
  return {
    id: 7,
    call_id: 42,
    caller: "+14155550101",
    customer: "Anna Krüger",
    ticket: null,
    state: "queued",
    tier: 0,
    boost_s: 0,
    step: 0,
    entered_at: AT,
    waited_s: 40,
    version: 3,
    ...change,
  };
}

export function aMetric(change: Partial<Metric> = {}): Metric {
  return {
    key: "service_level",
    unit: "percent",
    version: 1,
    name: { en: "Service level", "zh-CN": "服务水平" },
    formula: { en: "answered within T ÷ (answered + abandoned not short)" },
    edges: { en: "Exactly T is within." },
    numerator: ["within"],
    denominator: ["answered", "abandoned"],
    groups: ["none", "queue"],
    is_of_now: false,
    has_contacts: true,
    ...change,
  };
}

export function aFigures(change: Partial<Figures> = {}): Figures {
  return { from: AT, to: AT, as_of: AT, versions: {}, total: {}, rows: [], ...change };
}

export function anAgent(change: Partial<AgentRow> = {}): AgentRow {
  return {
    id: 1,
    name: "Ava Chen",
    email: "agent1@demo.example",
    role: "agent",
    state: "available",
    reason: null,
    next: null,
    since: AT,
    connected: true,
    queues: ["support"],
    skills: {},
    used_units: 0,
    tickets: 0,
    ticket_capacity: 5,
    total_units: 1,
    call: null,
    misses: 0,
    version: 1,
    presence_version: 1,
    ...change,
  };
}
