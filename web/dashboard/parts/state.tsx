import type { ComponentChildren, JSX } from "preact";
import type { Answer } from "../base/answer.js";

/** Stands where something will be. */
export function Loading({ children = "Loading…" }: { children?: ComponentChildren }): JSX.Element {
  return (
    <p class="state state-loading" role="status">
      {children}
    </p>
  );
}

/** Stands where there is nothing, and says how something gets there. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="state state-empty">
      <p class="state-title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

/** Says why something could not be had. */
export function Failure({ error, retry }: { error: string; retry?: () => void }): JSX.Element {
  return (
    <div class="state state-failure" role="alert">
      <p class="lines">{error}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Shows an answer of the server, or what there is instead of one. An old answer stays, under the error. */
export function Answered<T>({ answer, children }: { answer: Answer<T>; children: (data: T) => ComponentChildren }): JSX.Element {
  const { data, error, reload } = answer;
  return (
    <>
      {error && <Failure error={error} retry={reload} />}
      {data !== undefined ? children(data) : !error && <Loading />}
    </>
  );
}

/** What became of something that was asked for. */
export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

export function OutcomeLine({ outcome }: { outcome: Outcome | null }): JSX.Element {
  return (
    <p class="outcome lines" role="status" data-ok={outcome ? String(outcome.ok) : undefined}>
      {outcome?.text}
    </p>
  );
}
