/**
 * The shapes the service speaks, generated from its OpenAPI document (`npm run types`).
 *
 * Where the document says only "string" for a closed set of words, the set is named here, in one place.
 */
import type { components } from "@/api/schema";

type Schemas = components["schemas"];
type With<Base, Narrow> = Omit<Base, keyof Narrow> & Narrow;

export type Language = "en" | "zh-CN";
/** One entry per language. */
export type Text = Record<string, string>;

export type Role = Schemas["Role"];
export type Me = Schemas["Me"];

export type ChosenPresence = "available" | "break" | "offline";
export type PresenceState = Schemas["PresenceState"];
export type Presence = Schemas["Presence"];
export type WorkState = Presence["work"];
export type PresenceChanged = Schemas["PresenceChangedData"];

export type QueueStats = Schemas["QueueStats"];
export type QueuesLive = Schemas["Board"];
export type QueueDefinition = Schemas["Queue"];

export type TicketState = Schemas["TicketState"];
export type Priority = Schemas["Priority"];
export type TicketSummary = Schemas["TicketSummary"];
export type Ticket = Schemas["Ticket"];
export type TicketNote = Schemas["Note"];
export type TicketHistoryEntry = Schemas["HistoryEntry"];
export type TicketCall = Schemas["TicketCall"];
export type Message = Schemas["Message"];
export type RecordedCall = Schemas["RecordedCall"];
export type CallRecording = Schemas["CallRecording"];
export type TicketChange = Schemas["TicketChange"];

export type Tier = Schemas["Tier"];
export type Evidence = Schemas["Evidence"];
export type Candidate = Schemas["Candidate"];
export type Identity = Schemas["IdentityShown"];
export type LastContact = Schemas["LastContact"];
export type Profile = Schemas["Profile"];
export type CustomerSummary = Schemas["CustomerSummary"];
export type CustomerCard = Schemas["CustomerCard"];
export type NewCustomer = Schemas["CustomerIn"];
export type CustomerChange = Schemas["CustomerChange"];
export type TimelineEntry = With<Schemas["TimelineItem"], { kind: "call" | "ticket" | "note" }>;

export type FromKind = "e164" | "short" | "sip" | "client" | "withheld" | "invalid";
export type PopCall = With<Schemas["PopCall"], { from_kind: FromKind }>;
export type PopTicket = Schemas["TicketOfCall"];
export type PopCustomer = Schemas["PopCustomer"];
export type ScreenPop = With<Schemas["ScreenPop"], { call: PopCall }>;

export type Hole = ScreenPop["holes"] extends (infer One)[] | undefined ? One : never;
export type PopLayer = Schemas["LayerLevel"]["layer"];
export type PopLevel = Schemas["PopLevel"];
export type PastOffer = With<Schemas["LostOffer"], { match: PopCustomer["match"] | null }>;
export type WithoutResult = Schemas["WithoutResult"];
export type KeySettings = Schemas["KeysOut"];

export type CallNote = Schemas["NoteDraft"];
export type ActiveCall = With<Schemas["ActiveCall"], { pop: ScreenPop }>;
export type CallClosed = Schemas["ClosedCall"];
export type OfferEnded = Schemas["OfferEndedData"];
export type QueueStatsChanged = Schemas["QueueStatsData"];
export type AgentsTold = With<Schemas["AgentsChangedData"], { items: AgentRow[] }>;
export type Viewer = Schemas["Viewer"];
export type ViewersTold = Schemas["ViewersData"];
export type CustomerTold = Schemas["CustomerChangedData"];
export type TicketFound = Schemas["TicketFound"];
export type TicketView = Schemas["View"];
export type TicketQuery = Schemas["ViewQuery"];
export type ManyChange = Partial<Schemas["ManyChange"]>;
export type ManyTickets = Schemas["ManyTickets"];
export type ManyDone = Schemas["ManyDone"];
export type Disposition = Schemas["Disposition"];
export type Desk = With<
  Schemas["Desk"],
  { presence: Presence | null; offers: ScreenPop[]; calls: ActiveCall[] }
>;

export type CallLogEntry = Schemas["CallOut"];
export type CallState = CallLogEntry["state"];
export type NewCall = Schemas["NewCall"];
export type MissedContact = Schemas["MissedContact"];
export type MissedResult = Schemas["DoneIn"]["result"];
export type ListedNumber = Schemas["ListedNumber"];
export type NewListed = Schemas["NewListed"];
/** The lists of numbers that supervisors keep. */
export type NumberListName = "blocked" | "do_not_call";
export type Page<Item> = { items: Item[]; next_cursor: string | null };

export type AgentState =
  | PresenceState
  | "reserved"
  | "talking"
  | "wrapping";
export type AgentRow = With<Schemas["AgentLive"], { state: AgentState }>;
export type AgentsLive = With<Schemas["AgentsLive"], { items: AgentRow[] }>;

export type Verdict = Schemas["VerdictOut"];
export type Explanation = Schemas["Explanation"];

export type Waiting = Schemas["WaitingOut"];
export type InHand = Schemas["InHand"];
export type PushCandidate = Schemas["CandidateOut"];
export type UndoHandle = Schemas["Undo"];

export type TransferTargets = Schemas["Targets"];
export type CallTelephone = Schemas["CallTelephone"];
export type CallConsult = NonNullable<Schemas["ActiveCall"]["consult"]>;
/** One of the three. */
export interface TransferTo {
  queue?: string;
  agent_id?: number;
  number?: string;
}

export type VoiceToken = With<Schemas["VoiceTokenOut"], { backend: "twilio" | "simulated" }>;

export type Metric = Schemas["MetricOut"];
export type Figure = Schemas["FigureOut"];
export type FigureRow = Schemas["FigureRow"];
export type Figures = Schemas["FiguresOut"];
export type CountedContact = Schemas["ContactOut"];

export type Wallboard = Schemas["WallboardOut"];
export type NewWallboard = Schemas["NewWallboardOut"];
export type Wall = Schemas["Wall"];
export type WallQueue = Schemas["WallQueue"];
