import { vi } from "vitest";

/** Waits for a condition outside of React, with a deadline that a busy machine keeps too. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 8000, interval: 20 });
}
