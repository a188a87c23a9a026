"use client";

import { useRealtime } from "@sluicehq/sluice/react";
import { useParams } from "next/navigation";
import { getRealtimeToken } from "@/app/actions";
import { pipeline } from "@/lib/channels";

export default function Post() {
  const { runId } = useParams<{ runId: string }>();
  const { connectionStatus, runStatus, messages, error } = useRealtime({
    channel: pipeline({ runId }),
    topics: ["status", "draft"],
    token: () => getRealtimeToken(runId),
    replay: "all",
  });
  const { status, draft } = messages.byTopic;

  return (
    <main>
      <h1>{status?.data.message ?? "A post"}</h1>
      <dl>
        <dt>Run</dt>
        <dd data-state={runStatus}>{runStatus}</dd>
        <dt>Connection</dt>
        <dd data-state={connectionStatus}>{connectionStatus}</dd>
      </dl>
      {error && <p role="alert">{error.message}</p>}
      <ol className="log">
        {messages.all.map((message) => message.topic === "status" && <li key={message.id}>{message.data.message}</li>)}
      </ol>
      {draft && (
        <article className="text" aria-busy={!draft.complete}>
          {draft.text}
        </article>
      )}
    </main>
  );
}
