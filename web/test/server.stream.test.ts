import { SluiceError, staticSchema, text } from "../src/index.js";
import type { ServerOptions } from "../src/server/index.js";
import { afterEach, describe, expect, test, vi } from "vitest";
import { json, problem, problemBody, receipt, run42, serverOf, type Answer, type Request } from "./server.harness.js";
import { passes } from "./support/patience.js";

const aText = { channel: "a/b", topic: "t", ...text() };
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
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await new Blob(chunks as BlobPart[]).arrayBuffer());
    return json({ stream_id: "s", text });
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
    ["half a character before bytes that are half a character", ["\ud83d", new Uint8Array([0xe2]), "b\ude42"], "\ufffd\ufffdb\ufffd"],
    ["half a character in bytes at the end", [new Uint8Array([0x61, 0xf0, 0x9f])], "a\ufffd"],
    ["bytes that are not UTF-8", [new Uint8Array([0x61, 0xff, 0x62])], "a\ufffdb"],
    ["a byte order mark", [new Uint8Array([0xef, 0xbb]), new Uint8Array([0xbf]), "\ufeffa"], "\ufeff\ufeffa"],
    ["nothing", [], ""],
  ])("from %s", async (_, source, text) => {
    const { sluice, requests } = serverOf(done);
    expect(await sluice.stream(aText, source, { runId: "r 1" })).toEqual({ stream_id: "s", text, duplicate: false });
    expect(requests[0]!.method).toBe("POST");
    expect(requests[0]!.path).toMatch(
      /^\/base\/v1\/publish\/\$\/\$\/stream\?channel=a%2Fb&topic=t&stream_id=[\w-]{36}&run_id=r\+1&attempt=1&offset=0$/,
    );
    expect(requests[0]!.init).toMatchObject({ duplex: "half" });
  });

  test("what the source throws is thrown, the body breaks off, and the text is given up", async () => {
    const fault = new Error("model gone");
    let read: Promise<string> | undefined;
    const { sluice, requests } = serverOf((request) => {
      if (request.method === "DELETE") return new Response(null, { status: 204 });
      read = textOf(request);
      return read.then(
        () => json({}),
        () => Promise.reject(new TypeError("fetch failed")),
      );
    });
    const source = sourceOf(["a"], () => Promise.reject(fault));
    await expect(sluice.stream(aText, source)).rejects.toBe(fault);
    await expect(read).rejects.toBe(fault);
    expect(source.closed).toBe(true);
    expect(requests.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
    expect(requests[1]!.path).toMatch(/&stream_id=[\w-]{36}&attempt=1$/);
  });

  test("a piece that is no text ends it", async () => {
    const { sluice } = serverOf((request) => textOf(request).then(() => json({})));
    await expect(sluice.stream(aText, ["a", { b: 1 }] as never)).rejects.toThrow(TypeError);
  });

  test("a refusal is thrown, is not tried again and closes the source", async () => {
    const { sluice, requests } = serverOf(async ({ init }) => {
      await (init.body as ReadableStream).getReader().read();
      return problem(403, "forbidden");
    });
    const source = sourceOf(["a", "b"]);
    await expect(sluice.stream(aText, source)).rejects.toMatchObject({ code: "forbidden", status: 403 });
    expect(requests).toHaveLength(1);
    await passes(() => expect(source.closed).toBe(true));
  });

  test("the signal ends it, also while the source has given nothing yet", async () => {
    for (const values of [[], ["a"]]) {
      const stop = new AbortController();
      const { sluice } = serverOf((request) => textOf(request).then(() => json({})));
      const source = sourceOf(values, () => new Promise(() => undefined));
      const done = sluice.stream(aText, source, { signal: stop.signal });
      setTimeout(() => stop.abort("enough"), 5);
      await expect(done).rejects.toBe("enough");
    }
  });

  test("a signal that has aborted already ends it", async () => {
    const { sluice, requests } = serverOf(done);
    const source = sourceOf([], () => new Promise(() => undefined));
    await expect(sluice.stream(aText, source, { signal: AbortSignal.abort("enough") })).rejects.toBe("enough");
    expect(requests).toHaveLength(0);
  });

  test("what is no source is refused", async () => {
    await expect(serverOf(done).sluice.stream(aText, { length: 1 } as never)).rejects.toThrow(TypeError);
  });
});

describe("a text that is cut", () => {
  const cut = (): Promise<never> => Promise.reject(new TypeError("fetch failed"));
  const state = (state: string, offset: number, attempt = 1): Response =>
    new Response(null, { headers: { "Stream-State": state, "Stream-Offset": String(offset), "Stream-Attempt": String(attempt) } });
  const query = ({ path }: Request): Record<string, string> => Object.fromEntries(new URLSearchParams(path.split("?")[1]));

  /**
   * A server that takes a number of bytes from each request and then breaks the connection.
   *
   * @param heads what it says of the text, in turn, if not what it has got
   */
  function cutting(bytes: number, options: Partial<ServerOptions> = {}, heads: (() => Response | Promise<Response>)[] = []) {
    let got = "";
    const log: string[] = [];
    const server = serverOf(
      async (request) => {
        const { method, init } = request;
        const { attempt, offset } = query(request);
        log.push(method === "HEAD" ? method : `${method} ${attempt}@${offset}`);
        if (method === "HEAD") return heads.length ? heads.shift()!() : state("open", got.length);
        if (!init.body) return json({ stream_id: "s", duplicate: true });
        got = got.slice(0, Number(offset));
        let left = bytes;
        for await (const chunk of init.body as ReadableStream<Uint8Array>) {
          got += new TextDecoder().decode(chunk.subarray(0, left));
          if (chunk.length > left) return cut();
          left -= chunk.length;
        }
        return json({ stream_id: "s", text: got });
      },
      { retryMinMs: 0, ...options },
    );
    return { ...server, log };
  }

  test("goes on where the server is, for as long as there is progress", async () => {
    const { sluice, log } = cutting(2, { retries: 1 });
    expect(await sluice.stream(aText, sourceOf(["ab", "cd"]))).toMatchObject({ text: "abcd", duplicate: false });
    expect(log).toEqual(["POST 1@0", "HEAD", "POST 1@1", "HEAD", "POST 1@2"]);
  });

  test("is given up after so many failures without progress", async () => {
    const { sluice, log } = cutting(0, { retries: 2 });
    const source = sourceOf(["ab", "cd"]);
    await expect(sluice.stream(aText, source)).rejects.toMatchObject({ code: "network", status: 0 });
    expect(log).toEqual(["POST 1@0", "HEAD", "POST 1@0", "HEAD", "POST 1@0"]);
    expect(source.taken).toBe(1);
    await passes(() => expect(source.closed).toBe(true));
  });

  test("is asked about again if there is no answer, and not if it is refused", async () => {
    const { sluice, log } = cutting(1, {}, [cut, () => problem(503, "draining"), () => new Response(null, { status: 403 })]);
    await expect(sluice.stream(aText, "ab")).rejects.toMatchObject({ code: "forbidden", status: 403 });
    expect(log).toEqual(["POST 1@0", "HEAD", "HEAD", "HEAD"]);
    await expect(cutting(1, {}, [() => new Response()]).sluice.stream(aText, "ab")).rejects.toMatchObject({ code: "invalid-answer" });
  });

  test("has its receipt if it was complete, and the answer was cut", async () => {
    const { sluice, log } = cutting(1, {}, [() => state("complete", 2)]);
    expect(await sluice.stream(aText, "ab")).toEqual({ stream_id: "s", duplicate: true });
    expect(log).toEqual(["POST 1@0", "HEAD", "POST 1@2"]);
  });

  test("begins again if the server does not know it, or has aborted it", async () => {
    const { sluice, log } = cutting(2, {}, [
      () => problem(404, "not-found"),
      () => state("aborted", 1),
      () => state("complete", 9), // the attempt before
      () => state("open", 2, 2),
    ]);
    expect(await sluice.stream(aText, "abc", { streamId: "s", attempt: 1 })).toMatchObject({ text: "abc" });
    expect(log).toEqual(["POST 1@0", "HEAD", "POST 1@0", "HEAD", "POST 2@0", "HEAD", "POST 2@0", "HEAD", "POST 2@1"]);
  });

  test("is lost if the server has lost what it had confirmed", async () => {
    const { sluice, log } = cutting(1_200_000, {}, [() => state("open", 1 << 20), () => state("open", 100)]);
    await expect(sluice.stream(aText, "x".repeat(1_500_000))).rejects.toMatchObject({ code: "text-lost", status: 0 });
    expect(log).toEqual(["POST 1@0", "HEAD", "HEAD"]);
  });

  test("is still whole if it was aborted while there was no room for more", async () => {
    const log: string[] = [];
    let breakOff!: () => void;
    const broken = new Promise<never>((_, reject) => (breakOff = () => reject(new TypeError("fetch failed"))));
    const { sluice } = serverOf(
      async (request) => {
        const { method } = request;
        if (method === "POST") {
          log.push(`POST ${query(request).attempt}`);
          const read = textOf(request).then(({ length }) => json({ length }));
          return log.length === 1 ? Promise.race([read, broken]) : read;
        }
        if (log.at(-1) === "POST 2") return state("open", 1 << 20, 2);
        log.push(method);
        if (log.length === 3) breakOff();
        return log.length === 2 ? state("open", 0) : state("aborted", 1 << 20);
      },
      { retryMinMs: 1, retryMaxMs: 1 },
    );
    const length = (1 << 20) + 1000;
    expect(await sluice.stream(aText, "x".repeat(length))).toMatchObject({ length });
    expect(log.at(-1)).toBe("POST 2");
  });

  test("is somebody else's if there is a higher attempt", async () => {
    const { sluice } = cutting(1, {}, [() => state("open", 0, 2)]);
    await expect(sluice.stream(aText, "ab")).rejects.toMatchObject({ code: "superseded", status: 409 });
  });

  test("goes on before the offset that was refused, if the server has lost something", async () => {
    const answers: Answer[] = [
      cut,
      () => state("open", 2),
      () => problem(409, "conflict"),
      () => state("open", 1),
      async (request) => json({ text: await textOf(request), ...query(request) }),
    ];
    const { sluice } = serverOf(answers, { retryMinMs: 0 });
    async function* source() {
      yield "abc";
    }
    // What was not sent before is not left out.
    expect(await sluice.stream(aText, source())).toMatchObject({ offset: "0", text: "abc" });
  });

  test("is a conflict if somebody else is at the attempt, unless that may be another one", async () => {
    const answers: Answer[] = [() => problem(409, "conflict"), () => state("open", 7)];
    const given = serverOf(answers, { retryMinMs: 0 });
    await expect(given.sluice.stream(aText, "ab", { streamId: "s", attempt: 1 })).rejects.toMatchObject({ code: "conflict", status: 409 });
    expect(given.requests.map(({ method }) => method)).toEqual(["POST", "HEAD"]);
    const own = serverOf([...answers, async (request) => json({ text: await textOf(request), ...query(request) })], { retryMinMs: 0 });
    expect(await own.sluice.stream(aText, "ab")).toMatchObject({ attempt: "2", offset: "0", text: "ab" });
  });

  test("is taken back once from a request that was cut and came late", async () => {
    const late: Answer[] = [cut, () => state("open", 1), () => problem(409, "conflict"), () => state("open", 2)];
    const { sluice, requests } = serverOf([...late, async (request) => json({ text: await textOf(request), ...query(request) })], {
      retryMinMs: 0,
    });
    expect(await sluice.stream(aText, "ab", { streamId: "s", attempt: 1 })).toMatchObject({ attempt: "1", offset: "0", text: "ab" });
    expect(requests).toHaveLength(5);
    const other = serverOf([...late, () => problem(409, "conflict"), () => state("open", 2)], { retryMinMs: 0 });
    await expect(other.sluice.stream(aText, "ab", { streamId: "s", attempt: 1 })).rejects.toMatchObject({ code: "conflict", status: 409 });
    expect(other.requests.map(({ method }) => method)).toEqual(["POST", "HEAD", "POST", "HEAD", "POST", "HEAD"]);
  });

  test("does not wait any longer when the signal aborts", async () => {
    vi.useFakeTimers();
    const { sluice } = cutting(1, { retryMinMs: 60_000, retryMaxMs: 60_000 });
    const stop = new AbortController();
    const done = sluice.stream(aText, "ab", { signal: stop.signal });
    done.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1);
    stop.abort("enough");
    await expect(done).rejects.toBe("enough");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("goes on if the connection is dead, and was never closed", async () => {
    vi.useFakeTimers();
    let posts = 0;
    const { sluice, requests } = serverOf(
      (request) => {
        if (request.method === "HEAD") return state("open", 1);
        if (++posts === 2) return textOf(request).then((text) => json({ text }));
        void (request.init.body as ReadableStream).getReader().read();
        return new Promise(() => undefined);
      },
      { timeoutMs: 1000, retryMinMs: 0 },
    );
    const done = sluice.stream(aText, ["ab"]);
    await vi.advanceTimersByTimeAsync(1501);
    expect(await done).toMatchObject({ text: "ab" });
    expect(requests.map(({ method }) => method)).toEqual(["POST", "HEAD", "HEAD", "HEAD", "POST"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("has attempts that are whole numbers from 1", async () => {
    const { sluice, requests } = serverOf(cut);
    for (const attempt of [0, -1, 1.5, NaN]) {
      await expect(sluice.stream(aText, "a", { streamId: "s", attempt })).rejects.toThrow(TypeError);
      expect(() => sluice.run("c", "r", { attempt })).toThrow(TypeError);
    }
    expect(requests).toHaveLength(0);
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
    expect(await sluice.stream(run42.late, ["a", "b"])).toHaveLength(2);
    expect(await sluice.stream(run42.late, [])).toEqual([]);
    expect(await sluice.stream(run42.late, ["bad"])).toMatchObject([{ code: "schema-violation" }]);
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
    await passes(() => expect(source.taken).toBeGreaterThan(500));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(source.taken).toBeLessThanOrEqual(513);
    stop.abort("enough");
    await expect(done).rejects.toBe("enough");
  });

  test("it goes on when answers make room", async () => {
    vi.useFakeTimers(); // answers that a busy machine delays would count as missing
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
    const done = sluice.stream(
      anything,
      Array.from({ length: 2000 }, (_, i) => ({ i })),
    );
    await vi.advanceTimersByTimeAsync(5000);
    expect(await done).toHaveLength(2000);
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
    await passes(() => expect(source.closed).toBe(true));
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
    const source = sourceOf([{}], () => (stop.abort("enough"), new Promise((resolve) => setTimeout(resolve, 20))));
    await expect(sluice.stream(anything, source, { signal: stop.signal })).rejects.toBe("enough");
    await passes(() => expect(source.closed).toBe(true));
  });

  test("an answer that is no JSON breaks it off", async () => {
    const { sluice } = serverOf(() => new Response("<html>\n"));
    await expect(sluice.stream(anything, [{}])).rejects.toMatchObject({ code: "network" });
  });
});
