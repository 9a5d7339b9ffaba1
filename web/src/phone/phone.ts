/** What a softphone can do, whatever carries the sound. */
export type LegState = "none" | "connecting" | "open" | "ended";
export interface PhoneStatus {
  backend: "simulated" | "twilio" | null;
  callId: number | null;
  leg: LegState;
  isMuted: boolean;
  /** A code for the catalog (`phone.error.<code>`), null when all is well. */
  error: "token" | "connect" | "device" | null;
}
export const IDLE: PhoneStatus = { backend: null, callId: null, leg: "none", isMuted: false, error: null };

export type Report = (change: Partial<PhoneStatus>) => void;

export interface PhoneBackend {
  connect(callId: number): Promise<void>;
  hangUp(): Promise<void>;
  setMuted(muted: boolean): void;
  /** Touch tones into the conversation: 0 to 9, * and #. */
  sendDigits(digits: string): void;
  dispose(): void;
}
