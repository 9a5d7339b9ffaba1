/**
 * The one socket of this page.
 *
 * Each attempt asks for a fresh single-use ticket. The first connection starts from a snapshot, a later one from the
 * last seq the desk holds; a gap in the sequence ends the connection, so that the next one is replayed. While the
 * socket is down the desk is read over REST every five seconds. Acks are cumulative and sent once per turn.
 */
import { Manager, type Socket } from "socket.io-client";

import type { Desk, PopLayer } from "@/api/types";
import { observeServerTime, serverNow } from "@/live/clock";
import type { ClientToServer, DeskEvent, ServerToClient, Viewing } from "@/live/protocol";
import { place, reduce } from "@/live/reduce";

export type LiveState = "connecting" | "live" | "lost" | "refused";
export interface LiveStatus {
  state: LiveState;
  /** Since when, by the server's clock. */
  since: number;
}

export interface LiveOptions {
  url: string;
  fetchTicket: () => Promise<string>;
  /** Read the desk over REST into the cache. */
  refresh: () => Promise<unknown>;
  read: () => Desk | undefined;
  write: (desk: Desk) => void;
  onEvent?: (event: DeskEvent, before: Desk | undefined) => void;
}

const BACKOFF_MS = [200, 500, 1000, 2000, 4000];
const POLL_MS = 5000;
/** A desk that was away gets hundreds of events at once, and the server takes 50 packets a second. */
const ACK_EVERY_MS = 100;

type DeskSocket = Socket<ServerToClient, ClientToServer>;

export class LiveConnection {
  status: LiveStatus = { state: "connecting", since: serverNow() };
  private readonly socket: DeskSocket;
  private readonly listeners = new Set<() => void>();
  private readonly reported = new Set<string>();
  private viewed: Viewing = {};
  private ticket = "";
  private attempts = 0;
  private hasSnapshot = false;
  private ackTimer: ReturnType<typeof setTimeout> | undefined;
  private ackedAt = 0;
  private stopped = true;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private pollTimer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: LiveOptions) {
    const manager = new Manager(options.url, {
      path: "/socket.io",
      transports: ["websocket"],
      reconnection: false,
      autoConnect: false,
      timeout: 5000,
    });
    this.socket = manager.socket("/desk", {
      auth: (send: (auth: object) => void) => {
        send({ ticket: this.ticket, last_seq: this.hasSnapshot ? (options.read()?.seq ?? null) : null });
      },
    });
    this.socket.on("connect", this.onConnect);
    this.socket.on("disconnect", this.onLost);
    this.socket.on("connect_error", this.onRefused);
    this.socket.onAny((_name: string, event: DeskEvent) => this.receive(event));
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    globalThis.addEventListener("online", this.retryNow);
    globalThis.addEventListener("offline", this.onOffline);
    void this.attempt();
    this.poll();
  }

  stop(): void {
    this.stopped = true;
    globalThis.removeEventListener("online", this.retryNow);
    globalThis.removeEventListener("offline", this.onOffline);
    clearTimeout(this.retryTimer);
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
    clearInterval(this.pollTimer);
    this.pollTimer = undefined;
    this.socket.disconnect();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getStatus = (): LiveStatus => this.status;

  /** Say once per layer of an offer how long after the assignment it was on the screen. */
  painted(offerId: number, layer: PopLayer, ms: number): void {
    const key = `${offerId}:${layer}`;
    if (this.reported.has(key) || !this.socket.connected) return;
    this.reported.add(key);
    this.socket.emit("painted", { offer_id: offerId, layer, ms });
  }

  /** Follow a ticket or a customer, or nothing: changes and who else looks come live, also after the connection was lost. */
  viewing(viewed: Viewing): void {
    this.viewed = viewed;
    if (this.socket.connected) this.socket.emit("viewing", viewed);
  }

  private receive(event: DeskEvent): void {
    const { read, write, onEvent } = this.options;
    const before = read();
    observeServerTime(event.type === "snapshot" ? event.data.server_time : event.at);
    const where = place(before, event);
    if (where === "gap") {
      this.socket.disconnect();
      return;
    }
    if (where === "apply") {
      if (event.type === "snapshot") this.hasSnapshot = true;
      const after = before ? reduce(before, event) : (event.data as Desk);
      if (after !== before) write(after);
      onEvent?.(event, before);
    }
    if (event.seq !== null || event.type === "snapshot") this.queueAck();
  }

  private queueAck(): void {
    this.ackTimer ??= setTimeout(
      () => {
        this.ackTimer = undefined;
        this.ackedAt = performance.now();
        const seq = this.options.read()?.seq;
        if (seq !== undefined && this.socket.connected) this.socket.emit("ack", { seq });
      },
      Math.max(0, this.ackedAt + ACK_EVERY_MS - performance.now()),
    );
  }

  private async attempt(): Promise<void> {
    // The browser itself says that there is no network; it also says when that is over.
    if (!globalThis.navigator.onLine) {
      this.onLost();
      return;
    }
    try {
      this.ticket = await this.options.fetchTicket();
    } catch {
      this.onLost();
      return;
    }
    if (!this.stopped) this.socket.connect();
  }

  private readonly onConnect = (): void => {
    if (Object.keys(this.viewed).length > 0) this.viewing(this.viewed);
    // Unnumbered news (tickets, queues) of the time without a socket is not replayed: read it once.
    if (this.hasSnapshot) void this.options.refresh().catch(() => undefined);
    this.attempts = 0;
    clearInterval(this.pollTimer);
    this.pollTimer = undefined;
    this.set("live");
  };

  private readonly onRefused = (error: Error & { data?: { code?: string } }): void => {
    if (error.data?.code === "forbidden") {
      this.set("refused");
      this.poll();
    } else {
      this.onLost();
    }
  };

  private readonly onLost = (): void => {
    if (this.stopped) return;
    this.set("lost");
    this.poll();
    clearTimeout(this.retryTimer);
    const base = BACKOFF_MS[Math.min(this.attempts, BACKOFF_MS.length - 1)] ?? 4000;
    this.attempts += 1;
    this.retryTimer = setTimeout(() => void this.attempt(), base * (0.75 + Math.random() / 2));
  };

  private readonly onOffline = (): void => {
    if (this.socket.connected) this.socket.disconnect();
  };

  private readonly retryNow = (): void => {
    if (this.socket.connected || this.stopped) return;
    clearTimeout(this.retryTimer);
    void this.attempt();
  };

  private poll(): void {
    if (this.pollTimer !== undefined) return;
    const read = () => void this.options.refresh().catch(() => undefined);
    if (this.hasSnapshot) read();
    this.pollTimer = setInterval(read, POLL_MS);
  }

  private set(state: LiveState): void {
    if (this.status.state === state) return;
    this.status = { state, since: serverNow() };
    this.listeners.forEach((listener) => listener());
  }
}
