import { beforeEach, expect, test } from "vitest";

import { Service } from "@/test/service";

import { leftOver, sendLeftOver } from "./leftOver";
import { draftKey } from "./useNote";

const NOTE = "POST /tickets/123/notes";
const RESULT = "PUT /calls/43/result";
const note = draftKey(1, 42);
const result = "ringdesk.result.1.43";
let service: Service;

beforeEach(() => {
  localStorage.clear();
  localStorage.setItem(note, JSON.stringify({ body: "typed in a tunnel", version: 0, ticket: 123 }));
  localStorage.setItem(result, JSON.stringify({ key: "callback" }));
  localStorage.setItem(draftKey(2, 42), JSON.stringify({ body: "of somebody else", version: 0, ticket: 9 }));
  localStorage.setItem("ringdesk.keys.own", "{}");
  service = new Service().on(NOTE, { status: 201, body: {} }).on(RESULT, { body: {} });
});

test("words and result of calls that are over go to ticket and call, once", async () => {
  const keys = leftOver(1, []);
  expect(keys.sort()).toEqual([note, result]);
  expect(await Promise.all([sendLeftOver(keys), sendLeftOver(keys)])).toEqual([1, 0]);
  expect(service.bodiesOf(NOTE)).toEqual([{ body: "typed in a tunnel" }]);
  expect(service.bodiesOf(RESULT)).toEqual([{ disposition: "callback" }]);
  expect(leftOver(1, [])).toEqual([]);
  expect(leftOver(2, [])).toHaveLength(1);
});

test("a call that is still on the desk keeps its own", () => {
  expect(leftOver(1, [42])).toEqual([result]);
});

test("what could not be sent waits for the next time; a result that is refused does not", async () => {
  service.on(NOTE, { status: 503, body: { code: "unavailable", status: 503 } });
  service.on(RESULT, { status: 409, body: { code: "result_is_final", status: 409 } });
  expect(await sendLeftOver(leftOver(1, []))).toBe(0);
  expect(leftOver(1, [])).toEqual([note]);
  service.on(NOTE, { status: 404, body: { code: "not_found", status: 404 } });
  await sendLeftOver(leftOver(1, []));
  expect(leftOver(1, [])).toEqual([note]);
});

test("an empty note is no note", async () => {
  localStorage.setItem(note, JSON.stringify({ body: "  ", version: 0, ticket: 123 }));
  expect(await sendLeftOver([note])).toBe(0);
  expect(service.bodiesOf(NOTE)).toEqual([]);
  expect(leftOver(1, [])).toEqual([result]);
});
