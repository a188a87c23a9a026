import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../base/api.js";
import { Confirm } from "../parts/confirm.js";
import { Field } from "../parts/field.js";
import { Panel } from "../parts/panel.js";
import { OutcomeLine, type Outcome } from "../parts/state.js";
import { jtiOf } from "./decode.js";

/** Takes a token back. */
export function Revoke(): JSX.Element {
  const [text, setText] = useState("");
  const [revoked, setRevoked] = useState("");
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  return (
    <Panel title="Revoke a token">
      <form
        class="panel-body"
        onSubmit={(event) => {
          event.preventDefault();
          const jti = jtiOf(text);
          if (jti) setRevoked(jti);
          else setOutcome({ ok: false, text: "This token has no id, so it cannot be revoked." });
        }}
      >
        <Field label="Token, or its id (jti)" name="revoked" required value={text} onInput={setText} />
        <div class="actions">
          <button type="submit" class="danger">
            Revoke…
          </button>
        </div>
        <OutcomeLine outcome={outcome} />
      </form>
      {revoked && (
        <Confirm
          title={`Revoke the token ${revoked}?`}
          action="Revoke the token"
          onClose={() => setRevoked("")}
          run={async () => {
            await call(`v1/tokens/${encodeURIComponent(revoked)}`, { method: "DELETE" });
            setOutcome({ ok: true, text: `The token ${revoked} is revoked.` });
            setText("");
          }}
        >
          <p>It can open no new streams, and its open streams end within a second, on all nodes. This cannot be undone.</p>
        </Confirm>
      )}
    </Panel>
  );
}
