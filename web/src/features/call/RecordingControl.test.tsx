import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import type { CallRecording } from "@/api/types";
import { aCall, aDesk } from "@/test/builders";
import { draw, expectAccessible } from "@/test/render";
import { Service } from "@/test/service";

import { RecordingControl } from "./RecordingControl";

let service: Service;
const PAUSE = "POST /calls/42/recording/pause";
const RESUME = "POST /calls/42/recording/resume";

beforeEach(() => {
  localStorage.clear();
  service = new Service()
    .on("POST /realtime-ticket", { status: 503, body: { code: "unavailable", status: 503 } })
    .on("GET /desk", { body: aDesk() })
    .on(PAUSE, { body: { id: 1, state: "recording", is_pause_wanted: true } })
    .on(RESUME, { body: { id: 1, state: "paused", is_pause_wanted: false } });
});

const show = (change: Partial<CallRecording> = {}) => {
  const recording: CallRecording = { state: "recording", is_pause_wanted: false, problem: null, ...change };
  return draw(<RecordingControl call={aCall({ recording })} hasKeys />, aDesk());
};
const words = () => screen.getByTestId("recording").textContent;

test("says that it records, and pauses by a key", async () => {
  const { container } = await show();
  expect(words()).toBe("Recording");
  await expectAccessible(container);
  await userEvent.keyboard("{Alt>}r{/Alt}");
  await waitFor(() => expect(service.bodiesOf(PAUSE)).toHaveLength(1));
});

test("what is only wanted paused is called still recording", async () => {
  await show({ is_pause_wanted: true });
  expect(words()).toBe("Pausing… still recording");
});

test("paused, it goes on by the same button", async () => {
  await show({ state: "paused", is_pause_wanted: true });
  expect(words()).toBe("Recording paused");
  await userEvent.click(screen.getByTestId("recording-pause"));
  await waitFor(() => expect(service.bodiesOf(RESUME)).toHaveLength(1));
});

test("a pause that failed is said as still recording, and can be tried again", async () => {
  await show({ problem: "pause" });
  expect(words()).toBe("Pause failed: still recording");
  await userEvent.click(screen.getByTestId("recording-pause"));
  await waitFor(() => expect(service.bodiesOf(PAUSE)).toHaveLength(1));
});

test.each(["declined", "failed"] as const)("there is nothing to pause where nothing is recorded: %s", async (state) => {
  await show({ state });
  expect(words()).toMatch(/^Not recorded/);
  expect(screen.queryByTestId("recording-pause")).toBeNull();
});
