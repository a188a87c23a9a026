// What the errors say after the mistakes that everybody makes at first.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { channel, staticSchema, subscribe } from "../src/index.js";
import { publish } from "../src/publish.js";
import { createServer } from "../src/server/index.js";
import { follow } from "./support/follow.js";
import { server, tick, type Exchange } from "./support/server.js";

const PAGE = "http://localhost:3000";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Makes this a page of another origin than the server's. */
function onPage(origin = PAGE): void {
  vi.stubGlobal("location", new URL(origin));
}

const notFound = (): Response => new Response("<h1>Not Found</h1>", { status: 404, headers: { "Content-Type": "text/html" } });

describe("a subscription", () => {
  async function errorOf(answer: (exchange: Exchange) => void, url?: string) {
    const s = server(answer);
    const sub = subscribe({ url, fetch: s.fetch, token: "t", channel: "c" });
    await tick();
    await tick();
    const { status, error } = sub.getSnapshot();
    sub.close();
    return { connection: status, code: error?.code, status: error?.status, message: error?.message };
  }

  test("without a url, where the page's own server knows nothing of it", async () => {
    onPage();
    const message = "No Sluice at http://localhost:3000: is `url` set?";
    expect(await errorOf((e) => e.respond(notFound()))).toMatchObject({ status: 404, message });
    const page = (): Response => new Response("<html>", { headers: { "Content-Type": "text/html" } });
    expect(await errorOf((e) => e.respond(page()))).toMatchObject({ code: "network", message });
  });

  test("to a server that is down, or that does not allow the page's origin", async () => {
    const url = "http://127.0.0.1:8080/base";
    expect(await errorOf((e) => e.fail(), url)).toMatchObject({
      code: "network",
      message: "No Sluice at http://127.0.0.1:8080: is it up?",
    });
    onPage();
    expect(await errorOf((e) => e.fail(), url)).toMatchObject({
      message: "No Sluice at http://127.0.0.1:8080: is it up, with --cors-origins http://localhost:3000?",
    });
    onPage("http://127.0.0.1:8080");
    expect(await errorOf((e) => e.fail(), url)).toMatchObject({ message: "No Sluice at http://127.0.0.1:8080: is it up?" });
  });

  test("that has been connected says that the connection is lost", async () => {
    onPage();
    const s = server((exchange, count) => count > 1 && exchange.fail());
    const { sub } = follow(s);
    await tick();
    s.last.open();
    await tick();
    s.last.break();
    for (let n = 0; n < 3; n++) {
      await tick(1000);
      expect(sub.getSnapshot()).toMatchObject({ status: "connecting", error: { message: "Connection lost" } });
    }
    expect(s.requests.length).toBeGreaterThan(2);
    sub.close();
  });
});

const ref = channel({ name: "c", topics: { t: { schema: staticSchema<number>() } } }).t;

test("a publish from a page", async () => {
  onPage();
  await expect(publish(ref, 1, { fetch: async () => notFound() })).rejects.toMatchObject({
    status: 404,
    message: "No Sluice at http://localhost:3000: is `url` set?",
  });
  const fetch = (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));
  await expect(publish(ref, 1, { url: "http://127.0.0.1:8080", fetch })).rejects.toMatchObject({
    code: "network",
    message: "No Sluice at http://127.0.0.1:8080: is it up, with --cors-origins http://localhost:3000?",
  });
});

describe("createServer", () => {
  const unset = undefined as unknown as string; // process.env.SLUICE_URL!

  test("without what a variable should have set", () => {
    expect(() => createServer({ url: unset, apiKey: "k" })).toThrow(new TypeError("createServer needs a url: is SLUICE_URL set?"));
    expect(() => createServer({ url: "http://s", apiKey: unset })).toThrow(
      new TypeError("createServer needs an apiKey: is SLUICE_API_KEY set?"),
    );
  });

  test("with the address of something else, or of nothing", async () => {
    const options = { url: "http://127.0.0.1:8080/base", apiKey: "k", retries: 0 };
    const other = createServer({ ...options, fetch: async () => notFound() });
    await expect(other.publish(ref, 1)).rejects.toMatchObject({
      status: 404,
      message: "No Sluice at http://127.0.0.1:8080: is `url` set?",
    });
    const refused = new TypeError("fetch failed", { cause: Object.assign(new Error(), { code: "ECONNREFUSED" }) });
    const nobody = createServer({ ...options, fetch: () => Promise.reject(refused) });
    await expect(nobody.publish(ref, 1, { key: "k" })).rejects.toMatchObject({
      code: "network",
      message: "No answer from http://127.0.0.1:8080 (ECONNREFUSED)",
    });
    await expect(nobody.publish(ref, 1)).rejects.toMatchObject({
      message: expect.stringContaining("(ECONNREFUSED); it may have happened"),
    });
  });
});
