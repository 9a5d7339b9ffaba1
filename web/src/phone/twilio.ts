/** Twilio's browser phone. Loaded only when the service says that Twilio carries the sound. */
import { Call, Device } from "@twilio/voice-sdk";

import type { VoiceToken } from "@/api/types";
import type { PhoneBackend, Report } from "@/phone/phone";

export class TwilioPhone implements PhoneBackend {
  private readonly device: Device;
  private call: Call | null = null;

  constructor(
    first: VoiceToken,
    private readonly fetchToken: () => Promise<VoiceToken>,
    private readonly report: Report,
  ) {
    this.device = new Device(first.token, { closeProtection: true, codecPreferences: [Call.Codec.Opus, Call.Codec.PCMU] });
    this.device.on("tokenWillExpire", () => void this.renew());
    this.device.on("error", () => this.report({ error: "device" }));
  }

  async connect(callId: number): Promise<void> {
    await this.renew();
    const call = await this.device.connect({ params: { CallId: String(callId) } });
    this.call = call;
    call.on("accept", () => this.report({ leg: "open", error: null }));
    call.on("error", () => this.report({ error: "device" }));
    call.on("disconnect", () => {
      if (this.call !== call) return;
      this.call = null;
      this.report({ leg: "ended", isMuted: false });
    });
  }

  hangUp(): Promise<void> {
    this.call?.disconnect();
    return Promise.resolve();
  }

  setMuted(muted: boolean): void {
    this.call?.mute(muted);
    this.report({ isMuted: muted });
  }

  sendDigits(digits: string): void {
    this.call?.sendDigits(digits);
  }

  dispose(): void {
    this.device.destroy();
  }

  private async renew(): Promise<void> {
    const { token } = await this.fetchToken();
    this.device.updateToken(token);
  }
}
