import type { JSX, RefObject } from "preact";
import type { Phase } from "./stream.js";

/** What is in the fields of the form, as text. */
export interface Form {
  readonly credential: string;
  readonly channels: string;
  readonly topics: string;
  readonly replay: string;
}

interface Props {
  readonly form: Form;
  readonly phase: Phase;
  readonly fault: string;
  readonly first: RefObject<HTMLInputElement | null>;
  readonly button: RefObject<HTMLButtonElement | null>;
  readonly onForm: (form: Form) => void;
  readonly onConnect: () => void;
  readonly onDisconnect: () => void;
}

const REPLAYS = [
  ["none", "nothing"],
  ["latest", "the latest of each topic"],
  ["10", "last 10"],
  ["100", "last 100"],
  ["all", "everything stored"],
] as const;

/** Says what to subscribe to, and as whom. */
export function ConnectForm({ form, phase, fault, first, button, onForm, onConnect, onDisconnect }: Props): JSX.Element {
  const { credential, channels, topics, replay } = form;
  const idle = phase.name === "idle" || phase.name === "stopped";
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: false } as const;
  return (
    <form
      id="connect"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        onConnect();
      }}
    >
      <div class="field">
        <label for="credential">Token or API key</label>
        <input
          id="credential"
          ref={first}
          type="password"
          {...plain}
          required
          aria-describedby="credential-hint"
          value={credential}
          onInput={({ currentTarget }) => onForm({ ...form, credential: currentTarget.value })}
        />
        <p class="hint" id="credential-hint">
          Kept only in this tab’s memory. It is never stored or put into a URL.
        </p>
      </div>
      <div class="field">
        <label for="channels">Channels</label>
        <input
          id="channels"
          {...plain}
          placeholder="pipeline:run_42"
          aria-describedby="channels-hint"
          value={channels}
          onInput={({ currentTarget }) => onForm({ ...form, channels: currentTarget.value })}
        />
        <p class="hint" id="channels-hint">
          Separate names with spaces. <code>pipeline:*</code> matches every channel below it.
        </p>
      </div>
      <div class="pair">
        <div class="field">
          <label for="topics">Topics</label>
          <input
            id="topics"
            {...plain}
            placeholder="all you may read"
            value={topics}
            onInput={({ currentTarget }) => onForm({ ...form, topics: currentTarget.value })}
          />
        </div>
        <div class="field">
          <label for="replay">Replay</label>
          <select id="replay" value={replay} onChange={({ currentTarget }) => onForm({ ...form, replay: currentTarget.value })}>
            {REPLAYS.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
            {/^[0-9]+$/.test(replay) && !["10", "100"].includes(replay) && <option value={replay}>last {replay}</option>}
          </select>
        </div>
      </div>
      <div class="actions">
        <button type="submit" class="primary" id="connect-button" ref={button}>
          {idle ? "Connect" : "Reconnect"}
        </button>
        <button type="button" id="disconnect" disabled={idle} onClick={onDisconnect}>
          Disconnect
        </button>
      </div>
      <p class="outcome" id="connect-outcome" role="status" data-ok={fault ? "false" : undefined}>
        {fault}
      </p>
    </form>
  );
}
