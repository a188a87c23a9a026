import { SluiceError, staticSchema } from "../src/index.js";
import { afterEach, describe, expect, test, vi } from "vitest";
import { json, problem, problemBody, receipt, run42, serverOf, type Answer, type Request } from "./server.harness.js";

const anything = { channel: "a/b", topic: "t", schema: staticSchema<unknown>() };

afterEach(() => {
  vi.useRealTimers();
});

/** A source that notes what is taken from it and whether it was closed. */
function sourceOf<T>(values: readonly T[], after?: () => Promise<unknown>): AsyncIterable<T> & { taken: number; closed: boolean } {
  const source = {
    taken: 0,
    closed: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (const value of values) {
          source.taken++;
          yield value;
        }
        await after?.();
      } finally {
        source.closed = true;
      }
    },
  };
  return source;
}

/** Reads the body of a request to its end. */
async function textOf({ init }: Request): Promise<string> {
  return new Response(init.body as ReadableStream).text();
}

describe("a text", () => {
  const done: Answer = async ({ init }) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of init.body as ReadableStream<Uint8Array>) chunks.push(chunk);
    expect(chunks.every(({ length }) => length > 0)).toBe(true); // an empty one would be the end of an HTTP/1.1 body
    return json({ stream_id: "s", text: await new Blob(chunks as BlobPart[]).text() });
  };

  test.each<[string, AsyncIterable<string> | Iterable<string | Uint8Array> | ReadableStream<Uint8Array>, string]>([
    ["strings", ["Hel", "", "lo"], "Hello"],
    ["bytes", [new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac])], "€"],
    ["an async iterable", sourceOf(["a", "b"]), "ab"],
    ["one string", "whole", "whole"],
    ["one piece of bytes", new TextEncoder().encode("whole") as never, "whole"],
    ["a ReadableStream", new Response("from a response").body!, "from a response"],
    ["a character in two halves", ["a\ud83d", "\ude42b"], "a🙂b"],
    ["half a character at the end", ["a\ud83d"], "a\ufffd"],
    ["half a character before bytes", ["a\ud83d", new TextEncoder().encode("b")], "a\ufffdb"],
    ["nothing", [], ""],
  ])("from %s", async (_, source, text) => {
    const { sluice, requests } = serverOf(done);
    expect(await sluice.stream(anything, source, { runId: "r 1" })).toEqual({ stream_id: "s", text });
    expect([requests[0]!.method, requests[0]!.path]).toEqual(["POST", "/base/v1/publish/a%2Fb/t/stream?run_id=r+1"]);
    expect(requests[0]!.init).toMatchObject({ duplex: "half" });
  });

  test("what the source throws is thrown, and the body breaks off", async () => {
    const fault = new Error("model gone");
    let read: Promise<string> | undefined;
    const { sluice } = serverOf((request) => {
      read = textOf(request);
      return read.then(
        () => json({}),
        () => Promise.reject(new TypeError("fetch failed")),
      );
    });
    const source = sourceOf(["a"], () => Promise.reject(fault));
    await expect(sluice.stream(anything, source)).rejects.toBe(fault);
    await expect(read).rejects.toBe(fault);
    expect(source.closed).toBe(true);
  });

  test("a piece that is no text ends it", async () => {
    const { sluice } = serverOf((request) => textOf(request).then(() => json({})));
    await expect(sluice.stream(anything, ["a", { b: 1 }] as never)).rejects.toThrow(TypeError);
  });

  test("a refusal is thrown, is not tried again and closes the source", async () => {
    const { sluice, requests } = serverOf(() => problem(503, "draining"));
    const source = sourceOf(["a", "b"]);
    await expect(sluice.stream(anything, source)).rejects.toMatchObject({ status: 503 });
    expect(requests).toHaveLength(1);
    await vi.waitFor(() => expect(source.closed).toBe(true));
  });

  test("a lost connection is a network error", async () => {
    const { sluice } = serverOf(() => Promise.reject(new TypeError("fetch failed")));
    await expect(sluice.stream(anything, ["a"])).rejects.toMatchObject({ code: "network" });
  });

  test("the signal ends it, also while the source has given nothing yet", async () => {
    for (const values of [[], ["a"]]) {
      const stop = new AbortController();
      const { sluice } = serverOf((request) => textOf(request).then(() => json({})));
      const source = sourceOf(values, () => new Promise(() => undefined));
      const done = sluice.stream(anything, source, { signal: stop.signal });
      setTimeout(() => stop.abort("enough"), 5);
      await expect(done).rejects.toBe("enough");
    }
  });

  test("a signal that has aborted already ends it", async () => {
    const { sluice, requests } = serverOf(done);
    const source = sourceOf([], () => new Promise(() => undefined));
    await expect(sluice.stream(anything, source, { signal: AbortSignal.abort("enough") })).rejects.toBe("enough");
    expect(requests).toHaveLength(0);
  });

  test("what is no source is refused", async () => {
    await expect(serverOf(done).sluice.stream(anything, { length: 1 } as never)).rejects.toThrow(TypeError);
  });
});

/** Answers lines as they come, as the server does. */
function duplex({
  result = (): object => receipt(),
  until = Infinity,
}: { result?: (data: { token?: string }) => object; until?: number } = {}): Answer {
  return ({ init }) => {
    const lines = linesOf(init);
    let count = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          const { done, value } = await lines.next();
          if (done || ++count > until) controller.close();
          else controller.enqueue(new TextEncoder().encode(JSON.stringify(result(JSON.parse(value).data)) + "\n"));
        },
      }),
    );
  };
}

/** Answers when the request is complete, as Bun and some proxies make it look. */
function halfDuplex(sizes: number[]): Answer {
  return async ({ init }) => {
    const answers: object[] = [];
    for await (const line of linesOf(init)) answers.push(receipt({ data: JSON.parse(line).data }));
    sizes.push(answers.length);
    return new Response(answers.map((answer) => JSON.stringify(answer) + "\n").join(""));
  };
}

async function* linesOf({ body }: RequestInit): AsyncGenerator<string, void> {
  let rest = "";
  for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream() as never,
  ) as unknown as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest) throw new Error(`half a line: ${rest}`);
}

describe("messages", () => {
  test("go as lines of one request, and the results come in their order", async () => {
    const { sluice, requests } = serverOf(
      duplex({ result: ({ token }) => (token === "b" ? problemBody(403, "forbidden") : receipt({ token })) }),
    );
    const results = await sluice.stream(run42.tokens, sourceOf([{ token: "a" }, { token: "b" }, { token: "c" }]), { runId: "r" });
    expect(results).toMatchObject([{ token: "a" }, { code: "forbidden", status: 403 }, { token: "c" }]);
    expect(requests.map(({ path, headers }) => [path, headers["Content-Type"]])).toEqual([["/base/v1/publish", "application/x-ndjson"]]);
  });

  test("what breaks the schema is not sent, and the others are", async () => {
    const seen: unknown[] = [];
    const { sluice } = serverOf(duplex({ result: (data) => (seen.push(data), receipt()) }));
    const results = await sluice.stream(run42.status, [{ message: "a" }, { message: 1 } as never, { message: "c" }, {} as never]);
    expect(seen).toEqual([{ message: "a" }, { message: "c" }]);
    expect(results.map((result) => (result instanceof SluiceError ? result.code : "ok"))).toEqual([
      "ok",
      "schema-violation",
      "ok",
      "schema-violation",
    ]);
  });

  test("strings are messages if that is said, and none are none", async () => {
    const { sluice, requests } = serverOf(duplex());
    expect(await sluice.stream(run42.late, ["a", "b"], { kind: "data" })).toHaveLength(2);
    expect(await sluice.stream(run42.late, [], { kind: "data" })).toEqual([]);
    expect(await sluice.stream(run42.late, ["bad"], { kind: "data" })).toMatchObject([{ code: "schema-violation" }]);
    expect(requests).toHaveLength(1);
  });

  test("the source is not run ahead of the answers", async () => {
    let go!: () => void;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const answer = duplex();
    const { sluice } = serverOf(async (request) => {
      await gate;
      return answer(request);
    });
    const source = sourceOf(Array.from({ length: 3000 }, (_, i) => ({ i })));
    const done = sluice.stream(anything, source);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(source.taken).toBeLessThanOrEqual(1); // nobody reads the body yet
    go();
    expect(await done).toHaveLength(3000);
  });

  test("no more than a window of messages is without an answer", async () => {
    const stop = new AbortController();
    const mute: Answer = ({ init }) => {
      void (async () => {
        for await (const line of linesOf(init)) expect(line).toContain("channel");
      })().catch(() => undefined);
      return new Response(
        new ReadableStream({
          start: (controller) => init.signal?.addEventListener("abort", () => controller.error(init.signal?.reason)),
        }),
      );
    };
    const source = sourceOf(Array.from({ length: 3000 }, (_, i) => ({ i })));
    const done = serverOf(mute).sluice.stream(anything, source, { signal: stop.signal });
    await vi.waitFor(() => expect(source.taken).toBeGreaterThan(500));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(source.taken).toBeLessThanOrEqual(513);
    stop.abort("enough");
    await expect(done).rejects.toBe("enough");
  });

  test("it goes on when answers make room", async () => {
    const bulk: Answer = ({ init }) => {
      let waiting = 0;
      let read = false;
      void (async () => {
        for await (const line of linesOf(init)) waiting += line ? 1 : 0;
        read = true;
      })();
      return new Response(
        new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 5));
            const answers = (JSON.stringify(receipt()) + "\n").repeat(waiting);
            waiting = 0;
            if (read && !answers) controller.close();
            else controller.enqueue(new TextEncoder().encode(answers));
          },
        }),
      );
    };
    const { sluice, requests } = serverOf(bulk);
    expect(
      await sluice.stream(
        anything,
        Array.from({ length: 2000 }, (_, i) => ({ i })),
      ),
    ).toHaveLength(2000);
    expect(requests).toHaveLength(1);
  });

  test("where answers come only after a request, it takes several, and nobody is stuck", async () => {
    vi.useFakeTimers();
    const sizes: number[] = [];
    const { sluice } = serverOf(halfDuplex(sizes));
    const done = sluice.stream(
      anything,
      Array.from({ length: 1300 }, (_, i) => ({ i })),
    );
    await vi.advanceTimersByTimeAsync(1000);
    const results = await done;
    expect(sizes).toEqual([512, 512, 276]);
    expect(results.map((result) => (result as unknown as { data: { i: number } }).data.i)).toEqual([...Array(1300).keys()]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a slow source does not keep its results, nor a refusal, back", async () => {
    vi.useFakeTimers();
    const sizes: number[] = [];
    const slow = async function* (): AsyncGenerator<object> {
      for (let i = 0; i < 5; i++) {
        yield { i };
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
    };
    const done = serverOf(halfDuplex(sizes)).sluice.stream(anything, slow());
    await vi.runAllTimersAsync();
    expect(await done).toHaveLength(5);
    expect(sizes).toEqual([3, 2]);
    const refuse: Answer = async (request) => {
      await textOf(request);
      return problem(401, "unauthorized");
    };
    const source = sourceOf([{}], () => new Promise(() => undefined));
    const refused = serverOf(refuse).sluice.stream(anything, source);
    refused.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(refused).rejects.toMatchObject({ code: "unauthorized" });
  });

  test("a server that ends early ends it, and closes the source", async () => {
    const { sluice } = serverOf(duplex({ until: 2 }));
    const source = sourceOf([{}, {}, {}, {}]);
    await expect(sluice.stream(anything, source)).rejects.toMatchObject({ code: "network", message: /2 of [34] messages/ });
    await vi.waitFor(() => expect(source.closed).toBe(true));
  });

  test("the server's last word is thrown", async () => {
    const last: Answer = async ({ init }) => {
      await linesOf(init).next();
      return new Response(JSON.stringify(receipt()) + "\n" + JSON.stringify(problemBody(503, "draining")) + "\n");
    };
    const source = sourceOf([{}], () => new Promise(() => undefined));
    await expect(serverOf(last).sluice.stream(anything, source)).rejects.toMatchObject({ code: "draining", status: 503 });
  });

  test("what the source throws is thrown after what it gave has its results", async () => {
    const fault = new Error("gone");
    const seen: unknown[] = [];
    const { sluice } = serverOf(duplex({ result: (data) => (seen.push(data), receipt()) }));
    await expect(
      sluice.stream(
        anything,
        sourceOf([{ i: 1 }, { i: 2 }], () => Promise.reject(fault)),
      ),
    ).rejects.toBe(fault);
    expect(seen).toEqual([{ i: 1 }, { i: 2 }]);
  });

  test("the signal ends it and closes the source", async () => {
    const stop = new AbortController();
    const { sluice } = serverOf(duplex());
    const source = sourceOf([{}], () => new Promise((resolve) => setTimeout(resolve, 20)));
    const done = sluice.stream(anything, source, { signal: stop.signal });
    setTimeout(() => stop.abort("enough"), 5);
    await expect(done).rejects.toBe("enough");
    await vi.waitFor(() => expect(source.closed).toBe(true));
  });

  test("an answer that is no JSON breaks it off", async () => {
    const { sluice } = serverOf(() => new Response("<html>\n"));
    await expect(sluice.stream(anything, [{}])).rejects.toMatchObject({ code: "network" });
  });
});
