import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { call, explain, Refusal } from "./api.js";

/** What is known of something that the server is asked for again and again. */
export interface Answer<T> {
  /** The latest answer; undefined: none yet. It stays when a later request fails. */
  readonly data: T | undefined;
  /** Why the latest request failed; "": it did not. */
  readonly error: string;
  /** The status of that answer; 0: there was none, or no error. */
  readonly status: number;
  /** Asks at once. */
  reload(): void;
}

/**
 * Asks the server, and again after each pause, while the page is visible.
 *
 * @param path undefined: asks nothing
 * @param everyMs 0: asks once
 * @param changed asks at once when it is another one
 */
export function useAnswer<T>(
  path: string | undefined,
  query: Readonly<Record<string, string>> = {},
  everyMs = 0,
  changed: unknown = null,
): Answer<T> {
  const [state, setState] = useState<{ of: string; data?: T; error: string; status: number }>({ of: "", error: "", status: 0 });
  const text = path === undefined ? "" : `${path}?${new URLSearchParams(query).toString()}`;
  const again = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (text === "") return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    async function ask(): Promise<void> {
      clearTimeout(timer);
      timer = undefined;
      try {
        const [where = "", search] = text.split("?");
        const data = await call<T>(where, { query: Object.fromEntries(new URLSearchParams(search)), signal: stop.signal });
        if (!stop.signal.aborted) setState({ of: text, data, error: "", status: 0 });
      } catch (error) {
        if (stop.signal.aborted) return;
        const status = error instanceof Refusal ? error.status : 0;
        setState((present) => ({ ...(present.of === text ? present : {}), of: text, error: explain(error), status }));
      }
      if (everyMs > 0 && !stop.signal.aborted) timer = setTimeout(() => document.hidden || void ask(), everyMs);
    }
    const shown = (): void => void (!document.hidden && everyMs > 0 && ask());
    again.current = () => void ask();
    document.addEventListener("visibilitychange", shown);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [text, everyMs, changed]);

  const known = state.of === text;
  const reload = useCallback(() => again.current(), []);
  return { data: known ? state.data : undefined, error: known ? state.error : "", status: known ? state.status : 0, reload };
}
