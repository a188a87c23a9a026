import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SluiceError, staticSchema, type Receipt, type TopicRef } from "../src/index.js";
import { accept, json, problem, problemBody, receipt, serverOf, type Answer, type Request } from "./server.harness.js";

const ref = (name: string, schema = staticSchema<unknown>()): TopicRef => ({ channel: name, topic: "t", schema });
const c = ref("c");

interface Item {
  readonly channel: string;
  readonly data: unknown;
  readonly idempotency_key?: string;
}

/** The data of each request's messages. */
const sent = (requests: readonly Request[]): unknown[][] => requests.map((request) => itemsOf(request).map(({ data }) => data));
const itemsOf = ({ body }: Request): Item[] => [JSON.parse(body!) as Item | Item[]].flat();

/** Answers each message as told: with a receipt whose id is its data, or with a problem. */
const each =
  (problemOf: (item: Item) => object | undefined): Answer =>
  (request) => {
    const answers = itemsOf(request).map((item) => problemOf(item) ?? receipt({ id: String(item.data) }));
    const [first] = answers as [{ status?: number }];
    return request.body!.startsWith("[") ? json(answers) : json(first, first.status ?? 201);
  };
const echo = each(() => undefined);

/** An answer that waits until it is let go. */
function held(answer: Answer = echo): { answer: Answer; release: () => void } {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => (release = resolve));
  return { answer: async (request) => gate.then(() => answer(request)), release };
}

const outcomeOf = (publish: Promise<Receipt>): Promise<unknown> => publish.then(({ id }) => id).catch((error: unknown) => error);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe("gather", () => {
  test("one that is alone leaves at once, as it is", async () => {
    const { sluice, requests } = serverOf(echo);
    for (const data of [1, 2, 3]) await sluice.publish(c, data);
    expect(requests.map(({ body }) => JSON.parse(body!))).toEqual([1, 2, 3].map((data) => ({ channel: "c", topic: "t", data })));
  });

  test("what is published at the same time leaves together, in order, each with its own receipt", async () => {
    const { sluice, requests } = serverOf(echo);
    const numbers = [...Array(100).keys()];
    const receipts = await Promise.all(numbers.map((i) => sluice.publish(ref(`c${i % 7}`), i, i % 2 ? { key: `k${i}`, runId: "r" } : {})));
    expect(receipts.map(({ id }) => id)).toEqual(numbers.map(String));
    expect(sent(requests)).toEqual([numbers]);
    expect(itemsOf(requests[0]!)[1]).toEqual({ channel: "c1", topic: "t", data: 1, run_id: "r", idempotency_key: "k1" });
  });

  test("what is published meanwhile leaves with the next", async () => {
    const first = held();
    const { sluice, requests } = serverOf([first.answer, echo]);
    const publishes = [sluice.publish(c, 0)];
    await turn();
    for (const data of [1, 2, 3]) {
      publishes.push(sluice.publish(c, data));
      await turn();
    }
    publishes.push(sluice.run("c", "r").publish("s", c, 4));
    await turn();
    expect(sent(requests)).toEqual([[0]]);
    first.release();
    expect((await Promise.all(publishes)).map(({ id }) => id)).toEqual(["0", "1", "2", "3", "4"]);
    expect(sent(requests)).toEqual([[0], [1, 2, 3, 4]]);
    expect(itemsOf(requests[1]!)[3]).toMatchObject({ run_id: "r", idempotency_key: "run:r:s" });
  });

  test("keeps to the limits of number and size", async () => {
    const { sluice, requests } = serverOf(accept);
    await Promise.all([...Array(2001).keys()].map((i) => sluice.publish(c, i)));
    expect(requests.map((request) => itemsOf(request).length)).toEqual([1000, 1000, 1]);
    const long = serverOf(accept);
    await Promise.all(["é", "é", "é"].map((text) => long.sluice.publish(c, text.repeat(100_000)))); // two bytes each
    expect(long.requests.map((request) => itemsOf(request).length)).toEqual([2, 1]);
    const longer = serverOf(accept);
    await Promise.all([1, 2].map((size) => longer.sluice.publish(c, "x".repeat(size * 600_000))));
    expect(longer.requests.map((request) => itemsOf(request).length)).toEqual([1, 1]);
  });

  test("can be turned off, and is off with a fetch of one's own", async () => {
    for (const gather of [false, undefined]) {
      const { sluice, requests } = serverOf(echo, { gather });
      await Promise.all([1, 2].map((data) => sluice.publish(c, data)));
      expect(sent(requests)).toEqual([[1], [2]]);
    }
  });

  test("is on with the runtime's fetch", async () => {
    const { requests, fetch } = serverOf(echo);
    vi.stubGlobal("fetch", fetch);
    const { createServer } = await import("../src/server/index.js");
    const sluice = createServer({ url: "https://sluice.example", apiKey: "k" });
    await Promise.all([1, 2].map((data) => sluice.publish(c, data)));
    vi.unstubAllGlobals();
    expect(sent(requests)).toEqual([[1, 2]]);
  });

  test("an error is of its own message alone, as it would be by itself", async () => {
    const wrong = each(({ data }) =>
      data === 1 ? { ...problemBody(422, "schema-violation"), detail: "why", errors: [{ pointer: "/a", detail: "d" }] } : undefined,
    );
    const { sluice, requests } = serverOf(wrong);
    const [alone] = await Promise.all([outcomeOf(sluice.publish(c, 1))]);
    expect(alone).toBeInstanceOf(SluiceError);
    expect(await Promise.all([0, 1, 2].map((data) => outcomeOf(sluice.publish(c, data))))).toEqual(["0", alone, "2"]);
    expect(requests).toHaveLength(2);
  });

  test("a message that is not sent delays and spoils no other", async () => {
    const { sluice, requests } = serverOf(echo);
    const never = {
      ...staticSchema<unknown>(),
      "~standard": { version: 1 as const, vendor: "v", validate: () => new Promise<never>(() => undefined) },
    };
    const slow = outcomeOf(sluice.publish(ref("slow", never as never), 0));
    const behind = outcomeOf(sluice.publish(ref("slow"), 1)); // keeps its place
    const bad = outcomeOf(sluice.publish(c, undefined));
    expect(await Promise.all([2, 3].map((data) => outcomeOf(sluice.publish(c, data))))).toEqual(["2", "3"]);
    expect(await bad).toMatchObject({ code: "malformed", status: 0 });
    expect(sent(requests)).toEqual([[2, 3]]);
    await vi.advanceTimersByTimeAsync(30_000); // the validation is given up
    expect(await slow).toMatchObject({ code: "schema-violation" });
    expect(await behind).toBe("1");
  });

  test("order is that of the calls, however long a validation takes", async () => {
    const { sluice, requests } = serverOf(echo);
    const slow = (ms: number): TopicRef =>
      ref("c", {
        "~standard": { version: 1, vendor: "v", validate: (value: unknown) => new Promise((r) => setTimeout(() => r({ value }), ms)) },
      } as never);
    const all = Promise.all([sluice.publish(slow(50), 0), sluice.publish(c, 1), sluice.publish(slow(20), 2), sluice.publish(ref("d"), 3)]);
    await vi.advanceTimersByTimeAsync(100);
    await all;
    expect(sent(requests)).toEqual([[3], [0, 1, 2]]);
  });

  describe("a request that is refused as a whole", () => {
    test.each([413, 400, 403, 422])("is sent again in halves: %d", async (status) => {
      const guilty: Answer = (request) => (itemsOf(request).some(({ data }) => data === 5) ? problem(status, "no") : echo(request));
      const { sluice, requests } = serverOf(guilty);
      const outcomes = await Promise.all([...Array(8).keys()].map((data) => outcomeOf(sluice.publish(c, data))));
      expect(outcomes[5]).toMatchObject({ code: "no", status });
      expect(outcomes.filter((_, i) => i !== 5)).toEqual(["0", "1", "2", "3", "4", "6", "7"]);
      const published = sent(requests.filter((request) => !itemsOf(request).some(({ data }) => data === 5))).flat();
      expect(published).toEqual([0, 1, 2, 3, 4, 6, 7]);
    });

    test("for what every message would be refused for, is not", async () => {
      const { sluice, requests } = serverOf(() => problem(401, "unauthorized"));
      const outcomes = await Promise.all([1, 2].map((data) => outcomeOf(sluice.publish(c, data))));
      expect(outcomes).toMatchObject([{ status: 401 }, { status: 401 }]);
      expect(requests).toHaveLength(1);
    });
  });

  describe("retries", () => {
    test("are of each message, after the time that the server asks for", async () => {
      let tries = 0;
      const busy = each(({ data }) =>
        data === 1 && tries++ === 0 ? { ...problemBody(503, "engine-unavailable"), retry_after: 7 } : undefined,
      );
      const { sluice, requests } = serverOf(busy);
      const start = Date.now();
      const all = Promise.all([0, 1, 2].map((data) => sluice.publish(c, data).then(() => Date.now() - start)));
      await vi.advanceTimersByTimeAsync(7000);
      expect(await all).toEqual([0, 7000, 0]);
      expect(sent(requests)).toEqual([[0, 1, 2], [1]]);
    });

    test("without an answer, only what has a key is repeated, and each caller is told so", async () => {
      const lost: Answer = () => Promise.reject(new TypeError("fetch failed"));
      const { sluice, requests } = serverOf([lost, echo]);
      const all = Promise.all([
        sluice.publish(c, 0).catch((e: unknown) => e),
        sluice.publish(c, 1, { key: "k" }),
        sluice.publish(c, 2).catch((e: unknown) => e),
      ]);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await all).toMatchObject([
        { code: "network", message: /with a key/ },
        { id: "1" },
        { code: "network", message: /with a key/ },
      ]);
      expect(sent(requests)).toEqual([[0, 1, 2], [1]]);
    });

    test("the last error of one with a key does not ask for a key", async () => {
      const lost: Answer = () => Promise.reject(new TypeError("fetch failed"));
      const { sluice } = serverOf(lost, { retries: 0 });
      const [bare, keyed] = await Promise.all([outcomeOf(sluice.publish(c, 0)), outcomeOf(sluice.publish(c, 1, { key: "k" }))]);
      expect((bare as Error).message).toContain("with a key");
      expect((keyed as Error).message).not.toContain("with a key");
    });

    test.each(["[]", "{}", "[null,null]", "<html>"])("what is not an answer for each, %s, is an error of each", async (body) => {
      const { sluice } = serverOf(() => new Response(body));
      const outcomes = await Promise.all([0, 1].map((data) => outcomeOf(sluice.publish(c, data, { key: `k${data}` }))));
      expect(outcomes).toMatchObject([{ code: "invalid-answer" }, { code: "invalid-answer" }]);
    });
  });

  describe("a caller that gives up", () => {
    const reason = new Error("enough");

    test("before its request leaves is taken out", async () => {
      const first = held();
      const { sluice, requests } = serverOf([first.answer, echo]);
      const stop = new AbortController();
      const zero = outcomeOf(sluice.publish(c, 0));
      await turn();
      const others = [1, 2, 3].map((data) => outcomeOf(sluice.publish(c, data, data === 2 ? { signal: stop.signal } : {})));
      await turn();
      stop.abort(reason);
      first.release();
      expect(await Promise.all([zero, ...others])).toEqual(["0", "1", reason, "3"]);
      expect(sent(requests)).toEqual([[0], [1, 3]]);
    });

    test("later leaves the others unharmed", async () => {
      const first = held();
      const { sluice, requests } = serverOf([first.answer]);
      const stop = new AbortController();
      const all = [0, 1, 2].map((data) => outcomeOf(sluice.publish(c, data, data === 0 ? { signal: stop.signal } : {})));
      await turn();
      stop.abort(reason);
      expect(await all[0]).toBe(reason);
      first.release();
      expect(await Promise.all(all)).toEqual([reason, "1", "2"]);
      expect(requests).toHaveLength(1);
    });

    test("as the last one ends the request, and the next one leaves", async () => {
      const { sluice, requests } = serverOf([held().answer, echo]);
      const stop = new AbortController();
      const all = [0, 1].map((data) => outcomeOf(sluice.publish(c, data, { signal: stop.signal })));
      await turn();
      const next = outcomeOf(sluice.publish(c, 2));
      stop.abort(reason);
      expect(await Promise.all([...all, next])).toEqual([reason, reason, "2"]);
      expect(requests[0]!.init.signal!.aborted).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    });

    test("during its validation holds nobody up", async () => {
      const { sluice } = serverOf(echo);
      const never = ref("c", { "~standard": { version: 1, vendor: "v", validate: () => new Promise(() => undefined) } } as never);
      const stop = new AbortController();
      const first = outcomeOf(sluice.publish(never, 0, { signal: stop.signal }));
      const second = outcomeOf(sluice.publish(c, 1));
      await turn();
      stop.abort(reason);
      expect(await Promise.all([first, second])).toEqual([reason, "1"]);
    });
  });

  test("a request that takes long holds up only its own channels", async () => {
    const first = held();
    const { sluice, requests } = serverOf([first.answer, echo]);
    const slow = outcomeOf(sluice.publish(c, 0));
    await turn();
    const behind = outcomeOf(sluice.publish(c, 1));
    const other = outcomeOf(sluice.publish(ref("d"), 2));
    await vi.advanceTimersByTimeAsync(999);
    expect(requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await other).toBe("2");
    expect(sent(requests)).toEqual([[0], [2]]);
    first.release();
    expect(await Promise.all([slow, behind])).toEqual(["0", "1"]);
    expect(sent(requests)).toEqual([[0], [2], [1]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a request is made in the asynchronous context of its first message", async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const first = held();
    const see =
      (answer: Answer): Answer =>
      (request) => {
        seen.push(context.getStore());
        return answer(request);
      };
    const { sluice } = serverOf([see(first.answer), see(echo)]);
    const one = context.run("a", () => sluice.publish(c, 0));
    await turn();
    const two = context.run("b", () => sluice.publish(c, 1));
    await turn();
    first.release();
    await Promise.all([one, two]);
    expect(seen).toEqual(["a", "b"]);
  });
});
