import { describe, expect, test } from "vitest";

import type { Desk, TicketState } from "@/api/types";
import { aCall, aDesk, aPop, aPresence, aQueue, aTicket } from "@/test/builders";

import type { DeskEvent, EventData, EventType } from "./protocol";
import { newer, place, reduce } from "./reduce";

const AT = "2026-11-22T10:00:00Z";

function event<Type extends EventType>(type: Type, data: EventData[Type], seq: number | null): DeskEvent {
  return { type, data, seq, v: 1, at: AT } as DeskEvent;
}

interface Fixture {
  name: string;
  before: Desk;
  events: DeskEvent[];
  after: Desk;
}
const fixtures = Object.entries(
  import.meta.glob<Fixture>("./fixtures/*.json", { eager: true, import: "default" }),
).map(([path, fixture]) => ({ ...fixture, name: path.split("/").at(-1) ?? path }));

test.each(fixtures)("$name", ({ before, events, after }) => {
  expect(events.reduce(reduce, before)).toEqual(after);
});

describe("order", () => {
  test("an event seen before changes nothing, not even the object", () => {
    const desk = aDesk({ seq: 10 });
    expect(reduce(desk, event("screen_pop", aPop(), 10))).toBe(desk);
    expect(place(desk, event("noop", {}, 9))).toBe("drop");
  });

  test("a skipped number is a gap and is not applied", () => {
    const desk = aDesk({ seq: 10 });
    const skipping = event("screen_pop", aPop(), 12);
    expect(place(desk, skipping)).toBe("gap");
    expect(reduce(desk, skipping)).toBe(desk);
  });

  test("an event without a number is applied and leaves the place in the sequence", () => {
    const desk = reduce(aDesk({ seq: 10 }), event("queue_stats", { queues: [aQueue({ waiting: 3 })] }, null));
    expect(desk.seq).toBe(10);
    expect(desk.queues[0]?.waiting).toBe(3);
  });

  test("before the first snapshot nothing can be applied", () => {
    expect(place(undefined, event("screen_pop", aPop(), 1))).toBe("gap");
    expect(place(undefined, event("queue_stats", { queues: [] }, null))).toBe("drop");
  });

  test("a noop and an unknown event only move the sequence", () => {
    const desk = aDesk({ seq: 10 });
    expect(reduce(desk, event("noop", {}, 11))).toEqual({ ...desk, seq: 11 });
    const unknown = { type: "weather", data: {}, seq: 11, v: 1, at: AT } as unknown as DeskEvent;
    expect(reduce(desk, unknown)).toEqual({ ...desk, seq: 11 });
  });

  test("a snapshot replaces everything, a REST answer that is older nothing", () => {
    const desk = aDesk({ seq: 10 });
    const snapshot = aDesk({ seq: 4, offers: [aPop()] });
    expect(reduce(desk, event("snapshot", snapshot, null))).toBe(snapshot);
    expect(newer(desk, snapshot)).toBe(desk);
    expect(newer(undefined, snapshot)).toBe(snapshot);
  });
});

describe("versions", () => {
  test("an older pop, call, presence or ticket never replaces a newer one", () => {
    const call = aCall({ version: 5, pop: aPop({ offer_id: 502, version: 5 }) });
    const desk = aDesk({
      offers: [aPop({ version: 5 })],
      calls: [call],
      presence: aPresence({ version: 5 }),
      tickets: [aTicket({ version: 5 })],
    });
    const olds = [
      event("screen_pop", aPop({ version: 4, deadline: "2020-01-01T00:00:00Z" }), 11),
      event("call_changed", { ...call, version: 4, state: "on_hold" }, 12),
      event("presence_changed", { ...aPresence({ version: 4, state: "offline" }), by: null }, 13),
      event("ticket_changed", aTicket({ version: 2, subject: "old" }), null),
    ];
    expect(olds.reduce(reduce, desk)).toEqual({ ...desk, seq: 13 });
  });

  test("a ticket event reaches the pop that shows the ticket", () => {
    const desk = aDesk({ offers: [aPop()] });
    const changed = reduce(desk, event("ticket_changed", aTicket({ version: 9, state: "pending_customer" }), null));
    expect(changed.offers[0]?.ticket).toMatchObject({ state: "pending_customer", last_note: "Refund approved." });
  });

  test("a ticket event reaches the customer's open tickets beside the call", () => {
    const desk = aDesk({ offers: [aPop()] });
    const open = (state: TicketState) =>
      reduce(desk, event("ticket_changed", aTicket({ version: 9, state }), null)).offers[0]?.customer.profile?.open_tickets;
    expect(open("pending_customer")).toMatchObject([{ state: "pending_customer" }]);
    expect(open("closed")).toEqual([]);
  });

  test("a pop built before a ticket changed does not turn the ticket back", () => {
    const desk = aDesk({ calls: [aCall()] });
    const changed = event("ticket_changed", aTicket({ version: 9, state: "resolved" }), null);
    const late = event("call_changed", aCall({ version: 2, state: "wrapping" }), 11);
    const call = [changed, late].reduce(reduce, desk).calls[0];
    expect(call).toMatchObject({ state: "wrapping", pop: { ticket: { state: "resolved", version: 9 } } });
  });

  test("a ticket assigned to me appears in my work, one taken away or finished leaves it", () => {
    const desk = aDesk({ tickets: [] });
    const mine = reduce(desk, event("ticket_changed", aTicket(), null));
    expect(mine.tickets.map(({ id }) => id)).toEqual([123]);
    const away = aTicket({ version: 4, assignee: { id: 2, name: "Ben Fischer" } });
    expect(reduce(mine, event("ticket_changed", away, null)).tickets).toEqual([]);
    const done = aTicket({ version: 4, state: "resolved" });
    expect(reduce(mine, event("ticket_changed", done, null)).tickets).toEqual([]);
  });
});
