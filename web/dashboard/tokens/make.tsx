import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { call, explain } from "../base/api.js";
import { clock } from "../base/format.js";
import type { Token } from "../base/types.js";
import { Copy } from "../parts/copy.js";
import { Field } from "../parts/field.js";
import { Facts, Panel } from "../parts/panel.js";
import { grantsOf } from "./grants.js";

/** Makes a token. */
export function Make({ onInspect }: { onInspect: (token: string) => void }): JSX.Element {
  const [sub, setSub] = useState("");
  const [reads, setReads] = useState("");
  const [publishes, setPublishes] = useState("");
  const [ttl, setTtl] = useState("10m");
  const [made, setMade] = useState<Token | null>(null);
  const [error, setError] = useState("");

  async function make(): Promise<void> {
    const subscribe = grantsOf(reads);
    const publish = grantsOf(publishes);
    const request = {
      ...(sub && { sub }),
      ...(subscribe.length > 0 && { subscribe }),
      ...(publish.length > 0 && { publish }),
      ...(ttl && { ttl }),
    };
    try {
      setMade(await call<Token>("v1/tokens", { method: "POST", body: JSON.stringify(request) }));
      setError("");
    } catch (failed) {
      setMade(null);
      setError(explain(failed));
    }
  }

  return (
    <Panel title="Make a token">
      <form
        class="panel-body"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Field
          label="Subject"
          name="sub"
          optional
          value={sub}
          onInput={setSub}
          placeholder="user-7"
          hint="Who uses it. Streams are listed and ended by it."
        />
        <GrantsField
          label="May read"
          name="subscribe"
          value={reads}
          onInput={setReads}
          placeholder={"pipeline:run_42 status tokens\nuser:7"}
        />
        <GrantsField
          label="May publish to"
          name="publish"
          value={publishes}
          onInput={setPublishes}
          placeholder="pipeline:run_42 approval"
        />
        <Field label="Lives for" name="ttl" value={ttl} onInput={setTtl} placeholder="10m" hint="Such as 30s, 10m, 24h." />
        <div class="actions">
          <button type="submit" class="primary">
            Make the token
          </button>
        </div>
        {error && (
          <p class="outcome lines" role="alert" data-ok="false">
            {error}
          </p>
        )}
      </form>
      {made && (
        <div class="made" role="status">
          <Facts
            facts={[
              ["Id (jti)", <code>{made.jti}</code>],
              ["Expires", clock(made.expires_at)],
            ]}
          />
          <div class="panel-body made-token">
            <code class="secret">{made.token}</code>
            <div class="actions">
              <Copy text={made.token} label="Copy the token" />
              <Copy text={made.subscribe_url} label="Copy the address to subscribe" />
              <button type="button" onClick={() => onInspect(made.token)}>
                Inspect
              </button>
            </div>
          </div>
        </div>
      )}
    </Panel>
  );
}

interface GrantsProps {
  readonly label: string;
  readonly name: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onInput: (value: string) => void;
}

function GrantsField({ label, name, value, placeholder, onInput }: GrantsProps): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <textarea
        id={id}
        name={name}
        rows={3}
        spellcheck={false}
        autocapitalize="none"
        placeholder={placeholder}
        value={value}
        aria-describedby={`${id}-hint`}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
      <p class="hint" id={`${id}-hint`}>
        A channel or pattern a line, then its topics. Without topics: all of them.
      </p>
    </div>
  );
}
