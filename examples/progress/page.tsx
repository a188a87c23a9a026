// The page. One hook tells it everything about the run.

import { StrictMode, useState, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { useRealtime } from "@sluicehq/sluice/react";
import { call } from "../shared/call.ts";
import { report } from "./channel.ts";
import { Draft, Steps, Workers } from "./parts.tsx";

/** Shows the run in the address, so that a reload shows it again. */
function Page(): ReactNode {
  const [runId, setRunId] = useState(new URLSearchParams(location.search).get("run"));

  async function start(): Promise<void> {
    const started = await call<{ runId: string }>("/runs");
    history.replaceState(null, "", `?run=${started.runId}`);
    setRunId(started.runId);
  }

  return (
    <main>
      <header>
        <h1>Progress of a run</h1>
        <p>
          A worker writes a report in five steps. Its first attempt crashes in the middle of the third; the next one does everything anew,
          and still each step is told once. Reload the page whenever you like.
        </p>
      </header>
      {runId && <Run runId={runId} />}
      <div className="actions">
        <button className={runId ? "" : "primary"} onClick={() => void start()}>
          {runId ? "Start another run" : "Start a run"}
        </button>
      </div>
    </main>
  );
}

function Run({ runId }: { runId: string }): ReactNode {
  const { messages, connectionStatus, runStatus, result, error } = useRealtime({
    url: import.meta.env.VITE_SLUICE_URL,
    token: () => call<{ token: string }>(`/token?run=${runId}`),
    channel: report({ runId }),
    replay: "all", // what came before a reload
    historyLimit: null,
  });
  const steps = messages.all.filter((message) => message.topic === "step");
  const workers = messages.all.filter((message) => message.topic === "worker");

  return (
    <>
      <dl className="facts" aria-live="polite">
        <div>
          <dt>Run</dt>
          <dd data-state={runStatus}>{runStatus}</dd>
        </div>
        <div>
          <dt>Connection</dt>
          <dd data-state={connectionStatus}>{connectionStatus}</dd>
        </div>
        {result !== undefined && (
          <div>
            <dt>Result</dt>
            <dd>{JSON.stringify(result)}</dd>
          </div>
        )}
      </dl>
      <div className="actions">
        <button disabled={runStatus !== "running"} onClick={() => void call(`/crash?run=${runId}`)}>
          Crash the worker
        </button>
      </div>
      {error && <p role="alert">{error.message}</p>}
      <Steps messages={steps} running={runStatus === "running"} />
      <Draft text={messages.byTopic.draft} />
      <Workers messages={workers} />
    </>
  );
}

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
