// Where there is no document: on a server.
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { RealtimeProvider, useChannelState, useRealtime } from "../src/react/index.js";
import { run42, scriptedServer, settled } from "./react.harness.js";

it("nothing happens on a server, and all is as in the beginning", async () => {
  expect(globalThis.document).toBeUndefined();
  const server = scriptedServer();
  const token = vi.fn(() => "t");
  const errors = vi.spyOn(console, "error");
  function Page() {
    const { messages, gaps, ...rest } = useRealtime({ channel: run42 });
    const state = useChannelState(run42.status);
    return <p>{JSON.stringify({ ...rest, ...messages, gaps, state })}</p>;
  }
  const html = renderToString(
    <RealtimeProvider url="https://a.example" token={token} fetch={server.fetch}>
      <Page />
    </RealtimeProvider>,
  );
  await settled();
  expect(JSON.parse(html.replace(/<.*?>/g, "").replaceAll("&quot;", '"'))).toEqual({
    connectionStatus: "idle",
    isPaused: false,
    pauseReason: null,
    runStatus: "unknown",
    error: null,
    gaps: [],
    byTopic: {},
    all: [],
    last: null,
    delta: [],
  });
  expect(server.streams).toEqual([]);
  expect(token).not.toHaveBeenCalled();
  expect(errors).not.toHaveBeenCalled();
});
