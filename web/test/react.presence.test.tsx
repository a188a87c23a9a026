// @vitest-environment jsdom
import type { ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, describe, expect, it } from "vitest";
import { usePresence, type UsePresenceOptions } from "../src/presence/react/index.js";
import { RealtimeProvider } from "../src/react/index.js";
import { cleanUp, opened, renderHook, scriptedServer, settled } from "./react.harness.js";

afterEach(cleanUp);

const told = (...joined: string[]): string =>
  `id: k-1\nevent: $presence\ndata: ${JSON.stringify({ channel: "room:1", state: true, joined, left: [], count: joined.length })}\n\n`;

function provided() {
  const server = scriptedServer();
  const Wrapper = ({ children }: { children: ReactNode }) => (
    <RealtimeProvider url="https://a.example" token={() => "t"} fetch={server.fetch} reconnectMinMs={1}>
      {children}
    </RealtimeProvider>
  );
  return { server, Wrapper };
}

function hide(hidden: boolean): void {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}

describe("usePresence", () => {
  it("tells who is there, with the provider's server and token", async () => {
    const { server, Wrapper } = provided();
    const hook = await renderHook(() => [usePresence("room:1"), usePresence("room:1")], undefined, { Wrapper });
    expect(server.streams).toHaveLength(1);
    expect(server.stream.url.searchParams.getAll("topic")).toEqual(["$presence"]);
    expect(server.stream.headers.get("authorization")).toBe("Bearer t");
    expect(hook.now[0]).toMatchObject({ status: "connecting", subjects: [] });
    server.stream.send(opened(), told("ann", "bob"));
    await settled();
    expect(hook.now.map(({ subjects, count, status }) => [subjects, count, status])).toEqual(Array(2).fill([["ann", "bob"], 2, "open"]));
  });

  it("starts anew for another channel, and works in strict mode", async () => {
    const { server, Wrapper } = provided();
    const hook = await renderHook((name: string) => usePresence(name), "room:1", { Wrapper, strict: true });
    expect(server.live()).toHaveLength(1);
    server.stream.send(opened(), told("ann"));
    await settled();
    expect(hook.now.subjects).toEqual(["ann"]);
    await hook.rerender("room:2");
    expect(hook.now).toMatchObject({ status: "connecting", subjects: [] });
    expect(server.live().map(({ url }) => url.searchParams.get("channel"))).toEqual(["room:2"]);
  });

  it("disconnects while the page is hidden or it is disabled, and keeps what it knows", async () => {
    const { server, Wrapper } = provided();
    const hook = await renderHook((options: UsePresenceOptions) => usePresence("room:1", options), {}, { Wrapper });
    server.stream.send(opened(), told("ann"));
    await settled();
    hide(true);
    await settled();
    expect(server.live()).toHaveLength(0);
    expect(hook.now).toMatchObject({ status: "paused", subjects: ["ann"] });
    hide(false);
    await settled();
    expect(server.live()).toHaveLength(1);
    expect(hook.now).toMatchObject({ status: "connecting", subjects: ["ann"] });
    server.stream.send(opened(), told("bob"));
    await settled();
    expect(hook.now).toMatchObject({ status: "open", subjects: ["bob"] });
    await hook.rerender({ enabled: false });
    expect(server.live()).toHaveLength(0);
    expect(hook.now).toMatchObject({ status: "paused", subjects: ["bob"] });
  });

  it("takes the latest of its own tokens, given inline", async () => {
    const server = scriptedServer();
    const hook = await renderHook(
      (token: string) => usePresence("room:1", { url: "https://b.example", fetch: server.fetch, token: () => token, reconnectMinMs: 1 }),
      "one",
    );
    server.stream.send(opened(), told("ann"));
    await hook.rerender("two");
    expect(server.streams).toHaveLength(1);
    server.stream.cut();
    await expect.poll(() => server.streams.length).toBe(2);
    expect(server.streams.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer one", "Bearer two"]);
    expect(hook.now.subjects).toEqual(["ann"]);
  });

  it("connects to nothing on a server", () => {
    const { server, Wrapper } = provided();
    const Count = () => <>{usePresence("room:1").count}</>;
    expect(
      renderToString(
        <Wrapper>
          <Count />
        </Wrapper>,
      ),
    ).toBe("0");
    expect(server.streams).toHaveLength(0);
  });
});
