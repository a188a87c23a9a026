import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Head } from "../parts/panel.js";
import { Inspect } from "./inspect.js";
import { Make } from "./make.js";
import { Revoke } from "./revoke.js";

/** Makes tokens, reads them, and takes them back. */
export function Tokens(): JSX.Element {
  const [token, setToken] = useState("");
  return (
    <>
      <Head title="Tokens" />
      <div class="halves">
        <Make onInspect={setToken} />
        <div class="stack">
          <Inspect token={token} onToken={setToken} />
          <Revoke />
        </div>
      </div>
    </>
  );
}
