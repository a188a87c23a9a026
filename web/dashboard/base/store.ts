import { useEffect, useState } from "preact/hooks";

/** A value that several parts of the page show. */
export interface Store<T> {
  get(): T;
  set(next: T): void;
  /** Replaces the value by what is made of it. */
  update(change: (present: T) => T): void;
  /** Calls the listener after each change, until the function that it returns is called. */
  subscribe(listener: () => void): () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  function set(next: T): void {
    if (Object.is(next, value)) return;
    value = next;
    for (const listener of [...listeners]) listener();
  }
  return {
    get: () => value,
    set,
    update: (change) => set(change(value)),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Returns the value of the store, and draws the component again when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [value, draw] = useState(store.get);
  useEffect(() => {
    draw(store.get); // it may have changed since the component was drawn
    return store.subscribe(() => draw(store.get));
  }, [store]);
  return value;
}
