import { afterEach, beforeEach, expect, test } from "vitest";

import type { VoiceToken } from "@/api/types";
import { eventually } from "@/test/eventually";
import { Service } from "@/test/service";

import { Softphone } from "./softphone";

const token: VoiceToken = {
  backend: "simulated",
  identity: "agent_1",
  token: "jwt",
  ttl_s: 600,
  connect_url: "/demo/phone/connect",
};
let service: Service;
let phone: Softphone;

beforeEach(() => {
  sessionStorage.clear();
  service = new Service()
    .on("POST /demo/phone/connect", { status: 201, body: { sid: "CA1" } })
    .on("GET /demo/phone/CA1", { body: { sid: "CA1", status: "in-progress" } })
    .on("POST /demo/phone/CA1/digits", { body: { sid: "CA1" } })
    .on("POST /demo/phone/CA1/hangup", { body: { sid: "CA1", status: "completed" } });
  phone = new Softphone(1, () => Promise.resolve(token));
  phone.start();
});

afterEach(() => {
  phone.stop();
});

test("it joins a call once, however often it is asked", async () => {
  phone.connect(42);
  phone.connect(42);
  await eventually(() => expect(phone.status.leg).toBe("open"));
  expect(service.bodiesOf("POST /demo/phone/connect")).toEqual([{ token: "jwt", params: { CallId: "42" } }]);
});

test("hanging up ends the leg at the simulator", async () => {
  phone.connect(42);
  await eventually(() => expect(phone.status.leg).toBe("open"));
  phone.hangUp();
  await eventually(() => expect(service.bodiesOf("POST /demo/phone/CA1/hangup")).toHaveLength(1));
  expect(phone.status.leg).toBe("ended");
});

test("mute is told and ends with the leg; digits reach the simulator", async () => {
  phone.connect(42);
  await eventually(() => expect(phone.status.leg).toBe("open"));
  phone.mute(true);
  await eventually(() => expect(phone.status.isMuted).toBe(true));
  phone.sendDigits("1#");
  await eventually(() => expect(service.bodiesOf("POST /demo/phone/CA1/digits")).toEqual([{ digits: "1#" }]));
  phone.hangUp();
  await eventually(() => expect(phone.status).toMatchObject({ leg: "ended", isMuted: false }));
});

test("a phone that cannot join says why, and can be asked again", async () => {
  service.on("POST /demo/phone/connect", { status: 502, body: {} });
  phone.connect(42);
  await eventually(() => expect(phone.status).toMatchObject({ leg: "ended", error: "connect" }));
  service.on("POST /demo/phone/connect", { status: 201, body: { sid: "CA1" } });
  phone.connect(42);
  await eventually(() => expect(phone.status).toMatchObject({ leg: "open", error: null }));
});

test("after a reload the leg is found again, not dialled a second time", async () => {
  phone.connect(42);
  await eventually(() => expect(phone.status.leg).toBe("open"));
  phone.stop();
  phone = new Softphone(1, () => Promise.resolve(token));
  phone.start();
  expect(phone.status).toMatchObject({ callId: 42, leg: "open" });
  phone.connect(42);
  expect(service.bodiesOf("POST /demo/phone/connect")).toHaveLength(1);
});
