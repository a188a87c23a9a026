import { readFileSync } from "node:fs";
import { SluiceError, staticSchema } from "../src/index.js";
import { createServer } from "../src/server/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { accept, json, problem, problemBody, receipt, run42, serverOf, type Answer } from "./server.harness.js";
import { brokenOff } from "./support/server.js";

const anything = { channel: "c", topic: "t", schema: staticSchema<unknown>() };
const refused: Answer = () => problem(503, "draining");
const lost: Answer = () => Promise.reject(new TypeError("fetch failed"));

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass until the promise is settled. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await vi.runAllTimersAsync();
  return promise;
}

describe("createServer", () => {
  test("refuses options that cannot work", () => {
    expect(() => createServer({ url: "nowhere", apiKey: "k" })).toThrow(TypeError);
    expect(() => createServer({ url: "http://a", apiKey: "" })).toThrow("apiKey");
  });

  test("uses the runtime's fetch as it is at the time of the call", async () => {
    const sluice = createServer({ url: "http://a", apiKey: "k" });
    vi.stubGlobal("fetch", vi.fn().mockResolvedValue(json(receipt(), 201)));
    await sluice.publish(anything, 1);
    expect(fetch).toHaveBeenCalledOnce();
  });

  test("uses the fetch that Next.js has wrapped", async () => {
    const sluice = createServer({ url: "http://a", apiKey: "k" });
    const original = vi.fn().mockResolvedValue(json(receipt(), 201));
    vi.stubGlobal("fetch", Object.assign(vi.fn(), { _nextOriginalFetch: original }));
    await sluice.publish(anything, 1);
    expect(original).toHaveBeenCalledOnce();
    expect(fetch).not.toHaveBeenCalled();
  });
});

describe("publish", () => {
  test("sends the item with the key, and returns the receipt", async () => {
    const { sluice, requests } = serverOf(() => json({ id: "e-1" }, 201));
    const got = await sluice.publish(run42.status, { message: "Hi" }, { key: "k/1", runId: "42" });
    expect(got).toEqual({ id: "e-1" });
    expect(requests).toHaveLength(1);
    const [{ method, path, headers, body, init }] = requests as [(typeof requests)[0]];
    expect([method, path]).toEqual(["POST", "/base/v1/publish"]);
    expect(headers).toEqual({ Authorization: "Bearer key", "Content-Type": "application/json" });
    expect(JSON.parse(body!)).toEqual({
      channel: "pipeline:42",
      topic: "status",
      data: { message: "Hi" },
      run_id: "42",
      idempotency_key: "k/1",
    });
    for (const field of ["cache", "credentials", "mode", "referrerPolicy"]) expect(init).not.toHaveProperty(field);
  });

  test("sends what was given, not what the schema makes of it", async () => {
    const { sluice, requests } = serverOf(accept);
    await sluice.publish(run42.answer, { ok: true, at: "noon" });
    expect(JSON.parse(requests[0]!.body!)).toMatchObject({ data: { ok: true, at: "noon" } });
  });

  test("null, false and the empty string are data", async () => {
    const { sluice, requests } = serverOf(accept);
    for (const data of [null, false, "", 0]) await sluice.publish(anything, data);
    expect(requests.map(({ body }) => JSON.parse(body!).data)).toEqual([null, false, "", 0]);
  });

  test.each<[string, () => Promise<unknown>, unknown]>([
    ["a missing property", () => none.publish(run42.status, {} as never), [{ pointer: "/message" }]],
    ["a wrong one", () => none.publish(run42.answer, { ok: 1, at: "" } as never), [{ pointer: "/ok" }]],
    ["an async validator", () => none.publish(run42.late, "bad"), [{ pointer: "", detail: "is bad" }]],
  ])("refuses %s before any request", async (_, publish, errors) => {
    const error = await publish().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: "schema-violation", status: 0, errors });
  });

  test.each([undefined, () => 1, Symbol("s"), 1n, [1n]])("refuses what JSON cannot express: %s", async (data) => {
    await expect(none.publish(anything, data)).rejects.toMatchObject({ code: "malformed", status: 0 });
  });

  const none = serverOf(() => {
    throw new Error("nothing is to be sent");
  }).sluice;
});

describe("retries", () => {
  const cases = JSON.parse(readFileSync(new URL("../../client/testdata/wire/problems.json", import.meta.url), "utf8")) as {
    about: string;
    status: number;
    headers: Record<string, string>;
    body: string;
    code: string;
    publish: "always" | "with-key" | "never";
    retry_after_ms: number | null;
  }[];

  test.each(cases)("fixture: $about", async ({ status, headers, body, code, publish, retry_after_ms }) => {
    const answer: Answer = () => new Response(body, { status, headers });
    for (const key of [undefined, "k"]) {
      const { sluice, requests } = serverOf([answer, accept]);
      const start = Date.now();
      const outcome = await settled(sluice.publish(anything, 1, { key }).catch((error: unknown) => error));
      if (publish === "always" || (publish === "with-key" && key)) {
        expect(outcome).toMatchObject({ kind: "data" });
        expect(requests[1]!.body).toBe(requests[0]!.body);
        expect(Date.now() - start).toBe(retry_after_ms ?? 125);
      } else {
        expect(outcome).toMatchObject({ code, status });
        expect(requests).toHaveLength(1);
      }
    }
  });

  test("no answer is repeated only under a key", async () => {
    const keyed = serverOf([lost, lost, accept]);
    await expect(settled(keyed.sluice.publish(anything, 1, { key: "k" }))).resolves.toMatchObject({ kind: "data" });
    const bare = serverOf([lost, accept]);
    await expect(settled(bare.sluice.publish(anything, 1))).rejects.toMatchObject({ code: "network", status: 0, message: /with a key/ });
    expect(bare.requests).toHaveLength(1);
  });

  test.each([201, 400, 422, 500])("an answer that breaks off is no answer: %d", async (status) => {
    const broken: Answer = () => brokenOff(status);
    const { sluice } = serverOf([broken, accept]);
    await expect(settled(sluice.publish(anything, 1, { key: "k" }))).resolves.toMatchObject({ kind: "data" });
    await expect(settled(serverOf(broken).sluice.publish(anything, 1))).rejects.toMatchObject({ code: "network" });
  });

  test("a silent server is given up on, and asked again under a key", async () => {
    const silent: Answer = () => new Promise(() => undefined);
    const { sluice, requests } = serverOf([silent, accept], { timeoutMs: 700 });
    await expect(settled(sluice.publish(anything, 1, { key: "k" }))).resolves.toMatchObject({ kind: "data" });
    expect(requests).toHaveLength(2);
    await expect(settled(serverOf(silent, { timeoutMs: 700 }).sluice.publish(anything, 1))).rejects.toMatchObject({ code: "network" });
  });

  test("the bound of the wait doubles up to its maximum, and attempts end", async () => {
    const times: number[] = [];
    const { sluice } = serverOf(
      () => {
        times.push(Date.now());
        return problem(503, "draining");
      },
      { retryMinMs: 100, retryMaxMs: 400, retries: 4 },
    );
    await expect(settled(sluice.publish(anything, 1))).rejects.toMatchObject({ code: "draining", status: 503 });
    expect(times.slice(1).map((time, i) => time - times[i]!)).toEqual([50, 100, 200, 200]);
  });

  test("none with retries 0", async () => {
    const { sluice, requests } = serverOf(refused, { retries: 0 });
    await expect(sluice.publish(anything, 1)).rejects.toMatchObject({ status: 503 });
    expect(requests).toHaveLength(1);
  });

  test("the signal ends the wait and the request, with its own reason", async () => {
    const reason = new Error("enough");
    for (const answer of [refused, (() => new Promise<Response>(() => undefined)) as Answer]) {
      const stop = new AbortController();
      const { sluice, requests } = serverOf(answer);
      const publish = sluice.publish(anything, 1, { signal: stop.signal, key: "k" });
      publish.catch(() => undefined);
      await vi.advanceTimersByTimeAsync(1);
      stop.abort(reason);
      await expect(publish).rejects.toBe(reason);
      expect(requests).toHaveLength(1);
      expect(vi.getTimerCount()).toBe(0);
    }
    await expect(serverOf(accept).sluice.publish(anything, 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test("what is no JSON is an answer of another server", async () => {
    await expect(serverOf(() => new Response("<html>")).sluice.publish(anything, 1, { key: "k" })).rejects.toMatchObject({
      code: "invalid-answer",
    });
  });
});

describe("publishMany", () => {
  const item = (data: unknown, key?: string): { ref: typeof anything; data: unknown; key?: string } => ({
    ref: anything,
    data,
    ...(key && { key }),
  });

  test("sends one request and keeps the order, with what was not sent in its place", async () => {
    const { sluice, requests } = serverOf(({ body }) =>
      json(
        (JSON.parse(body!) as { topic: string }[]).map(({ topic }) =>
          topic === "tokens" ? problemBody(403, "forbidden") : receipt({ topic }),
        ),
      ),
    );
    const results = await sluice.publishMany([
      { ref: run42.status, data: { message: "1" }, key: "k", runId: "r" },
      { ref: run42.status, data: {} as never },
      { ref: run42.tokens, data: { token: "x" } },
      { ref: run42.late, data: "good" },
    ]);
    expect(results).toMatchObject([
      { topic: "status" },
      { code: "schema-violation", status: 0 },
      { code: "forbidden", status: 403 },
      { topic: "late" },
    ]);
    expect(results[1]).toBeInstanceOf(SluiceError);
    expect(requests).toHaveLength(1);
    expect(JSON.parse(requests[0]!.body!)[0]).toEqual({
      channel: "pipeline:42",
      topic: "status",
      data: { message: "1" },
      run_id: "r",
      idempotency_key: "k",
    });
  });

  test("asks for nothing when there is nothing", async () => {
    const { sluice, requests } = serverOf(accept);
    expect(await sluice.publishMany([])).toEqual([]);
    expect(requests).toHaveLength(0);
  });

  test("keeps to the limits of number and size", async () => {
    const { sluice, requests } = serverOf(accept);
    const results = await sluice.publishMany([...Array(2001).keys()].map((i) => item(i)));
    expect(requests.map(({ body }) => (JSON.parse(body!) as unknown[]).length)).toEqual([1000, 1000, 1]);
    expect(results).toHaveLength(2001);
    const long = serverOf(accept);
    await long.sluice.publishMany(["é", "é", "é"].map((text) => item(text.repeat(100_000)))); // two bytes each
    expect(long.requests.map(({ body }) => (JSON.parse(body!) as unknown[]).length)).toEqual([2, 1]);
  });

  test("tries again what failed for the moment, and nothing else", async () => {
    const sent: unknown[][] = [];
    const { sluice } = serverOf(({ body }) => {
      const items = JSON.parse(body!) as { data: number; idempotency_key?: string }[];
      sent.push(items.map(({ data, idempotency_key }) => [data, idempotency_key]));
      if (sent.length > 1) return accept({ body } as never);
      return json(
        items.map(({ data }) => [receipt(), problemBody(503, "engine-unavailable"), problemBody(422, "unknown-topic")][data % 3]),
      );
    });
    const results = await settled(sluice.publishMany([item(0), item(1, "k1"), item(2), item(3), item(4)]));
    expect(sent.slice(1)).toEqual([
      [
        [1, "k1"],
        [4, undefined],
      ],
    ]);
    expect(results.map((result) => (result instanceof SluiceError ? result.code : "ok"))).toEqual([
      "ok",
      "ok",
      "unknown-topic",
      "ok",
      "ok",
    ]);
  });

  test("no answer: those with a key are tried again, the others have the error", async () => {
    const { sluice, requests } = serverOf([lost, accept]);
    const results = await settled(sluice.publishMany([item(0), item(1, "k"), item(2)]));
    expect(results).toMatchObject([{ code: "network" }, { kind: "data" }, { code: "network" }]);
    expect((JSON.parse(requests[1]!.body!) as { data: number }[]).map(({ data }) => data)).toEqual([1]);
  });

  test("a refusal of the whole stands in each place, after the retries", async () => {
    const { sluice, requests } = serverOf(refused, { retries: 2 });
    expect(await settled(sluice.publishMany([item(0), item(1)]))).toMatchObject([{ status: 503 }, { status: 503 }]);
    expect(requests).toHaveLength(3);
  });

  test("what is too large as a whole goes in parts; only what is too large by itself is refused", async () => {
    const { sluice } = serverOf((request) =>
      request.body!.includes("big") && request.body!.includes(",{")
        ? problem(413, "too-large")
        : request.body!.includes("big")
          ? problem(413, "too-large")
          : accept(request),
    );
    const results = await sluice.publishMany([item(0), item(1), item("big"), item(3), item(4)]);
    expect(results.map((result) => (result instanceof SluiceError ? result.code : "ok"))).toEqual(["ok", "ok", "too-large", "ok", "ok"]);
  });

  test("an answer that does not fit is an error in each place", async () => {
    for (const answer of [json([receipt()]), json({})]) {
      expect(await serverOf(() => answer).sluice.publishMany([item(0), item(1)])).toMatchObject([
        { code: "invalid-answer" },
        { code: "invalid-answer" },
      ]);
    }
  });

  test("rejects when the signal aborts", async () => {
    const stop = new AbortController();
    const { sluice } = serverOf(refused);
    const many = sluice.publishMany([item(0)], { signal: stop.signal });
    many.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1);
    stop.abort("enough");
    await expect(many).rejects.toBe("enough");
  });
});
