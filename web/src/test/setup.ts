import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeAll, vi } from "vitest";

import { startI18n } from "@/i18n";

// What Mantine asks of a browser and jsdom does not have.
vi.stubGlobal("matchMedia", (query: string) => ({
  matches: false,
  media: query,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
  addListener: () => undefined,
  removeListener: () => undefined,
}));
vi.stubGlobal(
  "ResizeObserver",
  class {
    observe() {}
    unobserve() {}
    disconnect() {}
  },
);
// Patient: these tests also run on a busy machine. They wait for conditions, so patience costs nothing.
configure({ asyncUtilTimeout: 8000, getElementError: (message) => new Error(message ?? "not found") });
Object.defineProperty(document, "fonts", { value: new EventTarget() });
Element.prototype.scrollIntoView = () => undefined;

window.scrollTo = () => undefined;

beforeAll(async () => {
  localStorage.setItem("ringdesk.language", "en");
  await startI18n();
});

afterEach(() => {
  cleanup();
});
