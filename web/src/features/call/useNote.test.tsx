import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { CallNote } from "@/api/types";
import { Service } from "@/test/service";

import { draftKey, useNote } from "./useNote";

const SAVE = "PUT /calls/42/note";
let service: Service;
let stored: CallNote;
const late = vi.fn<(body: string) => Promise<unknown>>(() => Promise.resolve());

beforeEach(() => {
  localStorage.clear();
  vi.useFakeTimers();
  stored = { body: "", version: 0, saved_at: null };
  service = new Service().on(SAVE, ({ body }) => {
    const { body: text, version } = body as { body: string; version: number };
    if (version !== stored.version) {
      return { status: 409, body: { code: "version_conflict", status: 409, current: stored } };
    }
    stored = { body: text, version: version + 1, saved_at: "2026-11-22T10:00:00Z" };
    return { body: stored };
  });
});

afterEach(() => {
  vi.useRealTimers();
});

const open = (note: CallNote = stored) => renderHook(({ note: held }) => useNote(1, 42, 123, held, late), { initialProps: { note } });
const later = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

test("what was written is saved two seconds after the first stroke, also while typing goes on", async () => {
  const { result } = open();
  act(() => result.current.write("a"));
  await later(1500);
  act(() => result.current.write("ab"));
  expect(service.bodiesOf(SAVE)).toEqual([]);
  await later(600);
  expect(service.bodiesOf(SAVE)).toEqual([{ body: "ab", version: 0 }]);
  expect(result.current.state).toBe("saved");
  act(() => result.current.write("abc"));
  await later(2100);
  expect(service.bodiesOf(SAVE).at(-1)).toEqual({ body: "abc", version: 1 });
});

test("an unsaved note survives the page and is saved by the next one", async () => {
  const first = open();
  act(() => first.result.current.write("promised a call back"));
  expect(localStorage.getItem(draftKey(1, 42))).toContain("promised");
  service.on(SAVE, { status: 503, body: { code: "unavailable", status: 503 } });
  first.unmount();
  await later(10);
  service.on(SAVE, { body: { body: "promised a call back", version: 1, saved_at: "2026-11-22T10:00:00Z" } });
  const second = open();
  expect(second.result.current.body).toBe("promised a call back");
  await later(2100);
  expect(second.result.current.state).toBe("saved");
  expect(localStorage.getItem(draftKey(1, 42))).toBeNull();
});

test("a failed save says so and tries again", async () => {
  service.on(SAVE, { status: 500, body: { code: "server_error", status: 500 } });
  const { result } = open();
  act(() => result.current.write("a"));
  await later(2100);
  expect(result.current.state).toBe("failed");
  service.on(SAVE, { body: { body: "a", version: 1, saved_at: "2026-11-22T10:00:00Z" } });
  await later(5100);
  expect(result.current.state).toBe("saved");
});

test("two writers: nothing is overwritten, both texts can be kept", async () => {
  const { result } = open();
  act(() => result.current.write("mine"));
  stored = { body: "theirs", version: 1, saved_at: "2026-11-22T10:00:00Z" };
  await later(2100);
  expect(result.current).toMatchObject({ state: "conflict", body: "mine", theirs: "theirs" });
  act(() => result.current.resolve("both"));
  await later(2100);
  expect(stored.body).toBe("theirs\nmine");
  expect(result.current.state).toBe("saved");
});

test("a newer note from elsewhere is taken only while nothing is unsaved", async () => {
  const { result, rerender } = open();
  rerender({ note: { body: "from the other window", version: 3, saved_at: null } });
  expect(result.current.body).toBe("from the other window");
  act(() => result.current.write("mine"));
  rerender({ note: { body: "again from there", version: 4, saved_at: null } });
  expect(result.current.body).toBe("mine");
  await later(10);
});

test("words that came too late for the call are handed on, not lost", async () => {
  service.on(SAVE, { status: 404, body: { code: "not_found", status: 404 } });
  const { result, unmount } = open();
  act(() => result.current.write("and he asked for"));
  unmount();
  await later(10);
  expect(late).toHaveBeenCalledWith("and he asked for");
  expect(localStorage.getItem(draftKey(1, 42))).toBeNull();
});
