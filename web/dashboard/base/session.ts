import { createStore, type Store } from "./store.js";

/** Whether the page has an API key, and what became of it. */
export interface Session {
  /** Kept in this variable alone: never stored, never in an address. */
  readonly key: string;
  readonly state: "none" | "checking" | "open" | "refused";
  /** Why the key was refused. */
  readonly why: string;
}

const NONE: Session = { key: "", state: "none", why: "" };

export const session: Store<Session> = createStore(NONE);

/** Takes a key, once the server has accepted it. */
export async function enter(key: string): Promise<void> {
  if (!/^[!-~]+$/.test(key)) return refuse("An API key has only printable ASCII characters, and no spaces.");
  session.set({ key, state: "checking", why: "" });
  const why = await fault(key);
  if (session.get().key !== key) return; // another one has been entered meanwhile
  if (why) return refuse(why);
  session.set({ key, state: "open", why: "" });
}

async function fault(key: string): Promise<string> {
  try {
    const headers = { Authorization: `Bearer ${key}` };
    const answer = await fetch(new URL("v1/channels?limit=1", document.baseURI), {
      headers,
      cache: "no-store",
      signal: AbortSignal.timeout(30_000),
    });
    await answer.body?.cancel();
    if (answer.status === 401) return "The server does not know this key.";
    if (answer.status === 403)
      return "The dashboard needs a key that may do everything, and this one may not. You can use it in the debugger.";
    return answer.ok || answer.status === 503 ? "" : `The server answered ${answer.status}.`;
  } catch {
    return "The server did not answer.";
  }
}

/** Forgets the key, for a reason that is shown. */
export function refuse(why: string): void {
  session.set({ key: "", state: "refused", why });
}

/** Forgets the key. */
export function leave(): void {
  session.set(NONE);
}
