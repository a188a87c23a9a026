import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { session } from "../base/session.js";
import { useFeed } from "../debugger/ownfeed.js";
import { follow, type Phase } from "../debugger/stream.js";
import { Rows, Toolbar } from "../debugger/toolbar.js";

/** The latest messages of a channel, and those that come. */
export function Messages({ channel }: { channel: string }): JSX.Element {
  const { list, feed, shown } = useFeed();
  const [phase, setPhase] = useState<Phase>({ name: "connecting", why: "" });
  useEffect(() => {
    const stream = follow({
      settings: { credential: session.get().key, channels: [channel], topics: [], replay: "20" },
      onMessage: (message) => feed.current?.addMessage(message),
      onNote(note) {
        if (note.tone !== "open") feed.current?.addNote(note);
      },
      onPhase: setPhase,
    });
    return () => stream.stop();
  }, [channel, feed]);
  return (
    <section class="panel stream channel-stream" aria-labelledby={`${list.id}-title`}>
      <Toolbar id={list.id} title="Messages" feed={feed} shown={shown}>
        {phase.name !== "live" && (
          <p class="phase" data-phase={phase.name} role="status">
            {phase.why || "Connecting…"}
          </p>
        )}
      </Toolbar>
      <Rows list={list.ref} shown={shown} waitingFor="No messages are stored. New ones appear here as they arrive, newest first." />
      <p class="hint stream-hint">
        The newest 20 messages, then new ones as they arrive. While it is open, this page is one of the readers.
      </p>
    </section>
  );
}
