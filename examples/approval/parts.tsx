// The parts of the page. The channel gives them the types of the messages.

import type { ReactNode } from "react";
import type { DataMessage, InferData } from "@sluicehq/sluice";
import { call } from "../shared/call.ts";
import type { refund } from "./channel.ts";

type Topics = ReturnType<typeof refund>;

interface ApplicationProps {
  id: string;
  state: InferData<Topics["process"]> | undefined;
  /** The run has ended: there is nothing to start again. */
  over: boolean;
}

/** The application's process, which can be killed and started. */
export function Application({ id, state, over }: ApplicationProps): ReactNode {
  const running = state?.state === "running";
  return (
    <section className="panel">
      <h2>
        Application{" "}
        {state && (
          <small data-state={state.state} aria-live="polite">
            process {state.pid}: {state.state}
          </small>
        )}
      </h2>
      <div className="actions">
        <button disabled={!running} onClick={() => void call(`/kill?id=${id}`)}>
          Kill it
        </button>
        <button disabled={!state || running || over} onClick={() => void call(`/start?id=${id}`)}>
          Start it again
        </button>
      </div>
    </section>
  );
}

interface QuestionProps {
  asked: readonly DataMessage<"question", InferData<Topics["question"]>>[];
  answer: DataMessage<"answer", InferData<Topics["answer"]>> | undefined;
  /** The application has acted on the answer. */
  over: boolean;
  onReply: (approved: boolean) => void;
}

/** The question, and how often it was published. */
export function Question({ asked, answer, over, onReply }: QuestionProps): ReactNode {
  const question = asked[0]?.data;
  return (
    <section className="panel" data-asked={asked.length}>
      <h2>
        {question?.text ?? "No question yet"} <small>asked {asked.length === 1 ? "once" : `${asked.length} times`}</small>
      </h2>
      {answer ? (
        <p aria-live="polite">
          {answer.data.approved ? "Approved" : "Declined"} by {answer.sub}. {!over && "Sluice keeps the answer for the application."}
        </p>
      ) : (
        <div className="actions">
          <button className="primary" disabled={!question} onClick={() => onReply(true)}>
            Approve
          </button>
          <button disabled={!question} onClick={() => onReply(false)}>
            Decline
          </button>
        </div>
      )}
    </section>
  );
}
