// What the fixtures say that every client must make of the wire; the README beside them explains them.

import { channel, SluiceError, staticSchema, subscribe, type Gap, type Message, type Run, type TextStream } from "../src/index.js";
import { publish } from "../src/publish.js";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { server, tick, type Exchange } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const folder = new URL("../../client/testdata/wire/", import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));

interface StreamFixture {
  about: string;
  received: { message?: Message; run?: Run; gap?: Gap }[];
  texts: Pick<TextStream, "stream_id" | "text" | "state" | "partial">[];
  close: { code: number; reconnect: boolean } | null;
  position: string | null;
  wait_ms: number | null;
}

const names = readdirSync(folder)
  .filter((name) => name.endsWith(".sse"))
  .map((name) => name.slice(0, -".sse".length));

test("there are fixtures", () => {
  expect(names.length).toBeGreaterThan(10);
});

describe.each(names)("%s", (name) => {
  const want = read(name + ".json") as StreamFixture;
  const body = readFileSync(new URL(name + ".sse", folder));

  test.each([
    ["whole", body.length],
    ["in pieces", 7],
    ["byte for byte", 1],
  ])(`%s: ${want.about}`, async (_, size) => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const { fetch, requests } = server((exchange, count) => {
      if (count > 1) return;
      exchange.stream();
      for (let at = 0; at < body.length; at += size) exchange.send(body.subarray(at, at + size));
      exchange.end();
    });
    const received: StreamFixture["received"] = [];
    const texts = new Map<string, StreamFixture["texts"][0]>();
    const keep = ({ stream_id, text, state, partial }: TextStream): unknown => texts.set(stream_id, { stream_id, text, state, partial });
    const sub = subscribe({
      url: "http://sluice",
      fetch,
      onMessage: (message) => (message.kind === "stream" ? keep(message) : received.push({ message })),
      onChunk: keep,
      onRun: (run) => received.push({ run }),
      onGap: (gap) => received.push({ gap }),
    });
    await tick();
    expect(received).toEqual(want.received);
    expect([...texts.values()]).toEqual(want.texts);
    const { status, error } = sub.getSnapshot();
    if (want.close?.reconnect === false) {
      expect([status, error?.code]).toEqual(["closed", want.close.code]);
      await tick(60_000);
      expect(requests).toHaveLength(1);
      return;
    }
    expect(status).toBe("connecting");
    const wait = want.wait_ms ?? 250;
    await tick(want.wait_ms === null ? 0 : wait - 1);
    expect(requests).toHaveLength(1);
    await tick(want.wait_ms === null ? wait : 1);
    expect(requests).toHaveLength(2);
    expect(requests[1]!.lastEventId).toBe(want.position);
    sub.close();
  });
});

interface ProblemFixture {
  about: string;
  status: number;
  headers: Record<string, string>;
  body: string;
  code: string;
  detail: string | null;
  errors: object[];
  retry_after_ms: number | null;
  request_id: string | null;
  subscription: "again" | "stop" | "renew";
}

describe("problems", () => {
  test.each((read("problems.json") as ProblemFixture[]).map((each) => [each.about, each] as const))("%s", async (_, want) => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const answer = (exchange: Exchange): void => exchange.respond(new Response(want.body, { status: want.status, headers: want.headers }));
    const check = (error: SluiceError): void => {
      expect(error).toBeInstanceOf(SluiceError);
      const { status, code, detail = null, errors = [], retryAfterMs = null, instance = null } = error;
      expect({ status, code, detail, errors, retryAfterMs, instance }).toEqual({
        status: want.status,
        code: want.code,
        detail: want.detail,
        errors: want.errors,
        retryAfterMs: want.retry_after_ms,
        instance: want.request_id,
      });
    };

    const ref = channel({ name: "c", topics: { t: { schema: staticSchema<number>() } } }).t;
    const publishing = server(answer);
    check(
      await publish(ref, 1, { url: "http://sluice", fetch: publishing.fetch }).then(
        () => expect.unreachable(),
        (error: unknown) => error as SluiceError,
      ),
    );

    const tokens = ["one", "two"];
    const subscribing = server(answer);
    const sub = subscribe({ url: "http://sluice", fetch: subscribing.fetch, token: () => tokens.shift() ?? "more" });
    await tick();
    check(sub.getSnapshot().error!);
    await tick((want.retry_after_ms ?? 1) - 1);
    const { status } = sub.getSnapshot();
    if (want.subscription === "again") {
      expect(status).toBe("connecting");
      if (want.retry_after_ms !== null) expect(subscribing.requests).toHaveLength(1);
      await tick(1);
      expect(subscribing.requests.length).toBeGreaterThan(1);
    } else {
      expect(status).toBe("error");
      await tick(60_000);
      expect(subscribing.requests.map(({ token }) => token)).toEqual(want.subscription === "renew" ? ["one", "two"] : ["one"]);
    }
    sub.close();
  });
});

describe("names", () => {
  const { templates } = read("names.json") as { templates: { template: string; params: Record<string, string>; name: string }[] };

  test.each(templates)("$template", ({ template, params, name }) => {
    const family = channel({
      name: (values: Record<string, string>) => template.replace(/\{(\w+)\}/g, (_, key: string) => values[key]!),
      topics: {},
    });
    expect(family.$template).toBe(template);
    expect(family(params).$name).toBe(name);
  });
});
