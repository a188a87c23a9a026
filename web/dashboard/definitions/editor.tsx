import type { JSX } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { call, explain } from "../base/api.js";
import { go, linkTo } from "../base/route.js";
import { useStore } from "../base/store.js";
import type { Definition } from "../base/types.js";
import { Confirm } from "../parts/confirm.js";
import { Field } from "../parts/field.js";
import { OutcomeLine, type Outcome } from "../parts/state.js";
import { ADDED, documentOf, dropDraft, drafts, EXAMPLE, indexOf, isJSON, keepDraft } from "./draft.js";
import { put, useVerdict, type Verdict } from "./verdict.js";

interface Props {
  /** null: a definition is being added. */
  readonly definition: Definition | null;
  readonly onChanged: () => void;
}

/** Shows one definition, and changes it. */
export function Editor({ definition, onChanged }: Props): JSX.Element {
  const slot = definition?.name ?? ADDED;
  const saved = definition ? documentOf(definition) : EXAMPLE;
  const draft = useStore(drafts)[slot];
  const text = draft ?? saved;
  const [typed, setTyped] = useState("");
  const name = definition?.name ?? typed.trim();
  const verdict = useVerdict(name, text);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [deleting, setDeleting] = useState(false);
  const changed = draft !== undefined && draft !== saved;
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);

  /** Puts the cursor there. */
  function show(index: number): void {
    area.current?.setSelectionRange(index, index);
    area.current?.focus(); // after that: it scrolls to the cursor
  }

  async function save(): Promise<void> {
    try {
      await put(name, text);
      setOutcome({ ok: true, text: "Saved. It applies to what is published from now on." });
      dropDraft(slot);
      onChanged();
      if (!definition) go("definitions", name);
    } catch (error) {
      setOutcome({ ok: false, text: explain(error) });
    }
  }

  return (
    <form
      class="panel editor master-detail"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <header class="panel-head">
        <h1 class="detail-name">{definition?.name ?? "New definition"}</h1>
        <div class="panel-aside">
          {changed && <span class="pill pill-warn">Not saved</span>}
          <a class="button" href={linkTo("definitions")} aria-label="Close the definition">
            ✕
          </a>
        </div>
      </header>
      <div class="panel-body">
        {!definition && (
          <Field
            label="Name"
            name="name"
            required
            value={typed}
            onInput={setTyped}
            placeholder="pipeline:{runId}"
            hint="A channel’s name; a variable in braces stands for a part of it."
          />
        )}
        <div class="field">
          <label for={id}>Definition</label>
          <textarea
            id={id}
            ref={area}
            class="code"
            name="document"
            spellcheck={false}
            autocapitalize="none"
            rows={Math.max(14, Math.min(34, text.split("\n").length + 1))}
            value={text}
            aria-describedby={`${id}-hint ${id}-verdict`}
            onInput={({ currentTarget }) => {
              setOutcome(null);
              keepDraft(slot, currentTarget.value);
            }}
          />
          <p class="hint" id={`${id}-hint`}>
            {isJSON(text) ? "JSON. You can write YAML instead." : "YAML. The server keeps it as JSON, without its comments."}
          </p>
        </div>
        <VerdictLine id={`${id}-verdict`} verdict={verdict} document={text} onShow={show} />
        <div class="actions">
          <button type="submit" class="primary" disabled={verdict.state !== "good"}>
            {definition ? "Save" : "Add"}
          </button>
          {changed && (
            <button type="button" onClick={() => dropDraft(slot)}>
              Discard changes
            </button>
          )}
          {definition && (
            <button type="button" class="danger push" onClick={() => setDeleting(true)}>
              Delete…
            </button>
          )}
        </div>
        <OutcomeLine outcome={outcome} />
      </div>
      {deleting && (
        <Confirm
          title={`Delete the definition ${name}?`}
          action="Delete the definition"
          onClose={() => setDeleting(false)}
          run={async () => {
            await call("v1/schemas/$", { method: "DELETE", query: { name } });
            dropDraft(slot);
            onChanged();
            go("definitions");
          }}
        >
          <p>Messages to its channels are no longer checked. Messages that are stored stay.</p>
        </Confirm>
      )}
    </form>
  );
}

interface VerdictProps {
  readonly id: string;
  readonly verdict: Verdict;
  readonly document: string;
  readonly onShow: (index: number) => void;
}

function VerdictLine({ id, verdict: { state, text, faults }, document, onShow }: VerdictProps): JSX.Element {
  const place = (fault: string): JSX.Element | null => {
    const index = state === "bad" ? indexOf(document, fault) : undefined;
    if (index === undefined) return null;
    return (
      <button type="button" class="small" aria-label={`Show it: ${fault}`} onClick={() => onShow(index)}>
        Show
      </button>
    );
  };
  return (
    <div id={id} class="verdict" data-state={state} role="status">
      {text && (
        <p>
          {text} {place(text)}
        </p>
      )}
      {faults.length > 0 && (
        <ul>
          {faults.map(({ pointer, detail }) => (
            <li key={`${pointer} ${detail}`}>
              <code>{pointer || "(whole document)"}</code> {detail} {place(detail)}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
