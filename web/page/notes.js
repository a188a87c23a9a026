import { memberText } from "./json.js";

/**
 * @typedef {object} Note what a row says that is no message
 * @property {"open" | "gap" | "close" | "run" | "lost"} tone
 * @property {string} event the event's name, "" for what the page says itself
 * @property {string} title
 * @property {string} detail
 * @property {string} [channel]
 * @property {string} [id]
 * @property {Date} time
 * @property {boolean} [latestOnly] the row before it goes if it is of the same tone
 */

const GAP_REASONS = {
  overrun: "The buffer had moved on before they could be sent.",
  expired: "They were older than what is held for replay.",
  restarted: "The log has begun anew since, as after a restart of the server.",
};

/** @returns {Note} */
export function openNote(resumed, channels) {
  return {
    tone: "open",
    event: "$open",
    title: resumed ? "Stream resumed" : "Stream opened",
    channel: channels.join(" "),
    detail: resumed ? "Goes on where it was left." : "",
    time: new Date(),
  };
}

/** What the page itself has to say about its connection. */
export function lostNote(why) {
  return { tone: "lost", event: "", title: "Disconnected", detail: why, time: new Date(), latestOnly: true };
}

/** @returns {Note} */
export function gapNote({ channel, after, resumes_at: resumesAt, reason }) {
  const rest = resumesAt ? `It goes on at ${resumesAt}.` : "Nothing after them is held.";
  return {
    tone: "gap",
    event: "$gap",
    title: `Messages were lost: ${reason}`,
    channel,
    detail: `Missing after ${after}. ${GAP_REASONS[reason] ?? ""} ${rest}`.replace("  ", " "),
    time: new Date(),
  };
}

/** @returns {Note} */
export function closeNote({ code, message }) {
  return { tone: "close", event: "$close", title: message, detail: `Code ${code}.`, time: new Date() };
}

/** A run's message: its own id and time count, since it may be shown long after. */
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
