import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Namespace, Server } from "socket.io";
import { afterEach, beforeEach, expect, test } from "vitest";

import type { Desk } from "@/api/types";
import { aDesk, aPop } from "@/test/builders";
import { eventually } from "@/test/eventually";

import { LiveConnection } from "./connection";
import type { DeskEvent } from "./protocol";

let http: HttpServer;
let io: Server;
let desks: Namespace;
let handshakes: { ticket: string; last_seq: number | null }[];
let acks: number[];
let viewed: (number | undefined)[];
let tickets = 0;
let cached: Desk | undefined;
let refreshes: number;
let live: LiveConnection | undefined;

const AT = "2026-11-22T10:00:00Z";
const snapshotAt = (seq: number): DeskEvent => ({ seq: null, type: "snapshot", v: 1, at: AT, data: aDesk({ seq }) });
const popAt = (seq: number): DeskEvent => ({ seq, type: "screen_pop", v: 1, at: AT, data: aPop({ offer_id: seq }) });
const send = (event: DeskEvent) => desks.emit(event.type, event);

function open(onEvent?: (event: DeskEvent) => void): LiveConnection {
  const { port } = http.address() as AddressInfo;
  live = new LiveConnection({
    url: `http://127.0.0.1:${port}`,
    fetchTicket: () => Promise.resolve(`ticket-${++tickets}`),
    refresh: () => Promise.resolve(++refreshes),
    read: () => cached,
    write: (desk) => (cached = desk),
    onEvent,
  });
  live.start();
  return live;
}

beforeEach(async () => {
  handshakes = [];
  acks = [];
  viewed = [];
  tickets = 0;
  refreshes = 0;
  cached = undefined;
  http = createServer();
  io = new Server(http, { path: "/socket.io", transports: ["websocket"] });
  desks = io.of("/desk");
  desks.on("connection", (socket) => {
    const auth = socket.handshake.auth as { ticket: string; last_seq: number | null };
    handshakes.push(auth);
    socket.on("ack", ({ seq }: { seq: number }) => acks.push(seq));
    socket.on("viewing", ({ ticket_id }: { ticket_id?: number }) => viewed.push(ticket_id));
    if (auth.last_seq === null) socket.emit("snapshot", snapshotAt(10));
  });
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
});

afterEach(async () => {
  live?.stop();
  await io.close();
});

test("the first connection starts from the snapshot and acknowledges it", async () => {
  open();
  await eventually(() => expect(acks).toEqual([10]));
  expect(handshakes).toEqual([{ ticket: "ticket-1", last_seq: null }]);
  expect(live?.status.state).toBe("live");
  expect(cached?.seq).toBe(10);
});

test("events of one turn are acknowledged with one number", async () => {
  open();
  await eventually(() => expect(acks).toEqual([10]));
  send(popAt(11));
  send(popAt(12));
  await eventually(() => expect(acks.at(-1)).toBe(12));
  expect(cached?.offers.map(({ offer_id }) => offer_id)).toEqual([11, 12]);
});

test("two hundred events at once are acknowledged with a few numbers, the last one too", async () => {
  open();
  await eventually(() => expect(acks).toEqual([10]));
  for (let seq = 11; seq <= 210; seq += 1) send(popAt(seq));
  await eventually(() => expect(acks.at(-1)).toBe(210));
  expect(acks.length).toBeLessThan(12);
});

test("a repeated event is acknowledged again and told to nobody", async () => {
  const told: string[] = [];
  open(({ type, seq }) => told.push(`${type} ${seq}`));
  await eventually(() => expect(acks).toEqual([10]));
  send(popAt(11));
  await eventually(() => expect(acks.at(-1)).toBe(11));
  send(popAt(11));
  await eventually(() => expect(acks).toEqual([10, 11, 11]));
  expect(told).toEqual(["snapshot null", "screen_pop 11"]);
});

test("a gap ends the connection; the next one asks with a fresh ticket from the last number", async () => {
  open();
  await eventually(() => expect(acks).toEqual([10]));
  send(popAt(13));
  await eventually(() => expect(handshakes).toHaveLength(2));
  expect(handshakes[1]).toEqual({ ticket: "ticket-2", last_seq: 10 });
  expect(cached?.seq).toBe(10);
  expect(refreshes).toBeGreaterThan(0);
});

test("while the socket is down the desk is read over REST, and the state says so", async () => {
  const states: string[] = [];
  open().subscribe(() => states.push(live?.status.state ?? ""));
  await eventually(() => expect(acks).toEqual([10]));
  desks.disconnectSockets(true);
  await eventually(() => expect(states).toContain("lost"));
  expect(refreshes).toBeGreaterThan(0);
  await eventually(() => expect(states.at(-1)).toBe("live"));
});

test("a ticket is followed until it is left, and again after the connection was lost", async () => {
  const opened = open();
  opened.viewing({ ticket_id: 7 });
  await eventually(() => expect(viewed).toEqual([7]));
  desks.disconnectSockets(true);
  await eventually(() => expect(viewed).toEqual([7, 7]));
  opened.viewing({});
  await eventually(() => expect(viewed).toEqual([7, 7, undefined]));
});

test("a refused account is not asked again", async () => {
  desks.use((_socket, next) => {
    next(Object.assign(new Error("no"), { data: { code: "forbidden" } }));
  });
  open();
  await eventually(() => expect(live?.status.state).toBe("refused"));
  expect(tickets).toBe(1);
});
