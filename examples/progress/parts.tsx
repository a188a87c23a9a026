// The parts of the page. The channel gives them the types of the messages.

import type { ReactNode } from "react";
import type { DataMessage, InferData, TextStream } from "@sluicehq/sluice";
import { STEPS, type report } from "./channel.ts";

type Topics = ReturnType<typeof report>;
export type StepMessage = DataMessage<"step", InferData<Topics["step"]>>;
export type WorkerMessage = DataMessage<"worker", InferData<Topics["worker"]>>;

/** The steps, and how often each was reported: once, if all is well. */
export function Steps({ messages, running }: { messages: readonly StepMessage[]; running: boolean }): ReactNode {
  const next = running ? STEPS.find((name) => !messages.some(({ data }) => data.name === name)) : undefined;
  return (
    <ol className="steps" aria-label="Steps">
      {STEPS.map((name) => {
        const told = messages.filter(({ data }) => data.name === name);
        const state = told.length ? "done" : name === next ? "current" : "waiting";
        return (
          <li key={name} data-step={name} data-state={state} aria-current={state === "current" ? "step" : undefined}>
            <b>{name}</b>
            {told.map(({ id, data }) => (
              <p key={id}>
                {data.message} <small>attempt {data.attempt}</small>
              </p>
            ))}
          </li>
        );
      })}
    </ol>
  );
}

/** The text, as far as it is written. If its writer dies, the next one begins it anew. */
export function Draft({ text }: { text: TextStream | undefined }): ReactNode {
  return (
    <section className="panel">
      <h2>Draft {text && <small data-state={text.state}>{text.state}</small>}</h2>
      <div className="draft" data-state={text?.state ?? "none"}>
        {text?.text ?? "Not begun."}
      </div>
    </section>
  );
}

/** What happened to the workers. */
export function Workers({ messages }: { messages: readonly WorkerMessage[] }): ReactNode {
  return (
    <section className="panel">
      <h2>Worker</h2>
      <ul className="log">
        {messages.map(({ id, created_at, data }) => (
          <li key={id} data-event={data.event}>
            <time dateTime={created_at}>{new Date(created_at).toLocaleTimeString("en-GB")}</time>
            <span>{describe(data)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function describe({ attempt, event, detail }: WorkerMessage["data"]): string {
  if (event === "repeated") return `attempt ${attempt} did “${detail}” again: told already, nothing was published`;
  return `attempt ${attempt} ${event}: ${detail}`;
}
