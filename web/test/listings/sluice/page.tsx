"use client";
import { useRealtime } from "@sluicehq/sluice/react";
import { getRealtimeToken } from "./actions.js";
import { contentPipeline } from "./channels.js";

export function Post({ runId }: { runId: string }) {
  const { connectionStatus, runStatus, messages } = useRealtime({
    channel: contentPipeline({ runId }),
    topics: ["status", "tokens"],
    token: () => getRealtimeToken(runId),
  });
  return (
    <section>
      <p id="connection">{connectionStatus}</p>
      <p id="run">{runStatus}</p>
      <p id="status">{messages.byTopic.status?.data.message}</p>
    </section>
  );
}
