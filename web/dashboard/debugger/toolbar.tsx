import type { ComponentChildren, JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import type { Feed, FeedState } from "./feed.js";

interface Props {
  /** What its ids begin with. */
  readonly id: string;
  readonly title: string;
  readonly feed: RefObject<Feed | null>;
  readonly shown: FeedState;
  readonly children?: ComponentChildren;
}

/** What can be done with a feed: pause it, clear it, filter it. */
export function Toolbar({ id, title, feed, shown, children }: Props): JSX.Element {
  const [paused, setPaused] = useState(false);
  return (
    <div class="toolbar">
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
      <button
        type="button"
        class="feed-pause"
        aria-pressed={paused}
        onClick={() => {
          setPaused(!paused);
          feed.current?.setPaused(!paused);
        }}
      >
        {!paused ? "Pause" : shown.waiting > 0 ? `Resume (${shown.waiting})` : "Resume"}
      </button>
      <button type="button" class="feed-clear" onClick={() => feed.current?.clear()}>
        Clear
      </button>
      <label class="inline">
        Topic{" "}
        <select class="feed-filter" onChange={({ currentTarget }) => feed.current?.setTopic(currentTarget.value)}>
          <option value="">all</option>
          {[...shown.topics].map((topic) => (
            <option key={topic} value={topic}>
              {topic}
            </option>
          ))}
        </select>
      </label>
      <label class="inline">
        <input type="checkbox" class="feed-pretty" onChange={({ currentTarget }) => feed.current?.setPretty(currentTarget.checked)} />{" "}
        Pretty
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
      <p class="empty" hidden={shown.visible > 0}>
        {shown.rows > 0 ? "No rows for this topic." : waitingFor}
      </p>
      <ol class="rows" ref={list} reversed aria-label="Messages, newest first" />
      <p class="bound" hidden={!shown.full}>
        This page keeps only the newest 500 rows.
      </p>
    </>
  );
}
