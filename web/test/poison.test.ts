// One message that cannot be read: it is told of, and what comes after it is handed over.

import type { SluiceError } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, type Options } from "./support/follow.js";
import { server, tick } from "./support/server.js";
import { closeAll, join } from "./support/share.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

const strict = (json: string): unknown => {
  if (json.includes("bad")) throw new Error("double key");
  return JSON.parse(json);
};

/** Reads one message before and one after what is sent, and notes what is invalid. */
async function around(send: (type: string) => string, options: Options = {}) {
  const s = server();
  const invalid: [string | number, unknown, unknown][] = [];
  const { sub, got } = follow(s, {
    heartbeatMs: 0,
    onInvalid: (error: SluiceError, { id, data }) => invalid.push([error.code, id, data]),
    ...options,
  });
  await tick();
  s.last.open().message("e-1", 1).send(send("t")).message("e-3", 3);
  await tick();
  await tick(60_000);
  const snapshot = sub.getSnapshot();
  sub.close();
  return { got, invalid, snapshot, requests: s.requests.length };
}

const block = (data: string, type = "t"): string => `id: e-2\nevent: ${type}\ndata: ${data}\n\n`;
const bad = '{"id":"e-2","channel":"c","topic":"t","kind":"data","data":"bad"}';

describe("a message that cannot be read", () => {
  test.each<[string, string, Options, unknown]>([
    ["parse throws", bad, { parse: strict }, "bad"],
    ["parse answers with nothing", bad, { parse: (json) => (json === bad ? null : JSON.parse(json)) as unknown }, "bad"],
    ["parse answers with a promise", bad, { parse: (json) => (json === bad ? Promise.resolve() : JSON.parse(json)) as unknown }, "bad"],
    ["it is no JSON", "{", {}, "{"],
    ["it is JSON but no message", "[[]]", {}, "[[]]"],
    ["it is null", "null", {}, "null"],
  ])("%s: it goes to onInvalid, and the position moves on", async (_, data, options, told) => {
    const { got, invalid, snapshot, requests } = await around(() => block(data), options);
    expect(got).toEqual([1, 3]);
    expect(invalid).toEqual([["invalid-message", "e-2", told]]);
    expect(snapshot).toMatchObject({ status: "open", position: "e-3", error: { code: "invalid-message" } });
    expect(requests).toBe(1);
  });

  test.each(["datastream-start", "chunk", "datastream-end"])("a piece of a text without its data (%s) stops nothing", async (kind) => {
    const event = (data: string): string =>
      `id: e-2\nevent: t\ndata: {"id":"e-2","channel":"c","topic":"t","kind":"${kind}","stream_id":"s","data":${data}}\n\n`;
    for (const data of ["null", "7"]) {
      const { got, snapshot, requests } = await around(() => event(data));
      expect(got).toContain(3);
      expect(snapshot).toMatchObject({ status: "open", position: "e-3" });
      expect(requests).toBe(1);
    }
  });

  test("a status of a run, too", async () => {
    const { got, invalid, requests } = await around(() => block(bad.replace('"t"', '"$run"'), "$run"), { parse: strict });
    expect(got).toEqual([1, 3]);
    expect(invalid).toHaveLength(1);
    expect(requests).toBe(1);
  });

  test("concerns nobody but those who want its channel and topic", async () => {
    const s = server();
    const told: string[] = [];
    const options = (name: string): Options => ({ parse: strict, onInvalid: () => told.push(name) });
    const parse = options("").parse;
    join(s, "c", { ...options("c"), parse });
    join(s, "d", { ...options("d"), parse });
    await tick();
    expect(s.requests).toHaveLength(1);
    s.last.open().send(block(bad));
    await tick();
    expect(told).toEqual(["c"]);
    s.last.send("id: e-3\nevent: t\ndata: {\n\n"); // nobody knows whose it is
    await tick();
    expect(told).toEqual(["c", "c", "d"]);
  });

  test("what parse makes of the server's own events does not matter", async () => {
    const s = server();
    const { sub } = follow(s, { parse: () => null });
    await tick();
    s.last.open().gap("e-5", "e-0", "e-5").message("e-6", 1).close(4403, "disconnected");
    await tick();
    const { status, gaps, position } = sub.getSnapshot();
    expect({ status, gaps: gaps.length, position }).toEqual({ status: "closed", gaps: 1, position: "e-6" });
  });

  test("comes once: it is not asked for again after a reconnect", async () => {
    const s = server();
    const { sub } = follow(s, { parse: strict });
    await tick();
    s.last.open().send(block(bad));
    await tick();
    s.last.break();
    await tick(1);
    expect(s.last.lastEventId).toBe("e-2");
    sub.close();
  });
});

describe("a validator that does not keep to the standard", () => {
  test.each([
    ["answers with nothing", () => undefined],
    ["answers with a foreign promise", (value: unknown) => ({ then: (ok: (result: unknown) => void) => ok({ value }) })],
    ["answers with a foreign promise that fails", () => ({ then: (_: unknown, no: (cause: unknown) => void) => no(new Error("no")) })],
  ])("%s: no later message is hidden", async (name, validate) => {
    const s = server();
    const { subscribe, channel } = await import("../src/index.js");
    const got: unknown[] = [];
    const invalid: unknown[] = [];
    const once = (value: unknown): unknown => (value === "odd" ? validate(value) : { value });
    const sub = subscribe({
      ...{ url: "http://sluice", fetch: s.fetch },
      channel: channel({ name: "c", topics: { t: { schema: { "~standard": { version: 1, vendor: "x", validate: once } } as never } } }),
      onMessage: (message: { id: string }) => got.push(message.id),
      onInvalid: (_, { id }) => invalid.push(id),
    });
    await tick();
    s.last.open().message("e-1", 1).message("e-2", "odd").message("e-3", 3);
    await tick();
    const fine = name === "answers with a foreign promise";
    expect(got).toEqual(fine ? ["e-1", "e-2", "e-3"] : ["e-1", "e-3"]);
    expect(invalid).toEqual(fine ? [] : ["e-2"]);
    sub.close();
  });
});
