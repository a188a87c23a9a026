import { subscribe } from "./sdk/sluice.js";
import { closeNote, gapNote, lostNote, openNote, runNote } from "./notes.js";

/** The server ended the stream because the token expired. The page cannot get another by itself. */
const TOKEN_EXPIRED = 4001;

/**
 * Subscribes according to the settings, until it is stopped or refused.
 *
 * @param {object} options
 * @param {string} options.base the address of the server's root
 * @param {import("./settings.js").Settings} options.settings
 * @param {string} options.lastEventId where to resume; "" starts from the beginning
 * @param {(message: object) => void} options.onMessage receives each message, and each text again whenever it has grown. A
 *   message of kind "data" has its JSON text, as the server sent it, as `source`
 * @param {(note: import("./notes.js").Note) => void} options.onNote
 * @param {(phase: {name: "connecting" | "live" | "waiting" | "stopped", why: string, expired?: boolean}) => void} options.onPhase
 * @returns {{stop: () => void, position: () => string}}
 */
export function follow({ base, settings, lastEventId, onMessage, onNote, onPhase }) {
  const { credential, channels, topics, replay } = settings;
  let resumed = lastEventId !== "";
  let expired = false;

  function tell(status, { error }) {
    const why = error?.message ?? "";
    const closed = typeof error?.code === "number";
    if (closed) expired = error.code === TOKEN_EXPIRED;
    if (status === "open") {
      onNote(openNote(resumed, channels));
      resumed = true;
      return onPhase({ name: "live", why: "" });
    }
    const refused = status === "error" && error.status === 401;
    const words = !refused ? (error?.status ? `${error.status} ${why}` : why) : expired ? "The token has expired" : "The token or API key was refused (401)";
    if (closed) onNote(closeNote(error));
    else if (error && !(refused && expired)) onNote(lostNote(words));
    onPhase({ name: status === "connecting" ? "waiting" : "stopped", why: words, expired: refused && expired });
  }

  const subscription = subscribe({
    url: base,
    token: credential,
    channels,
    ...(topics.length > 0 && { topics }),
    ...(lastEventId && { lastEventId }),
    replay: /^[0-9]+$/.test(replay) ? Number(replay) : replay,
    parse: (source) => Object.assign(JSON.parse(source), { source }),
    onMessage,
    onChunk: onMessage,
    onRun: (_, message) => onNote(runNote(message)),
    onGap: (gap) => onNote(gapNote(gap)),
    onStatus: (status, snapshot) => status !== "closed" || snapshot.error ? tell(status, snapshot) : undefined,
  });
  onPhase({ name: "connecting", why: "" });
  return { stop: () => subscription.close(), position: () => subscription.getSnapshot().position ?? "" };
}
