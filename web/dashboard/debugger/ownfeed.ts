import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { createFeed, type Feed, type FeedState } from "./feed.js";

const NOTHING: FeedState = { rows: 0, visible: 0, waiting: 0, topics: new Set(), full: false };

/** A feed in a list of the component's own. */
export function useFeed(): { list: RefObject<HTMLOListElement | null>; feed: RefObject<Feed | null>; shown: FeedState } {
  const listRef = useRef<HTMLOListElement>(null);
  const feedRef = useRef<Feed>(null);
  const [shown, setShown] = useState(NOTHING);
  useEffect(() => {
    feedRef.current = createFeed(listRef.current!, setShown);
  }, []);
  return { list: listRef, feed: feedRef, shown };
}
