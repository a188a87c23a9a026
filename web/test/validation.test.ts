import { channel, staticSchema, subscribe, type Message } from "../src/index.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { server, tick } from "./support/server.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("validation", () => {
  const issues = { issues: [{ message: "no" }] };
  const schemaOf = <T>(validate: (value: unknown) => T) => ({ "~standard": { version: 1, vendor: "test", validate } }) as const;

  async function run(validate: (value: unknown) => never, data: unknown[], options: object = {}) {
    const s = server();
    const typed = channel({ name: "c", topics: { t: { schema: schemaOf(validate) } } });
    const got: unknown[] = [];
    const invalid: unknown[] = [];
    const sub = subscribe({
      url: "http://sluice",
      fetch: s.fetch,
      channel: typed,
      onMessage: (message: Message) => got.push(message.kind === "data" && message.data),
      onInvalid: ({ code, cause }, message) => invalid.push([code, cause, message.id]),
      ...options,
    });
    await tick();
    s.last.open();
    data.forEach((each, i) => s.last.message(`e-${i + 1}`, each));
    await tick(1000);
    sub.close();
    return { got, invalid, snapshot: sub.getSnapshot() };
  }

  test("hands over what the schema makes of the data", async () => {
    const { got } = await run((value) => ({ value: Number(value) * 2 }) as never, ["1", "2"]);
    expect(got).toEqual([2, 4]);
  });

  test("tells of what breaks the schema and goes on", async () => {
    const { got, invalid, snapshot } = await run((value) => (value === 2 ? issues : { value }) as never, [1, 2, 3]);
    expect(got).toEqual([1, 3]);
    expect(invalid).toEqual([["invalid-message", issues.issues, "e-2"]]);
    expect(snapshot).toMatchObject({ position: "e-3", last: { data: 3 } });
  });

  test("keeps the order when the schema takes its time", async () => {
    const slow = (value: unknown): Promise<unknown> =>
      new Promise((resolve) => setTimeout(() => resolve(value === 2 ? issues : { value }), 100 - 10 * Number(value)));
    const { got, invalid } = await run(slow as never, [1, 2, 3]);
    expect(got).toEqual([1, 3]);
    expect(invalid).toHaveLength(1);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("oops");
      },
    ],
    ["fails later", () => Promise.reject(new Error("oops"))],
  ])("a schema that %s finds the message invalid", async (_, validate) => {
    const { got, invalid } = await run(validate as never, [1, 2]);
    expect(got).toEqual([]);
    expect(invalid).toEqual([
      ["invalid-message", [{ message: "Error: oops" }], "e-1"],
      ["invalid-message", [{ message: "Error: oops" }], "e-2"],
    ]);
  });

  test("can be turned off", async () => {
    const { got } = await run(() => issues as never, [1], { validate: false });
    expect(got).toEqual([1]);
  });

  test("is not for topics of another channel, and not for those without a schema", async () => {
    const s = server();
    const strict = channel({ name: "strict", topics: { t: { schema: schemaOf(() => issues) } } });
    const free = channel({ name: "free", topics: { t: { schema: staticSchema<number>() } } });
    const got: unknown[] = [];
    const sub = subscribe({ url: "http://sluice", fetch: s.fetch, channels: [strict, free], onMessage: ({ id }) => got.push(id) });
    await tick();
    s.last.open().message("e-1", 1, { channel: "free" }).message("e-2", 2, { channel: "strict" });
    for (const [i, topic] of ["u", "constructor", "__proto__", "toString"].entries())
      s.last.message(`e-${i + 3}`, 1, { channel: "strict", topic });
    await tick();
    expect(got).toEqual(["e-1", "e-3", "e-4", "e-5", "e-6"]);
    sub.close();
  });

  test("a family's schema holds for its channels", async () => {
    const s = server();
    const family = channel({
      name: ({ id }: { id: string }) => `p:${id}`,
      topics: { t: { schema: schemaOf((value) => ({ value: `<${String(value)}>` })) } },
    });
    const got: unknown[] = [];
    const sub = subscribe({
      url: "http://sluice",
      fetch: s.fetch,
      channel: family,
      onMessage: (message) => got.push(message.kind === "data" && message.data),
    });
    await tick();
    s.last.open().message("e-1", 1, { channel: "p:1" }).message("e-2", 2, { channel: "p:2" });
    await tick();
    expect(got).toEqual(["<1>", "<2>"]);
    sub.close();
  });
});
