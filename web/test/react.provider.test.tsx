// @vitest-environment jsdom
import type { ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ConnectOptions } from "../src/index.js";
import { RealtimeProvider, useChannelState, useRealtime, type RealtimeOptions } from "../src/react/index.js";
import { begin, chunk, bye, cleanUp, opened, pipeline, ran, renderHook, run42, scriptedServer, settled, status } from "./react.harness.js";

afterEach(cleanUp);

const run43 = pipeline({ runId: "43" });

/** A provider whose options a test can change. */
function provided(options: ConnectOptions) {
  const server = scriptedServer();
  const props = { fetch: server.fetch, ...options };
  const Wrapper = ({ children }: { children: ReactNode }) => <RealtimeProvider {...props}>{children}</RealtimeProvider>;
  return { server, props, Wrapper };
}

const bearer = (server: ReturnType<typeof scriptedServer>): unknown => server.stream.headers.get("authorization");

describe("RealtimeProvider", () => {
  it("gives the hooks below it one connection", async () => {
    const { server, Wrapper } = provided({ url: "https://a.example/base/", token: () => "t" });
    const hook = await renderHook(() => [run42, run43].map((channel) => useRealtime({ channel }).messages.all.length), undefined, {
      Wrapper,
    });
    expect(server.streams).toHaveLength(1);
    expect(server.stream.url.href).toMatch(/^https:\/\/a\.example\/base\/v1\/subscribe/);
    expect(server.stream.url.searchParams.getAll("channel")).toEqual(["pipeline:42", "pipeline:43"]);
    expect(bearer(server)).toBe("Bearer t");
    server.stream.send(opened(), status(1, "a", "pipeline:42"), status(2, "b", "pipeline:43"), status(3, "c", "pipeline:43"));
    await settled();
    expect(hook.now).toEqual([1, 2]);
  });

  it("stays one when its own options come inline, and takes the latest token", async () => {
    const { server, props, Wrapper } = provided({ url: new URL("https://a.example"), token: () => "one" });
    const hook = await renderHook(() => useRealtime({ channel: run42 }).messages.all.length, 1, { Wrapper });
    server.stream.send(opened(), status(1, "a"));
    await settled();
    Object.assign(props, {
      url: new URL("https://a.example"),
      token: () => ({ token: "two" }),
      fetch: (...args: Parameters<typeof fetch>) => server.fetch(...args),
    });
    await hook.rerender(2);
    expect(server.streams).toHaveLength(1);
    server.stream.send(bye(2, 4001, true));
    await expect.poll(() => server.streams.length).toBe(2);
    expect(bearer(server)).toBe("Bearer two");
    expect(hook.now).toBe(1);
  });

  it("does not render its hooks again when it is", async () => {
    const { props, Wrapper } = provided({ url: "https://a.example", token: "t" });
    const renders = vi.fn();
    function Child() {
      useRealtime({ channel: run42 });
      renders();
      return null;
    }
    const child = <Child />;
    const hook = await renderHook(() => undefined, 1, {
      Wrapper: ({ children }) => (
        <Wrapper>
          {child}
          {children}
        </Wrapper>
      ),
    });
    Object.assign(props, { token: "u" });
    await hook.rerender(2);
    expect(renders).toHaveBeenCalledTimes(1);
  });

  it("begins anew with another url", async () => {
    const { server, props, Wrapper } = provided({ url: "https://a.example", token: "t" });
    const hook = await renderHook(() => useRealtime({ channel: run42 }).messages.all.length, 1, { Wrapper });
    server.stream.send(opened(), status(1, "a"));
    await settled();
    Object.assign(props, { url: "https://b.example" });
    await hook.rerender(2);
    expect(server.live().map(({ url }) => url.host)).toEqual(["b.example"]);
    expect(hook.now).toBe(0);
  });

  const shareTabs = vi.fn((source) => source);
  it.each<{ name: string; options: RealtimeOptions<typeof run42>; host: string; token: string | null; tabs: number }>([
    { name: "its url, token and tabs", options: {}, host: "a.example", token: "Bearer secret", tabs: 1 },
    {
      name: "them to options that are undefined",
      options: { url: undefined, token: undefined },
      host: "a.example",
      token: "Bearer secret",
      tabs: 1,
    },
    { name: "its token to no other server", options: { url: "https://b.example" }, host: "b.example", token: null, tabs: 0 },
    { name: "its tabs to no other token", options: { token: "own" }, host: "a.example", token: "Bearer own", tabs: 0 },
    {
      name: "nothing to who has both",
      options: { url: "https://b.example", token: "own" },
      host: "b.example",
      token: "Bearer own",
      tabs: 0,
    },
  ])("gives $name", async ({ options, host, token, tabs }) => {
    shareTabs.mockClear();
    const { server, Wrapper } = provided({ url: "https://a.example", token: "secret", shareTabs });
    await renderHook(() => useRealtime({ channel: run42, ...options }), undefined, { Wrapper });
    expect(server.stream.url.host).toBe(host);
    expect(bearer(server)).toBe(token);
    expect(shareTabs).toHaveBeenCalledTimes(tabs);
  });

  it("gives its other options, which those of a hook override", async () => {
    const { server, Wrapper } = provided({ reconnect: false });
    const hook = await renderHook(
      (options: RealtimeOptions<typeof run42>) => useRealtime({ channel: run42, ...options }).connectionStatus,
      {},
      { Wrapper },
    );
    server.stream.send(opened());
    server.stream.cut();
    await settled();
    expect(hook.now).toBe("error");
    await hook.rerender({ key: "again", reconnect: true });
    server.stream.send(opened());
    server.stream.cut();
    await settled();
    expect(hook.now).toBe("connecting");
  });
});

describe("publish", () => {
  it("goes to the hook's server with its latest token", async () => {
    const { server, props, Wrapper } = provided({ url: "https://a.example", token: () => "one" });
    const hook = await renderHook(() => useRealtime({ channel: run42 }).publish, 1, { Wrapper });
    const publish = hook.now;
    Object.assign(props, { token: () => "two" });
    await hook.rerender(2);
    expect(hook.now).toBe(publish);
    const receipt = await publish(run42.status, { step: "a" }, { idempotencyKey: "key-1" });
    expect(receipt.id).toBe("k-1");
    const [{ url, headers, body }] = server.posts as [(typeof server.posts)[0]];
    expect(url.href).toBe("https://a.example/v1/publish");
    expect(headers.get("authorization")).toBe("Bearer two");
    expect(body).toEqual({ channel: "pipeline:42", topic: "status", data: { step: "a" }, idempotency_key: "key-1" });
  });

  it("uses the hook's own url and token", async () => {
    const server = scriptedServer();
    const hook = await renderHook(
      () => useRealtime({ channel: run42, url: "https://b.example", token: "own", fetch: server.fetch }).publish,
      undefined,
    );
    await hook.now(run42.status, { step: "x" });
    expect(server.posts[0]!.url.host).toBe("b.example");
    expect(server.posts[0]!.headers.get("authorization")).toBe("Bearer own");
  });
});

describe("useChannelState", () => {
  it("is the data of the latest message, and renders for nothing else", async () => {
    const { server, Wrapper } = provided({});
    const hook = await renderHook(() => useChannelState(run42.status), undefined, { Wrapper });
    expect(hook.now).toBeUndefined();
    expect(server.stream.url.searchParams.getAll("topic")).toEqual(["status"]);
    expect(server.stream.url.searchParams.get("replay")).toBe("latest");
    server.stream.send(opened());
    await settled();
    expect(hook.renders).toHaveLength(1);
    server.stream.send(status(1, "a"));
    await settled();
    expect(hook.now).toEqual({ step: "a" });
    server.stream.send(ran(2, { status: "running" }), status(3, 42)); // breaks the schema
    await settled();
    expect(hook.renders).toHaveLength(2);
  });

  it("follows the ref", async () => {
    const { server, Wrapper } = provided({});
    const hook = await renderHook((runId: string) => useChannelState(pipeline({ runId }).status), "42", { Wrapper });
    server.stream.send(opened(), status(1, "a"));
    await settled();
    await hook.rerender("42");
    expect(server.streams).toHaveLength(1);
    await hook.rerender("43");
    expect(hook.now).toBeUndefined();
    expect(server.stream.url.searchParams.getAll("channel")).toEqual(["pipeline:43"]);
  });

  it("takes options, and is what there is of the latest text", async () => {
    const { server, Wrapper } = provided({});
    const hook = await renderHook((enabled: boolean) => useChannelState(run42.tokens, { enabled }), false, { Wrapper });
    expect(server.streams).toEqual([]);
    await hook.rerender(true);
    expect(hook.now).toBeUndefined();
    server.stream.send(opened(), begin(1, "s"));
    await settled();
    expect(hook.now).toBe("");
    server.stream.send(chunk(2, "s", "a"), chunk(3, "s", "b"));
    await settled();
    expect(hook.now).toBe("ab");
  });
});
