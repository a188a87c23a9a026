import { useEffect, useState } from "preact/hooks";
import { call, explain, Refusal, type Fault } from "../base/api.js";
import { faultIn, isJSON } from "./draft.js";

/** What is known of a document that is being typed. */
export interface Verdict {
  readonly state: "checking" | "good" | "bad";
  readonly text: string;
  readonly faults: readonly Fault[];
}

const CHECKING: Verdict = { state: "checking", text: "Checking…", faults: [] };

/** How long nobody must have typed before the server is asked. */
const QUIET_MS = 350;

/** Stores a definition, or finds out in a dry run whether the server would. */
export function put(
  name: string,
  text: string,
  { dryRun = false, signal }: { dryRun?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  const query = { name, ...(dryRun && { dry_run: "true" }) };
  const type = isJSON(text) ? "application/json" : "application/yaml";
  return call("v1/schemas/$", { method: "PUT", query, body: text, type, ...(signal && { signal }) });
}

/** Checks a definition as it is typed: what the page sees itself at once, everything else by a dry run on the server. */
export function useVerdict(name: string, text: string): Verdict {
  const [answered, setAnswered] = useState<{ of: string; verdict: Verdict } | null>(null);
  const local = name === "" ? "A definition needs a name, such as pipeline:{runId}." : faultIn(text);
  const asked = `${name}\n${text}`;
  useEffect(() => {
    if (local) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      put(name, text, { dryRun: true, signal: stop.signal }).then(
        () => setAnswered({ of: asked, verdict: { state: "good", text: "The server would accept it.", faults: [] } }),
        (error: unknown) => {
          if (stop.signal.aborted) return;
          const faults = error instanceof Refusal ? error.faults : [];
          setAnswered({ of: asked, verdict: { state: "bad", text: faults.length > 0 ? "" : explain(error), faults } });
        },
      );
    }, QUIET_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [asked, local, name, text]);
  if (local) return { state: "bad", text: local, faults: [] };
  return answered?.of === asked ? answered.verdict : CHECKING;
}
