import { memberText } from "./json.js";

/**
 * @typedef {object} Note a row that is not a message
 * @property {"open" | "gap" | "close" | "run" | "lost"} tone
 * @property {string} event the event's name, "" for a note by the page itself
 * @property {string} title
 * @property {string} detail
 * @property {string} [channel]
 * @property {string} [id]
 * @property {Date} time
 * @property {boolean} [latestOnly] it replaces the previous row if that has the same tone
 */

const GAP_REASONS = {
  overrun: "The server’s buffer was too small to hold them until they could be sent.",
  expired: "They were too old, or their channel was deleted.",
  restarted: "The server has restarted and no longer has them.",
};

/** @returns {Note} */
export function openNote(resumed, channels) {
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
export function lostNote(why) {
  return { tone: "lost", event: "", title: "Disconnected", detail: why, time: new Date(), latestOnly: true };
}

/** @returns {Note} */
export function gapNote({ channel, after, resumes_at: resumesAt, reason }) {
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

/** @returns {Note} */
export function closeNote({ code, message }) {
  return { tone: "close", event: "$close", title: message, detail: `Code ${code}.`, time: new Date() };
}

/** A run's status is shown with its own id and time, because it may arrive long after it was published. */
export function runNote({ id, channel, run_id: runId, created_at: createdAt, data, source }) {
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
