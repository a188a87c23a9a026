import { memberText } from "./json.js";

/**
 * @typedef {object} Note what a row says that is no message
 * @property {"open" | "gap" | "close" | "run" | "position" | "lost" | "unknown"} tone
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

/**
 * Puts a control event into words.
 *
 * @param {{type: string, data: string, lastEventId: string}} event whose type begins with $
 * @returns {Note}
 * @throws {SyntaxError} if its data is not JSON
 */
export function noteOf({ type, data, lastEventId }) {
  const tell = { $open: tellOpen, $gap: tellGap, $close: tellClose, $run: tellRun, $position: tellPosition }[type];
  const base = { event: type, id: lastEventId, time: new Date() };
  if (!tell) return { ...base, tone: "unknown", title: type, detail: data };
  return { ...base, ...tell(JSON.parse(data), data) };
}

/** What the page itself has to say about its connection. */
export function lostNote(why) {
  return { tone: "lost", event: "", title: "Disconnected", detail: why, time: new Date(), latestOnly: true };
}

function tellOpen({ resumed, channels = [], expires_at: expiresAt }) {
  const from = resumed ? "Goes on where it was left." : "";
  const until = expiresAt ? `The token expires at ${new Date(expiresAt).toLocaleTimeString()}.` : "";
  return {
    tone: "open",
    title: resumed ? "Stream resumed" : "Stream opened",
    channel: channels.join(" "),
    detail: [from, until].filter(Boolean).join(" "),
  };
}

function tellGap({ channel, after, resumes_at: resumesAt, reason }) {
  const rest = resumesAt ? `It goes on at ${resumesAt}.` : "Nothing after them is held.";
  return {
    tone: "gap",
    title: `Messages were lost: ${reason}`,
    channel,
    detail: `Missing after ${after}. ${GAP_REASONS[reason] ?? ""} ${rest}`.replace("  ", " "),
  };
}

function tellClose({ code, reason, reconnect }) {
  return {
    tone: "close",
    title: `Stream ended: ${reason}`,
    detail: `Code ${code}. ${reconnect ? "The server expects the client back." : "The server does not want it back."}`,
  };
}

/** A run's message: its own id and time count, since it may be shown long after. */
function tellRun({ id, channel, run_id: runId, created_at: createdAt, data }, text) {
  const value = memberText(text, "data");
  const extra = memberText(value, "error") || memberText(value, "result");
  return {
    tone: "run",
    title: `Run ${data.status}`,
    channel,
    id,
    time: new Date(createdAt),
    detail: [runId ?? data.run_id ?? "", extra].filter(Boolean).join(" · "),
    status: data.status,
  };
}

function tellPosition() {
  return {
    tone: "position",
    title: "Position moved",
    detail: "Past messages on topics that this stream leaves out.",
    latestOnly: true,
  };
}
