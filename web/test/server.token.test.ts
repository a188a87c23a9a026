import { channel, staticSchema, text, type AnyChannel, type StandardSchema } from "../src/index.js";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { json, pipeline, problem, run42, serverOf } from "./server.harness.js";

describe("token", () => {
  const minted = {
    token: "t",
    token_type: "Bearer",
    jti: "j",
    expires_at: "2026-11-23T06:28:03.000Z",
    url: "https://…",
    subscribe_url: "https://…",
  };
  const bodyOf = async (request: Parameters<ReturnType<typeof serverOf>["sluice"]["token"]>[0]): Promise<unknown> => {
    const { sluice, requests } = serverOf(() => json(minted, 201));
    expect(await sluice.token(request)).toEqual(minted);
    expect([requests[0]!.method, requests[0]!.path]).toEqual(["POST", "/base/v1/tokens"]);
    return JSON.parse(requests[0]!.body!);
  };
  const other = channel({ name: "user:7", topics: { inbox: { schema: z.string() } } });
  const all = ["status", "tokens", "answer", "late"];

  test.each<[string, Parameters<typeof bodyOf>[0], unknown]>([
    ["a channel", { channel: run42, ttl: "5m" }, { channel: "pipeline:42", topics: all, ttl: "5m" }],
    ["topics of it", { channel: run42, topics: ["status"] }, { channel: "pipeline:42", topics: ["status"] }],
    ["presence", { channel: run42, presence: true }, { channel: "pipeline:42", topics: [...all, "$presence"] }],
    ["a pattern", { channel: "pipeline:*" }, { channel: "pipeline:*", topics: ["*"] }],
    [
      "a subject",
      { channel: run42, topics: ["status"], sub: "user-7" },
      { sub: "user-7", subscribe: [{ channel: "pipeline:42", topics: ["status"] }] },
    ],
    [
      "channels",
      { channels: [run42, other, "x:*"], ttl: "1h" },
      {
        ttl: "1h",
        subscribe: [
          { channel: "pipeline:42", topics: all },
          { channel: "user:7", topics: ["inbox"] },
          { channel: "x:*", topics: ["*"] },
        ],
      },
    ],
    [
      "publishing, by channel",
      { publish: [run42.answer, run42.late, other.inbox, run42.answer, { channel: "y:*", topic: "*" }] },
      {
        publish: [
          { channel: "pipeline:42", topics: ["answer", "late"] },
          { channel: "user:7", topics: ["inbox"] },
          { channel: "y:*", topics: ["*"] },
        ],
      },
    ],
  ])("grants %s", async (_, request, body) => {
    expect(await bodyOf(request)).toEqual(body);
  });
});

interface Body {
  readonly topics: {
    readonly topic?: { readonly schema?: unknown };
    readonly status: object;
    readonly answer: object;
    readonly tokens: object;
  };
}

describe("define", () => {
  const define = async (...args: Parameters<ReturnType<typeof serverOf>["sluice"]["define"]>): Promise<{ path: string; body: Body }> => {
    const { sluice, requests } = serverOf(() => json({ name: "n" }, 201));
    expect(await sluice.define(...args)).toEqual({ name: "n" });
    expect(requests[0]!.method).toBe("PUT");
    return { path: requests[0]!.path, body: JSON.parse(requests[0]!.body!) };
  };
  const one = (schema: StandardSchema, jsonSchema?: object): AnyChannel =>
    channel({ name: "n", topics: { topic: { schema, ...(jsonSchema && { jsonSchema }) } } });

  test("sends the template and what the validators say", async () => {
    const { path, body } = await define(pipeline, { strict: true, replay: { messages: 10, age: "1m" } });
    expect(path).toBe("/base/v1/schemas/$?name=pipeline%3A%7BrunId%7D");
    expect(body).toMatchObject({ strict: true, replay: { messages: 10, age: "1m" } });
    expect(Object.keys(body.topics)).toEqual(["status", "tokens", "answer", "late"]);
    expect(body.topics.tokens).toEqual({});
    expect(body.topics.status).toMatchObject({ schema: { type: "object", required: ["message"] } });
    expect(body.topics.answer).toMatchObject({ schema: { properties: { at: { type: "string" } } } }); // what is sent, not what becomes of it
    expect((await define(pipeline, { name: "other:{x}" })).path).toBe("/base/v1/schemas/$?name=other%3A%7Bx%7D");
  });

  test("the definition's own JSON Schema comes first, then the converter, then the validator's", async () => {
    const own = { type: "object" };
    const toJSONSchema = (): object => ({ const: "converted" });
    expect((await define(one(z.string(), own), { toJSONSchema })).body.topics.topic?.schema).toEqual(own);
    expect((await define(one(z.string()), { toJSONSchema })).body.topics.topic?.schema).toEqual({ const: "converted" });
    expect((await define(one(z.string()))).body.topics.topic?.schema).toMatchObject({ type: "string" });
    expect((await define(one(v.string()))).body.topics.topic).toEqual({});
    expect((await define(one(v.string()), { toJSONSchema: () => undefined })).body.topics.topic).toEqual({});
    expect((await define(one(staticSchema()), { toJSONSchema })).body.topics.topic).toEqual({});
  });

  test("the converters of Zod and of Valibot are asked for the input", async () => {
    const zod = z.object({ a: z.string().transform((text) => text.length), b: z.string().default("x") });
    const fromZod = (await define(one(zod), { toJSONSchema: z.toJSONSchema })).body.topics.topic?.schema;
    expect(fromZod).toMatchObject({ properties: { a: { type: "string" } }, required: ["a"] });
    // @valibot/to-json-schema takes these two of its options from the second argument.
    const asValibot = (_: unknown, { typeMode, target }: { typeMode?: "ignore" | "input" | "output"; target?: string }): object => ({
      typeMode,
      target,
    });
    const asked = (await define(one(v.string()), { toJSONSchema: asValibot })).body.topics.topic?.schema;
    expect(asked).toEqual({ typeMode: "input", target: "draft-2020-12" });
  });

  test("a merge rule is sent with the topic", async () => {
    const merge = { append: "/delta", key: ["/type", "/id"] };
    const parts = channel({ name: "n", topics: { parts: { schema: staticSchema<{ delta: string }>(), merge }, draft: text() } });
    expect((await define(parts)).body.topics).toEqual({ parts: { merge }, draft: {} });
  });

  test("a schema that cannot be expressed is an error that says what to do", async () => {
    const { sluice, requests } = serverOf(() => json({}));
    await expect(sluice.define(one(z.object({ at: z.date() })))).rejects.toMatchObject({
      code: "bad-schema",
      status: 0,
      message: /topic.*jsonSchema/,
    });
    expect(requests).toHaveLength(0);
  });

  test("a pattern that the server cannot read is left to the format beside it", async () => {
    const jsonSchema = (schema: object): AnyChannel => {
      const standard = { version: 1, vendor: "v", validate: () => ({ value: 1 }), jsonSchema: { input: () => schema } } as const;
      return one({ "~standard": standard });
    };
    const node = {
      properties: {
        a: { format: "email", pattern: "^(?!\\.)x" },
        b: { format: "email", pattern: "^(?:x)$" },
        c: { pattern: "(?=x)" },
        d: { anyOf: [{ format: "duration", pattern: "(?<!x)" }] },
        pattern: { type: "string" },
        format: { const: { format: "f", pattern: "(?=x)" } },
      },
    };
    expect((await define(jsonSchema(node))).body.topics.topic?.schema).toEqual({
      properties: { ...node.properties, a: { format: "email" }, d: { anyOf: [{ format: "duration" }] } },
    });
  });

  test("a refusal names the faults", async () => {
    const { sluice } = serverOf(() => problem(422, "bad-schema"));
    await expect(sluice.define(pipeline)).rejects.toMatchObject({ code: "bad-schema", status: 422 });
  });
});
