import type { ComponentChildren, JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import type { Feed, FeedState } from "./feed.js";

interface Props {
  readonly title: string;
  readonly feed: RefObject<Feed | null>;
  readonly shown: FeedState;
  readonly children?: ComponentChildren;
}

/** What can be done with a feed: pause it, clear it, filter it. */
export function Toolbar({ title, feed, shown, children }: Props): JSX.Element {
  const [paused, setPaused] = useState(false);
  return (
    <div class="toolbar">
      <h2 id="stream-title">{title}</h2>
      {children}
      <button
        type="button"
        id="pause"
        aria-pressed={paused}
        onClick={() => {
          setPaused(!paused);
          feed.current?.setPaused(!paused);
        }}
      >
        {!paused ? "Pause" : shown.waiting > 0 ? `Resume (${shown.waiting})` : "Resume"}
      </button>
      <button type="button" id="clear" onClick={() => feed.current?.clear()}>
        Clear
      </button>
      <label class="inline">
        Topic{" "}
        <select id="filter" onChange={({ currentTarget }) => feed.current?.setTopic(currentTarget.value)}>
          <option value="">all</option>
          {[...shown.topics].map((topic) => (
            <option key={topic} value={topic}>
              {topic}
            </option>
          ))}
        </select>
      </label>
      <label class="inline">
        <input type="checkbox" id="pretty" onChange={({ currentTarget }) => feed.current?.setPretty(currentTarget.checked)} /> Pretty
      </label>
    </div>
  );
}

/** The rows of a feed, and what stands there while it has none. */
export function Rows({
  list,
  shown,
  waitingFor,
}: {
  list: RefObject<HTMLOListElement | null>;
  shown: FeedState;
  waitingFor: string;
}): JSX.Element {
  return (
    <>
      <p class="empty" id="empty" hidden={shown.visible > 0}>
        {shown.rows > 0 ? "No rows for this topic." : waitingFor}
      </p>
      <ol class="rows" id="rows" ref={list} reversed aria-label="Messages, newest first" />
      <p class="bound" id="bound" hidden={!shown.full}>
        This page keeps only the newest 500 rows.
      </p>
    </>
  );
}
