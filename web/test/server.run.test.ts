import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { staticSchema, text, type Receipt } from "../src/index.js";
import type { AskOptions } from "../src/server/index.js";
import { accept, json, problem, receipt, run42, serverOf, type Answer, type Request } from "./server.harness.js";
import { passes } from "./support/patience.js";

describe("the key of a step", () => {
  const keys = JSON.parse(readFileSync(new URL("../../client/testdata/wire/keys.json", import.meta.url), "utf8")) as {
    run: string;
    step: string;
    key: string;
  }[];

  test.each(keys)("$run and $step", async ({ run, step, key }) => {
    const { sluice, requests } = serverOf(accept);
    await sluice.run(run42, run).publish(step, run42.tokens, { token: "x" });
    expect(JSON.parse(requests[0]!.body!)).toMatchObject({ idempotency_key: key, run_id: run });
  });

  test("there are some, of both kinds", () => {
    expect(keys.length).toBeGreaterThan(5);
    expect(keys.some(({ key }) => key.startsWith("run:sha256:") && key.length === 75)).toBe(true);
  });
});

describe("the text of a step", () => {
  const ids = JSON.parse(readFileSync(new URL("../../client/testdata/wire/text-ids.json", import.meta.url), "utf8")) as {
    run: string;
    step: string;
    id: string;
  }[];
  const aText = { channel: "c", topic: "t", ...text() };
  const state = (state: string, attempt: number): Response =>
    new Response(null, { headers: { "Stream-State": state, "Stream-Offset": "7", "Stream-Attempt": String(attempt) } });

  /** A server that knows a text. */
  function knowing(head: Answer) {
    return serverOf(async (request) => {
      if (request.method === "HEAD") return head(request);
      const body = request.init.body ? await new Response(request.init.body).text() : null;
      return json({ body, ...Object.fromEntries(new URLSearchParams(request.path.split("?")[1])) });
    });
  }

  test.each(ids)("is named after $run and $step", async ({ run, step, id }) => {
    const { sluice, requests } = knowing(() => problem(404, "not-found"));
    expect(await sluice.run(run42, run).stream(step, aText, "x")).toMatchObject({ stream_id: id, run_id: run });
    const query = new URLSearchParams({ channel: "c", topic: "t", stream_id: id });
    expect([requests[0]!.method, requests[0]!.path]).toEqual(["HEAD", `/base/v1/publish/$/$/stream?${query}`]);
    expect(id).toMatch(/^[\w.:-]{1,64}$/);
  });

  test("has ids of both kinds, and none twice", () => {
    expect(new Set(ids.map(({ id }) => id)).size).toBe(ids.length);
    expect(ids.some(({ id }) => id.startsWith("h:") && id.length === 34)).toBe(true);
    expect(ids.some(({ run, step, id }) => id === `${run}:${step}`)).toBe(true);
  });

  test.each<[string, Answer, number | undefined, string]>([
    ["a text that is not known", () => problem(404, "not-found"), undefined, "1"],
    ["an open one", () => state("open", 3), undefined, "4"],
    ["an aborted one", () => state("aborted", 3), undefined, "4"],
    ["an open one, in an attempt that was given", () => state("open", 3), 5, "5"],
    ["a text that is not known, in an attempt that was given", () => problem(404, "not-found"), 5, "5"],
  ])("%s: the attempt", async (_, head, given, attempt) => {
    const { sluice } = knowing(head);
    const run = sluice.run("c", "r", given === undefined ? {} : { attempt: given });
    expect(await run.stream("s", aText, "x")).toMatchObject({ attempt, offset: "0", body: "x" });
  });

  test.each([undefined, 1, 9])("is not written again if it is complete, in attempt %s", async (attempt) => {
    const { sluice } = knowing(() => state("complete", 3));
    let closed = false;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error("taken")),
        return: async () => ((closed = true), { done: true }),
      }),
    } as unknown as AsyncIterable<string>;
    expect(await sluice.run("c", "r", { attempt }).stream("s", aText, source)).toMatchObject({ attempt: "3", offset: "7", body: null });
    expect(closed).toBe(true);
  });

  test("is asked about until there is an answer, and refused with the server's reason", async () => {
    let heads = 0;
    const { sluice } = serverOf(
      ({ method }) => (method === "HEAD" && ++heads < 3 ? problem(503, "draining") : new Response(null, { status: 403 })),
      { retryMinMs: 1 },
    );
    await expect(sluice.run("c", "r").stream("s", aText, "x")).rejects.toMatchObject({ code: "forbidden", status: 403 });
    expect(heads).toBe(3);
  });
});

describe("a run", () => {
  test("reports its states", async () => {
    const { sluice, requests } = serverOf(() => json(receipt({ kind: "run" })));
    const run = sluice.run(run42, "r");
    await run.start();
    await run.complete({ rows: 3 });
    await run.complete();
    await run.fail(new Error("out of memory"));
    await run.fail({ code: 7 });
    await run.cancel();
    expect(requests.map(({ method, path }) => [method, path])).toEqual(
      Array(6).fill(["PUT", "/base/v1/channels/$/run?channel=pipeline%3A42"]),
    );
    expect(requests.map(({ body }) => JSON.parse(body!))).toEqual([
      { status: "running", run_id: "r" },
      { status: "completed", run_id: "r", result: { rows: 3 } },
      { status: "completed", run_id: "r" },
      { status: "failed", run_id: "r", error: "out of memory" },
      { status: "failed", run_id: "r", error: { code: 7 } },
      { status: "cancelled", run_id: "r" },
    ]);
    expect([run.channel, run.id, sluice.run("by:name", "r").channel]).toEqual(["pipeline:42", "r", "by:name"]);
  });

  test("another end is a conflict; what JSON cannot express is refused", async () => {
    const { sluice, requests } = serverOf(() => problem(409, "conflict"));
    await expect(sluice.run(run42, "r").cancel()).rejects.toMatchObject({ code: "conflict" });
    await expect(sluice.run(run42, "r").complete(1n)).rejects.toMatchObject({ code: "malformed" });
    expect(requests).toHaveLength(1);
  });

  test("is repeated when no answer came", async () => {
    const { sluice } = serverOf([() => Promise.reject(new TypeError("fetch failed")), () => json(receipt({ kind: "run" }))], {
      retryMinMs: 1,
    });
    await expect(sluice.run(run42, "r").complete()).resolves.toMatchObject({ kind: "run" });
  });
});

describe("ask", () => {
  const question: Receipt = receipt({ id: "e-10" }) as Receipt;
  const answer = (id: string, data: unknown, changes = {}): object => ({ ...receipt(), id, topic: "answer", data, ...changes });
  const page =
    (messages: object[], next: string | null = null, gap = false): Answer =>
    () =>
      json({ messages, first_id: null, last_id: null, gap, next });
  const yes = { ok: true, at: "noon" };

  /** A server that has published the question and answers the reads in turn, and then with a stream. */
  function asked(history: readonly Answer[], events: readonly [type: string, id: string, data: unknown][] = []) {
    const reads = [...history];
    const streams: Request[] = [];
    const server = serverOf((request) => {
      if (request.method === "POST") return json(question, 201);
      if (request.path.startsWith("/base/v1/subscribe")) {
        streams.push(request);
        return streamOf(events, request);
      }
      return reads.length > 1 ? reads.shift()!(request) : reads[0]!(request);
    });
    const ask = (options: Partial<AskOptions<{ ok: boolean; at: number }>> = {}) =>
      server.sluice.run(run42, "r").ask("approve", run42.status, { message: "Go on?" }, { reply: run42.answer, ...options });
    return { ...server, streams, ask };
  }

  function streamOf(events: readonly [type: string, id: string, data: unknown][], { init }: Request): Response {
    const open: [string, string, unknown] = ["$open", "e-10", { id: "e-10", resumed: true, channels: [] }];
    const text = [open, ...events].map(([type, id, data]) => `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`).join("");
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(text));
        init.signal?.addEventListener("abort", () => controller.error(init.signal!.reason));
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  test("finds the answer that is there, as its schema makes it, without a stream", async () => {
    const { ask, requests, streams } = asked([page([answer("e-11", yes)])]);
    expect(await ask()).toEqual({ ok: true, at: 4 });
    expect(JSON.parse(requests[0]!.body!)).toMatchObject({ topic: "status", idempotency_key: "run:r:approve", run_id: "r" });
    expect(requests[1]!.path).toBe("/base/v1/channels/$/messages?channel=pipeline%3A42&topic=answer&after=e-10&limit=1000");
    expect(streams).toHaveLength(0);
  });

  test("turns the pages, and passes over what is no answer", async () => {
    const other = [
      answer("e-11", { ok: 1 }),
      answer("e-12", { ok: false, at: "" }),
      answer("e-13", "text", { kind: "chunk", stream_id: "s" }),
    ];
    const { ask, requests } = asked([page(other, "next"), page([answer("e-14", yes)])]);
    expect(await ask({ match: ({ ok }) => ok })).toEqual({ ok: true, at: 4 });
    expect(new URLSearchParams(requests[2]!.path.split("?")[1]).get("after")).toBe("next");
  });

  test("a piece of a text is no answer, even if all is one", async () => {
    const reply = { ...run42.answer, schema: staticSchema<unknown>() };
    const { sluice } = asked([page([answer("e-11", "piece", { kind: "chunk", stream_id: "s" }), answer("e-12", null)])]);
    expect(await sluice.run(run42, "r").ask("s", run42.status, { message: "" }, { reply })).toBe(null);
  });

  test("then waits for it, from where it has looked", async () => {
    const { ask, streams } = asked(
      [page([answer("e-11", { ok: false, at: "" })])],
      [
        ["answer", "e-12", answer("e-12", "nonsense")],
        ["answer", "e-13", answer("e-13", { ok: false, at: "" })],
        ["answer", "e-14", answer("e-14", yes)],
        ["answer", "e-15", answer("e-15", { ok: true, at: "" })],
      ],
    );
    expect(await ask({ match: ({ ok }) => ok })).toEqual({ ok: true, at: 4 });
    expect(streams).toHaveLength(1);
    expect(streams[0]!.path).toBe("/base/v1/subscribe?channel=pipeline%3A42&topic=answer");
    expect(streams[0]!.headers).toMatchObject({ "Last-Event-ID": "e-11", Authorization: "Bearer key" });
    await passes(() => expect(streams[0]!.init.signal!.aborted).toBe(true)); // the stream is left
  });

  test("another channel may answer, and a message of the same topic on the run's own is none", async () => {
    const reply = { channel: "user:7", topic: "answer", schema: staticSchema<{ ok: boolean; at: number }>() };
    const { ask, streams, requests } = asked(
      [page([])],
      [
        ["$gap", "e-11", { channel: "pipeline:42", after: "e-10", resumes_at: null, reason: "overrun" }], // hides no answer
        ["$run", "e-11", { ...answer("e-11", { status: "cancelled" }), channel: "user:7", topic: "$run", kind: "run" }], // of another job
        ["answer", "e-12", answer("e-12", { ok: false, at: 0 })],
        ["answer", "e-13", answer("e-13", { ok: true, at: 1 }, { channel: "user:7" })],
      ],
    );
    expect(await ask({ reply })).toEqual({ ok: true, at: 1 });
    expect(requests[1]!.path).toMatch(/^\/base\/v1\/channels\/\$\/messages\?channel=user%3A7&/);
    const query = new URLSearchParams(streams[0]!.path.split("?")[1]);
    expect([query.getAll("channel").sort(), query.getAll("topic")]).toEqual([["pipeline:42", "user:7"], ["answer"]]);
  });

  test("a gap that the answer may be in is an error, among what is held and in the stream", async () => {
    await expect(asked([page([answer("e-11", yes)], null, true)]).ask()).rejects.toMatchObject({ code: "gap" });
    const gap = { channel: "pipeline:42", after: "e-10", resumes_at: null, reason: "restarted" };
    const inStream = asked(
      [page([])],
      [
        ["$gap", "f-1", gap],
        ["answer", "f-2", answer("f-2", yes)],
      ],
    );
    await expect(inStream.ask()).rejects.toMatchObject({ code: "gap", message: /pipeline:42/ });
  });

  const status = (value: string, run_id?: string): [string, string, object] => [
    "$run",
    "e-11",
    { ...answer("e-9", { status: value }), topic: "$run", kind: "run", ...(run_id && { run_id }) },
  ];

  test.each([status("cancelled", "r"), status("failed", "r"), status("completed")])("the end of the run ends it: %j", async (...event) => {
    await expect(asked([page([])], [event as never]).ask()).rejects.toMatchObject({ code: "run-ended" });
  });

  test("the state of another run, or that it is on, does not", async () => {
    for (const event of [status("cancelled", "before"), status("running", "r")]) {
      expect(await asked([page([])], [event, ["answer", "e-12", answer("e-12", yes)]]).ask()).toMatchObject({ ok: true });
    }
  });

  test("a time-out counts from the call, and leaves nothing behind", async () => {
    const waits = asked([page([])]);
    await expect(waits.ask({ timeout: 20 })).rejects.toMatchObject({
      code: "timeout",
      status: 0,
      message: /answer of pipeline:42 within 20 ms/,
    });
    // On a slow machine, the time may be over before there is a stream.
    await passes(() => expect(waits.streams.every(({ init }) => init.signal!.aborted)).toBe(true));
    const silent = serverOf(() => new Promise(() => undefined));
    const ask = silent.sluice.run(run42, "r").ask("s", run42.status, { message: "" }, { reply: run42.answer, timeout: 20 });
    await expect(ask).rejects.toMatchObject({ code: "timeout" });
  });

  test("the signal ends each wait", async () => {
    for (const history of [page([]), (() => new Promise<Response>(() => undefined)) as Answer]) {
      const stop = new AbortController();
      const ask = asked([history]).ask({ signal: stop.signal });
      setTimeout(() => stop.abort("enough"), 10);
      await expect(ask).rejects.toBe("enough");
    }
  });

  test("what match throws is thrown, from what is held and from the stream", async () => {
    const fault = new Error("no match");
    const match = (): never => {
      throw fault;
    };
    await expect(asked([page([answer("e-11", yes)])]).ask({ match })).rejects.toBe(fault);
    await expect(asked([page([])], [["answer", "e-12", answer("e-12", yes)]]).ask({ match })).rejects.toBe(fault);
  });

  test("a refusal is thrown", async () => {
    await expect(asked([() => problem(403, "forbidden")]).ask()).rejects.toMatchObject({ code: "forbidden" });
    const { sluice } = serverOf([() => json(question), page([]), () => problem(401, "unauthorized")]);
    const ask = sluice.run(run42, "r").ask("s", run42.status, { message: "" }, { reply: run42.answer });
    await expect(ask).rejects.toMatchObject({ code: "unauthorized", status: 401 });
  });

  test("a question that breaks its schema is not asked", async () => {
    const { sluice, requests } = serverOf(accept);
    await expect(sluice.run(run42, "r").ask("s", run42.status, {} as never, { reply: run42.answer })).rejects.toMatchObject({
      code: "schema-violation",
    });
    expect(requests).toHaveLength(0);
  });
});
