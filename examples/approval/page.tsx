// The page where the person answers.

import { StrictMode, useState, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { useRealtime } from "@sluicehq/sluice/react";
import { call } from "../shared/call.ts";
import { refund } from "./channel.ts";
import { Application, Question } from "./parts.tsx";

/** Shows the refund in the address, so that a reload shows it again. */
function Page(): ReactNode {
  const [id, setId] = useState(new URLSearchParams(location.search).get("id"));

  async function begin(): Promise<void> {
    const begun = await call<{ id: string }>("/refunds");
    history.replaceState(null, "", `?id=${begun.id}`);
    setId(begun.id);
  }

  return (
    <main>
      <header>
        <h1>Approval by a human</h1>
        <p>
          An application asks whether to refund a customer and waits for the answer. Kill it while it waits, answer, and start it again: it
          runs from its beginning, finds the answer and goes on. The question was asked once.
        </p>
      </header>
      {id && <Refund id={id} />}
      <div className="actions">
        <button className={id ? "" : "primary"} onClick={() => void begin()}>
          {id ? "Another refund" : "Ask for a refund"}
        </button>
      </div>
    </main>
  );
}

function Refund({ id }: { id: string }): ReactNode {
  const topics = refund({ id });
  const { messages, runStatus, error, publish } = useRealtime({
    url: import.meta.env.VITE_SLUICE_URL,
    token: () => call<{ token: string }>(`/token?id=${id}`),
    channel: topics,
    replay: "all",
    historyLimit: null,
    autoCloseOnTerminal: false, // the page also shows the end of the process, after the run
  });
  const [refusal, setRefusal] = useState<string>();
  const over = runStatus === "completed";

  async function reply(approved: boolean): Promise<void> {
    try {
      // The key makes the first answer the only one, even if two people answer at once.
      await publish(topics.answer, { approved }, { idempotencyKey: "the-answer" });
    } catch (failure) {
      setRefusal(String(failure));
    }
  }

  return (
    <>
      <Application id={id} state={messages.all.findLast((message) => message.topic === "process")?.data} over={over} />
      <Question
        asked={messages.all.filter((message) => message.topic === "question")}
        answer={messages.all.find((message) => message.topic === "answer")}
        over={over}
        onReply={(approved) => void reply(approved)}
      />
      {(refusal ?? error) && <p role="alert">{refusal ?? error?.message}</p>}
      <section className="panel">
        <h2>
          What the application did <small data-state={runStatus}>run: {runStatus}</small>
        </h2>
        <ul className="log">
          {messages.all
            .filter((message) => message.topic === "log")
            .map(({ id, created_at, data: { message } }) => (
              <li key={id}>
                <time dateTime={created_at}>{new Date(created_at).toLocaleTimeString("en-GB")}</time>
                <span>{message}</span>
              </li>
            ))}
        </ul>
      </section>
    </>
  );
}

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
