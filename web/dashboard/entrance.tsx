import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { linkTo } from "./base/route.js";
import { enter, session } from "./base/session.js";
import { useStore } from "./base/store.js";
import { Field } from "./parts/field.js";
import { Loading } from "./parts/state.js";

/** Asks for an API key. */
export function Entrance(): JSX.Element {
  const { state, why } = useStore(session);
  const [key, setKey] = useState("");
  if (state === "checking") return <Loading>Trying the key…</Loading>;
  return (
    <form
      class="panel entrance"
      onSubmit={(event) => {
        event.preventDefault();
        void enter(key.trim());
      }}
    >
      <h1>Enter an API key</h1>
      <p class="muted">The dashboard shows everything that the server does, and can change it. So it needs a key that may do everything.</p>
      <Field
        label="API key"
        name="key"
        type="password"
        required
        value={key}
        onInput={setKey}
        hint="Kept only in this tab’s memory, until you close or reload it. It is never stored or put into a URL."
      />
      {why && (
        <p class="outcome" role="alert" data-ok="false">
          {why}
        </p>
      )}
      <div class="actions">
        <button type="submit" class="primary">
          Open the dashboard
        </button>
      </div>
      <p class="hint">
        With a token, you can look at the channels that it grants in the <a href={linkTo("debugger")}>debugger</a>.
      </p>
    </form>
  );
}
