import type { Gap, RunMessage, SluiceError } from "@sluicehq/sluice";
import { memberText } from "./json.js";

/** A row that is not a message. */
export interface Note {
  readonly tone: "open" | "gap" | "close" | "run" | "lost";
  /** The event's name, "" for a note by the page itself. */
  readonly event: string;
  readonly title: string;
  readonly detail: string;
  readonly channel?: string;
  readonly id?: string;
  readonly status?: string;
  readonly time: Date;
  /** It replaces the previous row if that has the same tone. */
  readonly latestOnly?: boolean;
}

/** A message with the JSON text that the server sent. */
export type WithSource<M> = M & { readonly source: string };

const GAP_REASONS = {
  overrun: "The server’s buffer was too small to hold them until they could be sent.",
  expired: "They were too old, or their channel was deleted.",
  restarted: "The server has restarted and no longer has them.",
};

export function openNote(resumed: boolean, channels: readonly string[]): Note {
  return {
    tone: "open",
    event: "$open",
    title: resumed ? "Stream resumed" : "Stream opened",
    channel: channels.join(" "),
    detail: resumed ? "It continues where it stopped." : "",
    time: new Date(),
  };
}

/** A note by the page itself about its connection. */
export function lostNote(why: string): Note {
  return { tone: "lost", event: "", title: "Disconnected", detail: why, time: new Date(), latestOnly: true };
}

export function gapNote({ channel, after, resumes_at: resumesAt, reason }: Gap): Note {
  const rest = resumesAt ? `The stream continues at ${resumesAt}.` : "No later messages are stored.";
  return {
    tone: "gap",
    event: "$gap",
    title: `Messages were lost: ${reason}`,
    channel,
    detail: `Messages after ${after} are missing. ${GAP_REASONS[reason] ?? ""} ${rest}`.replace("  ", " "),
    time: new Date(),
  };
}

export function closeNote({ code, message }: SluiceError): Note {
  return { tone: "close", event: "$close", title: message, detail: `Code ${code ?? ""}.`, time: new Date() };
}

/** A run's status is shown with its own id and time, because it may arrive long after it was published. */
export function runNote({ id, channel, run_id: runId, created_at: createdAt, data, source }: WithSource<RunMessage>): Note {
  const value = memberText(source, "data");
  const extra = memberText(value, "error") || memberText(value, "result");
  return {
    tone: "run",
    event: "$run",
    title: `Run ${data.status}`,
    channel,
    id,
    time: new Date(createdAt),
    detail: [runId ?? data.run_id ?? "", extra].filter(Boolean).join(" · "),
    status: data.status,
  };
}
