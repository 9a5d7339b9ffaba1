/** The demo's softphone: a leg in the simulator, reached over HTTP. It carries no sound. */
import type { VoiceToken } from "@/api/types";
import type { PhoneBackend, Report } from "@/phone/phone";

const POLL_MS = 2000;
const OVER = new Set(["completed", "failed", "busy", "no-answer", "canceled"]);

/** The leg lives in the simulator, so a reload of the page finds it again. */
export interface KeptLeg {
  sid: string;
  callId: number;
  connectUrl: string;
}
const KEPT = "ringdesk.phone.leg";

export function keptLeg(): KeptLeg | null {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "null") as KeptLeg | null;
}

export class SimulatedPhone implements PhoneBackend {
  private sid: string | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly fetchToken: () => Promise<VoiceToken>,
    private readonly report: Report,
    private connectUrl: string,
  ) {}

  async connect(callId: number): Promise<void> {
    const { token, connect_url } = await this.fetchToken();
    if (connect_url !== null) this.connectUrl = connect_url;
    const leg = (await this.request(this.connectUrl, { token, params: { CallId: String(callId) } })) as { sid: string };
    this.resume({ sid: leg.sid, callId, connectUrl: this.connectUrl });
  }

  resume(leg: KeptLeg): void {
    this.sid = leg.sid;
    sessionStorage.setItem(KEPT, JSON.stringify(leg));
    this.report({ backend: "simulated", callId: leg.callId, leg: "open" });
    clearInterval(this.timer);
    this.timer = setInterval(() => void this.check(leg.sid).catch(() => undefined), POLL_MS);
  }

  async hangUp(): Promise<void> {
    const sid = this.sid;
    this.end();
    if (sid !== null) await this.request(`${this.legUrl(sid)}/hangup`, {});
  }

  /** There is no sound to mute; the buttons are as they are with one. */
  setMuted(isMuted: boolean): void {
    this.report({ isMuted });
  }

  sendDigits(digits: string): void {
    if (this.sid !== null) void this.request(`${this.legUrl(this.sid)}/digits`, { digits }).catch(() => undefined);
  }

  dispose(): void {
    clearInterval(this.timer);
  }

  private async check(sid: string): Promise<void> {
    const response = await fetch(this.legUrl(sid), { credentials: "same-origin" });
    const isOver = response.status === 404 || OVER.has(((await response.json()) as { status: string }).status);
    if (isOver && this.sid === sid) this.end();
  }

  private end(): void {
    clearInterval(this.timer);
    this.sid = null;
    sessionStorage.removeItem(KEPT);
    this.report({ leg: "ended", isMuted: false });
  }

  private legUrl(sid: string): string {
    return this.connectUrl.replace(/\/connect$/, `/${encodeURIComponent(sid)}`);
  }

  private async request(url: string, body: object): Promise<unknown> {
    const response = await fetch(url, {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`softphone answered ${response.status}`);
    return response.json();
  }
}
