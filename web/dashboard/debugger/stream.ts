import { subscribe, type Message, type Replay, type RunMessage, type SluiceError } from "@sluicehq/sluice";
import { closeNote, gapNote, lostNote, openNote, runNote, type Note, type WithSource } from "./notes.js";
import type { Settings } from "./settings.js";

/** The server ended the stream because the token expired. The page cannot get another by itself. */
const TOKEN_EXPIRED = 4001;

export interface Phase {
  readonly name: "idle" | "connecting" | "live" | "waiting" | "stopped";
  readonly why: string;
  /** The token has expired. */
  readonly expired?: boolean;
}

export interface Following {
  readonly settings: Settings;
  /** Where to resume; "" starts from the beginning. */
  readonly lastEventId?: string;
  /**
   * Receives each message, and each text again whenever it has grown. A message of kind "data" has its
   * JSON text, as the server sent it, as `source`.
   */
  readonly onMessage: (message: WithSource<Message>) => void;
  readonly onNote: (note: Note) => void;
  readonly onPhase: (phase: Phase) => void;
}

export interface Followed {
  stop(): void;
  /** Everything up to here has been shown. */
  position(): string;
}

/** Subscribes according to the settings, until it is stopped or refused. */
export function follow({ settings, lastEventId = "", onMessage, onNote, onPhase }: Following): Followed {
  const { credential, channels, topics, replay } = settings;
  let resumed = lastEventId !== "";
  let expired = false;

  function tell(status: string, error: SluiceError | null): void {
    const why = error?.message ?? "";
    const closed = typeof error?.code === "number";
    if (closed) expired = error.code === TOKEN_EXPIRED;
    if (status === "open") {
      onNote(openNote(resumed, channels));
      resumed = true;
      return onPhase({ name: "live", why: "" });
    }
    const refused = status === "error" && error?.status === 401;
    const words = refused
      ? expired
        ? "The token has expired"
        : "The token or API key was refused (401)"
      : error?.status
        ? `${error.status} ${why}`
        : why;
    if (closed) onNote(closeNote(error));
    else if (error && !(refused && expired)) onNote(lostNote(words));
    onPhase({ name: status === "connecting" ? "waiting" : "stopped", why: words, expired: refused && expired });
  }

  const subscription = subscribe({
    url: document.baseURI,
    token: credential,
    channels,
    ...(topics.length > 0 && { topics }),
    ...(lastEventId && { lastEventId }),
    replay: (/^[0-9]+$/.test(replay) ? Number(replay) : replay) as Replay,
    parse: (source) => Object.assign(JSON.parse(source) as object, { source }),
    onMessage: (message) => onMessage(message as WithSource<Message>),
    onChunk: (message) => onMessage(message as WithSource<Message>),
    onRun: (_, message) => onNote(runNote(message as WithSource<RunMessage>)),
    onGap: (gap) => onNote(gapNote(gap)),
    onStatus: (status, { error }) => (status !== "closed" || error ? tell(status, error) : undefined),
  });
  onPhase({ name: "connecting", why: "" });
  return { stop: () => subscription.close(), position: () => subscription.getSnapshot().position ?? "" };
}
