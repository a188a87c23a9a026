import type { RefObject } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { createFeed, type Feed, type FeedState } from "./feed.js";

const NOTHING: FeedState = { rows: 0, visible: 0, waiting: 0, topics: new Set(), full: false };

interface OwnFeed {
  /** The list, and what the ids of all that belongs to it begin with. */
  readonly list: { readonly ref: RefObject<HTMLOListElement | null>; readonly id: string };
  readonly feed: RefObject<Feed | null>;
  readonly shown: FeedState;
}

/** A feed in a list of the component's own. */
export function useFeed(): OwnFeed {
  const id = useId();
  const listRef = useRef<HTMLOListElement>(null);
  const feedRef = useRef<Feed>(null);
  const [shown, setShown] = useState(NOTHING);
  useEffect(() => {
    feedRef.current = createFeed(listRef.current!, setShown);
  }, []);
  return { list: { ref: listRef, id }, feed: feedRef, shown };
}
