/**
 * One phone per agent, however many tabs are open.
 *
 * The tab that holds the Web Lock owns the device; the others send it their wishes over a BroadcastChannel and
 * mirror its status. When that tab closes, the lock passes on and the next tab takes the phone over.
 */
import type { VoiceToken } from "@/api/types";
import { IDLE, type PhoneBackend, type PhoneStatus } from "@/phone/phone";
import { keptLeg, SimulatedPhone } from "@/phone/simulated";

type Wish = { kind: "connect"; callId: number } | { kind: "hangUp" } | { kind: "mute"; muted: boolean } | { kind: "digits"; digits: string } | { kind: "hello" };
type Message = Wish | { kind: "status"; status: PhoneStatus };

export class Softphone {
  status: PhoneStatus = IDLE;
  private isLeader = false;
  private backend: PhoneBackend | null = null;
  private channel: BroadcastChannel | null = null;
  private readonly listeners = new Set<() => void>();
  private release: () => void = () => undefined;

  constructor(
    private readonly agentId: number,
    private readonly fetchToken: () => Promise<VoiceToken>,
  ) {}

  start(): void {
    const name = `ringdesk-phone-${this.agentId}`;
    const locks = globalThis.navigator.locks as LockManager | undefined;
    if (!locks || typeof BroadcastChannel === "undefined") {
      this.lead();
      return;
    }
    this.channel = new BroadcastChannel(name);
    this.channel.addEventListener("message", ({ data }: MessageEvent<Message>) => this.hear(data));
    this.tellOthers({ kind: "hello" });
    const abandoned = new AbortController();
    const held = new Promise<void>((resolve) => {
      this.release = () => {
        abandoned.abort();
        resolve();
      };
    });
    const lead = () => {
      this.lead();
      return held;
    };
    // Aborted while still waiting for the lock: this tab closed before it was its turn.
    locks.request(name, { signal: abandoned.signal }, lead).catch(() => undefined);
  }

  stop(): void {
    this.backend?.dispose();
    this.backend = null;
    this.release();
    this.isLeader = false;
    this.channel?.close();
    this.channel = null;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getStatus = (): PhoneStatus => this.status;

  connect(callId: number): void {
    this.wish({ kind: "connect", callId });
  }

  hangUp(): void {
    this.wish({ kind: "hangUp" });
  }

  mute(muted: boolean): void {
    this.wish({ kind: "mute", muted });
  }

  sendDigits(digits: string): void {
    this.wish({ kind: "digits", digits });
  }

  private lead(): void {
    this.isLeader = true;
    const leg = keptLeg();
    if (!leg) return;
    const phone = new SimulatedPhone(this.fetchToken, this.report, leg.connectUrl);
    this.backend = phone;
    phone.resume(leg);
  }

  private wish(wish: Wish): void {
    if (this.isLeader) void this.fulfil(wish);
    else this.tellOthers(wish);
  }

  private hear(message: Message): void {
    if (message.kind === "status") {
      if (!this.isLeader) this.set(message.status);
    } else if (this.isLeader) {
      void this.fulfil(message);
    }
  }

  private async fulfil(wish: Wish): Promise<void> {
    if (wish.kind === "hello") this.tell();
    else if (wish.kind === "hangUp") await this.backend?.hangUp().catch(() => undefined);
    else if (wish.kind === "mute") this.backend?.setMuted(wish.muted);
    else if (wish.kind === "digits") this.backend?.sendDigits(wish.digits);
    else await this.ring(wish.callId);
  }

  private async ring(callId: number): Promise<void> {
    if (this.status.callId === callId && (this.status.leg === "connecting" || this.status.leg === "open")) return;
    this.report({ callId, leg: "connecting", error: null });
    try {
      this.backend ??= await this.open();
    } catch {
      this.report({ leg: "ended", error: "token" });
      return;
    }
    try {
      await this.backend.connect(callId);
    } catch {
      this.report({ leg: "ended", error: "connect" });
    }
  }

  private async open(): Promise<PhoneBackend> {
    const first = await this.fetchToken();
    this.report({ backend: first.backend });
    if (first.backend === "simulated") {
      return new SimulatedPhone(this.fetchToken, this.report, first.connect_url ?? "/demo/phone/connect");
    }
    const { TwilioPhone } = await import("@/phone/twilio");
    return new TwilioPhone(first, this.fetchToken, this.report);
  }

  private readonly report = (change: Partial<PhoneStatus>): void => {
    this.set({ ...this.status, ...change });
    this.tell();
  };

  private tell(): void {
    this.tellOthers({ kind: "status", status: this.status });
  }

  private tellOthers(message: Message): void {
    this.channel?.postMessage(message);
  }

  private set(status: PhoneStatus): void {
    this.status = status;
    this.listeners.forEach((listener) => listener());
  }
}
