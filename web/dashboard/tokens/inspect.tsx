import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { clock, duration } from "../base/format.js";
import type { Grant } from "../base/types.js";
import { Facts, Panel } from "../parts/panel.js";
import { useNow } from "../parts/clock.js";
import { decode, type Decoded } from "./decode.js";
import { textOf } from "./grants.js";

/** Reads a token in the browser: it is sent nowhere. */
export function Inspect({ token, onToken }: { token: string; onToken: (token: string) => void }): JSX.Element {
  const id = useId();
  const decoded = token.trim() === "" ? null : decode(token);
  return (
    <Panel title="Inspect a token">
      <div class="panel-body">
        <div class="field">
          <label for={id}>Token</label>
          <textarea
            id={id}
            name="inspected"
            rows={3}
            spellcheck={false}
            autocapitalize="none"
            value={token}
            aria-describedby={`${id}-hint`}
            onInput={({ currentTarget }) => onToken(currentTarget.value)}
          />
          <p class="hint" id={`${id}-hint`}>
            It is read here and sent nowhere. Whether its signature is good, only the server knows.
          </p>
        </div>
        {typeof decoded === "string" && (
          <p class="outcome" role="status" data-ok="false">
            {decoded}
          </p>
        )}
      </div>
      {decoded !== null && typeof decoded === "object" && <Claims decoded={decoded} />}
    </Panel>
  );
}

function Claims({ decoded: { header, claims } }: { decoded: Decoded }): JSX.Element {
  const text = (value: unknown): string => (typeof value === "string" ? value : value === undefined ? "–" : JSON.stringify(value));
  return (
    <>
      <Facts
        facts={[
          ["Subject (sub)", text(claims["sub"])],
          ["Id (jti)", <code>{text(claims["jti"])}</code>],
          ["Issuer (iss)", text(claims["iss"])],
          ["Issued", timeOf(claims["iat"])],
          ["Expires", <Expiry exp={claims["exp"]} />],
          ["Algorithm, key", <code>{`${text(header["alg"])}, ${text(header["kid"])}`}</code>],
          ["May read", <Grants grants={claims["subscribe"]} />],
          ["May publish to", <Grants grants={claims["publish"]} />],
        ]}
      />
      <details class="claims">
        <summary>All claims</summary>
        <pre tabIndex={0}>{JSON.stringify(claims, null, 2)}</pre>
      </details>
    </>
  );
}

function timeOf(seconds: unknown): string {
  return typeof seconds === "number" ? clock(seconds * 1000) : "–";
}

function Expiry({ exp }: { exp: unknown }): JSX.Element {
  const now = useNow();
  if (typeof exp !== "number") return <>never, which the server refuses</>;
  const left = exp - now / 1000;
  return (
    <>
      {timeOf(exp)} <span class={left > 0 ? "pill pill-good" : "pill pill-bad"}>{left > 0 ? `in ${duration(left)}` : "expired"}</span>
    </>
  );
}

function Grants({ grants }: { grants: unknown }): JSX.Element {
  if (!Array.isArray(grants) || grants.length === 0) return <>nothing</>;
  const ours = grants.every((grant: Partial<Grant> | null) => typeof grant?.channel === "string" && Array.isArray(grant.topics));
  return ours ? <span class="lines">{textOf(grants as Grant[])}</span> : <code>{JSON.stringify(grants)}</code>; // another kind of token
}
