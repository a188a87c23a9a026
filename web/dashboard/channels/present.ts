import type { Presence } from "@sluicehq/sluice/presence";
import { useEffect, useState } from "preact/hooks";
import { session } from "../base/session.js";
import { whileVisible } from "../base/visible.js";

/** What is known of who reads a channel. */
export interface Present {
  /** The latest that was told; undefined: nothing yet. It stays while the stream is cut. */
  readonly known: Presence | undefined;
  /** Why nothing is told now; "" if that is not so. */
  readonly cut: string;
  /** It is not tried again by itself. */
  readonly over: boolean;
}

const NOTHING: Present = { known: undefined, cut: "", over: false };

/**
 * Follows who reads a channel, on all nodes, while the page is visible: a browser has few connections
 * for one server.
 *
 * @param attempt another number begins anew
 */
export function usePresent(channel: string, attempt: number): Present {
  const [present, setPresent] = useState(NOTHING);
  useEffect(() => whileVisible(() => follow(channel, (change) => setPresent((before) => ({ ...before, ...change })))), [channel, attempt]);
  return present;
}

/** Tells of each change until the function that it returns is called. */
function follow(channel: string, tell: (change: Partial<Present>) => void): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  void import("@sluicehq/sluice/presence").then(
    ({ followPresence }) => {
      if (signal.aborted) return;
      const following = followPresence({ url: document.baseURI, channel, token: session.get().key, signal });
      following.subscribe(() => {
        if (signal.aborted) return;
        const now = following.getSnapshot();
        if (now.status === "open") tell({ known: now, cut: "", over: false });
        else if (now.error) tell({ cut: now.error.message, over: now.status !== "connecting" });
      });
    },
    () => signal.aborted || tell({ cut: "The server did not answer.", over: true }),
  );
  return () => stop.abort();
}
