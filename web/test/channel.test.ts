import { channel, staticSchema } from "../src/index.js";
import { check, faultsOf } from "../src/schema.js";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";

const status = { schema: z.object({ message: z.string() }) };

describe("channel", () => {
  test("with a fixed name is a channel at once", () => {
    const log = channel({ name: "global:log", topics: { line: { schema: staticSchema<string>() }, status } });
    expect([log.$name, log.$template]).toEqual(["global:log", "global:log"]);
    expect(Object.keys(log.$topics)).toEqual(["line", "status"]);
    expect(log.status).toEqual({ channel: "global:log", topic: "status", schema: status.schema });
    expect(log.line.topic).toBe("line");
  });

  test("with parameters is a family", () => {
    const pipeline = channel({ name: ({ runId }: { runId: string }) => `pipeline:${runId}`, topics: { status } });
    expect(pipeline.$template).toBe("pipeline:{runId}");
    expect(pipeline.$topics).toEqual({ status });
    const run42 = pipeline({ runId: "42" });
    expect([run42.$name, run42.$template]).toEqual(["pipeline:42", "pipeline:{runId}"]);
    expect(run42.status).toEqual({ channel: "pipeline:42", topic: "status", schema: status.schema });
    expect(pipeline({ runId: "43" }).status.channel).toBe("pipeline:43");
    expect(run42.status.channel).toBe("pipeline:42");
  });

  test.each(["", "*", "a:b", "a*"])("a parameter %j would name another channel, or many, and is refused", (runId) => {
    const pipeline = channel({ name: ({ runId }: { runId: string }) => `pipeline:${runId}`, topics: {} });
    expect(() => pipeline({ runId })).toThrow(TypeError);
  });

  test("finds every parameter for the template, however the function takes them", () => {
    const family = channel({ name: (p: { org: string; thread: string }) => ["org", p.org, "thread", p["thread"]].join(":"), topics: {} });
    expect(family.$template).toBe("org:{org}:thread:{thread}");
    expect(family({ org: "a", thread: "7" }).$name).toBe("org:a:thread:7");
  });

  test("parameters may have the names of a function's own", () => {
    const family = channel({ name: (p: { name: string; length: string }) => `${p.name}/${p.length}`, topics: {} });
    expect(family.$template).toBe("{name}/{length}");
    expect(family({ name: "a", length: "b" }).$name).toBe("a/b");
  });

  test("topics may be called like anything that an object has", () => {
    const schema = staticSchema<number>();
    const odd = channel({ name: "odd", topics: { constructor: { schema }, toString: { schema }, name: { schema }, "a.b-c": { schema } } });
    for (const topic of ["constructor", "toString", "name", "a.b-c"] as const)
      expect(odd[topic]).toEqual({ channel: "odd", topic, schema });
    expect(odd.$name).toBe("odd");
  });
});

describe("schemas", () => {
  test("staticSchema accepts everything", async () => {
    expect(await check(staticSchema<string>(), 7)).toEqual({ value: 7 });
  });

  test.each([
    ["Zod", z.object({ a: z.array(z.object({ "x/y~z": z.string() })) })],
    ["Valibot", v.object({ a: v.array(v.object({ "x/y~z": v.string() })) })],
  ])("%s: says what is wrong and where", async (_, schema) => {
    const result = await check(schema, { a: [{ "x/y~z": "ok" }, { "x/y~z": 1 }] });
    expect(result.issues).toHaveLength(1);
    const [fault] = faultsOf(result as never);
    expect(fault!.pointer).toBe("/a/1/x~1y~0z");
    expect(fault!.detail).toMatch(/string/i);
    expect(faultsOf((await check(schema, 1)) as never)[0]!.pointer).toBe("");
  });

  test("a validator that throws, now or later, has found a fault", async () => {
    const throws = {
      "~standard": {
        version: 1,
        vendor: "",
        validate: () => {
          throw new Error("oops");
        },
      },
    } as const;
    const fails = { "~standard": { version: 1, vendor: "", validate: () => Promise.reject(new Error("oops")) } } as const;
    for (const schema of [throws, fails]) expect(await check(schema, 1)).toEqual({ issues: [{ message: "Error: oops" }] });
  });
});

describe("a name that would be another one", () => {
  const family = channel({ name: ({ runId, stage = "prod" }: { runId: string; stage?: string }) => `p:${stage}:${runId}`, topics: {} });

  test.each([[{ runId: undefined }], [{ runId: null }], [{}], [{ runID: "42" }]])("is refused: %j", (params) => {
    expect(() => family(params as never)).toThrow(TypeError);
  });

  test("but a parameter may have a default, be called null, or not be used", () => {
    expect(family({ runId: "42" }).$name).toBe("p:prod:42");
    expect(family({ runId: "null" }).$name).toBe("p:prod:null");
    expect(family({ runId: "42", other: undefined } as never).$name).toBe("p:prod:42");
    expect(family({ runId: 42 } as never).$name).toBe("p:prod:42");
  });

  test.each([".", "..", "a/..", "a/../b", "./a", "a/./b"])("is refused: %s", (name) => {
    expect(() => channel({ name, topics: {} })).toThrow(TypeError);
    const inner = channel({ name: ({ id }: { id: string }) => id, topics: {} });
    expect(() => inner({ id: name })).toThrow(TypeError);
  });

  test.each([".", ".."])("is refused for a topic: %s", (topic) => {
    expect(() => channel({ name: "a", topics: { [topic]: { schema: staticSchema() } } })).toThrow(TypeError);
  });

  test.each(["...", ".a", "a..b", "a/.b", "v1.2", "a/...", "a."])("is none: %s", (name) => {
    expect(channel({ name, topics: {} }).$name).toBe(name);
  });
});
