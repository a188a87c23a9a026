import { channel, SluiceError, staticSchema, type Receipt } from "../src/index.js";
import { publish } from "../src/publish.js";
import { describe, expect, test } from "vitest";
import { brokenOff, server, type Exchange } from "./support/server.js";
import { passes } from "./support/patience.js";

const ref = channel({ name: "a/b:é", topics: { t: { schema: staticSchema<unknown>() } } }).t;
const receipt: Receipt = { id: "e-1", channel: "a/b:é", topic: "t", kind: "data", created_at: "now", durable: false, duplicate: false };
const accept = (exchange: Exchange): void => exchange.respond(Response.json(receipt, { status: 201 }));

const failure = (promise: Promise<unknown>): Promise<SluiceError> =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error as SluiceError,
  );

describe("publish", () => {
  test("sends the data as JSON, with the token in the header and nowhere else", async () => {
    const s = server(accept);
    const got = await publish(ref, { text: "é", list: [1, null] }, { url: "http://sluice/base/", token: "secret", fetch: s.fetch });
    expect(got).toEqual(receipt);
    const { url, method, headers, body } = s.last;
    expect([method, url.href]).toEqual(["POST", "http://sluice/base/v1/publish"]);
    expect(Object.fromEntries(headers)).toEqual({ authorization: "Bearer secret", "content-type": "application/json" });
    expect(JSON.parse(body!)).toEqual({ channel: "a/b:é", topic: "t", data: { text: "é", list: [1, null] } });
    expect(s.requests).toHaveLength(1);
  });

  test.each([201, 403, 500])("an answer that breaks off is no answer: %d", async (status) => {
    const s = server((exchange) => exchange.respond(brokenOff(status)));
    expect(await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }))).toMatchObject({ code: "network" });
  });

  test("sends the key and the run", async () => {
    const s = server(accept);
    await publish(ref, 1, { url: "http://sluice", fetch: s.fetch, idempotencyKey: "k 1", runId: "r&1", traceparent: "00-1" });
    expect(JSON.parse(s.last.body!)).toMatchObject({ idempotency_key: "k 1", run_id: "r&1", traceparent: "00-1" });
    expect(s.last.token).toBeNull();
  });

  test.each([
    ["a function", () => "t"],
    ["a promise of the server's answer", () => Promise.resolve({ token: "t", expires_at: "later" })],
  ])("takes a token from %s", async (_, token) => {
    const s = server(accept);
    await publish(ref, 1, { url: "http://sluice", fetch: s.fetch, token });
    expect(s.last.token).toBe("t");
  });

  test.each([
    [undefined, "https://example.com/sluice/v1/publish"],
    ["http://mine", "http://mine/v1/publish"],
  ])("goes where the token says, unless the options do: %s", async (url, want) => {
    const s = server(accept);
    await publish(ref, 1, { url, fetch: s.fetch, token: () => ({ token: "t", url: "https://example.com/sluice" }) });
    expect(s.last.url.href).toBe(want);
  });

  test("throws the server's problem, whole", async () => {
    const errors = [{ pointer: "/message", detail: "is missing" }];
    const s = server((exchange) => exchange.refuse(422, "schema-violation", {}, { detail: "why", errors, instance: "R1" }));
    const error = await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }));
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "SluiceError",
      status: 422,
      code: "schema-violation",
      detail: "why",
      errors,
      instance: "R1",
      message: "No: why",
    });
  });

  test.each([429, 503, 500])("is not tried again: %d", async (status) => {
    const s = server((exchange) => exchange.refuse(status, "later", { "Retry-After": "2" }));
    const error = await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }));
    expect(error).toMatchObject({ status, code: "later", retryAfterMs: 2000 });
    expect(s.requests).toHaveLength(1);
  });

  test.each(["null", "7", '"text"', "[]", '{"__proto__":{},"stack":"x","name":"Y"}'])(
    "a body that is no problem document, %s, is still an error with the status",
    async (body) => {
      const s = server((exchange) => exchange.respond(new Response(body, { status: 418 })));
      const error = await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }));
      expect(error).toBeInstanceOf(SluiceError);
      expect(error).toMatchObject({ status: 418, code: "http-418", name: "SluiceError" });
    },
  );

  test("a network that fails is an error of code network", async () => {
    const s = server((exchange) => exchange.fail());
    const error = await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }));
    expect(error).toMatchObject({ status: 0, code: "network", cause: expect.any(TypeError) as unknown });
  });

  test.each([
    ["breaks off", new ReadableStream({ start: (controller) => controller.error(new TypeError("terminated")) })],
    ["is no JSON", "<h1>Welcome</h1>"],
  ])("an answer that %s is an error of code network: it may have happened", async (_, body) => {
    const s = server((exchange) => exchange.respond(new Response(body, { status: 201 })));
    const error = await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch }));
    expect(error).toBeInstanceOf(SluiceError);
    expect(error.code).toBe("network");
  });

  test("a source of tokens that fails is an error of code token, and nothing is sent", async () => {
    const s = server(accept);
    const token = (): Promise<string> => Promise.reject(new Error("no session"));
    expect(await failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch, token }))).toMatchObject({ code: "token" });
    expect(s.requests).toHaveLength(0);
  });

  test("an abort is thrown as it is", async () => {
    const s = server();
    const aborter = new AbortController();
    const publishing = failure(publish(ref, 1, { url: "http://sluice", fetch: s.fetch, signal: aborter.signal }));
    await passes(() => expect(s.requests).toHaveLength(1));
    const reason = new Error("enough");
    aborter.abort(reason);
    expect(await publishing).toBe(reason);
  });
});
