import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { OutcomeLine, type Outcome } from "../parts/state.js";
import { faultOf, publish } from "./publish.js";

interface Props {
  readonly credential: string;
  readonly channel: string;
  readonly topic: string;
  readonly onChannel: (channel: string) => void;
  readonly onTopic: (topic: string) => void;
}

/** Publishes one message. */
export function PublishForm({ credential, channel, topic, onChannel, onTopic }: Props): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const [data, setData] = useState('{"message": "Hello"}');
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);

  async function submit(): Promise<void> {
    if (busy) return;
    const publication = { credential, channel: channel.trim(), topic: topic.trim(), data, key };
    const fault = faultOf(publication);
    if (fault) {
      setOutcome({ ok: false, text: fault.text });
      form.current?.querySelector<HTMLElement>(`#publish-${fault.field}`)?.focus();
      return;
    }
    setBusy(true);
    setOutcome({ ok: true, text: "Publishing…" });
    setOutcome(await publish(publication));
    setBusy(false);
  }

  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: false } as const;
  return (
    <form
      id="publish"
      ref={form}
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <div class="pair">
        <div class="field">
          <label for="publish-channel">Channel</label>
          <input id="publish-channel" {...plain} required value={channel} onInput={({ currentTarget }) => onChannel(currentTarget.value)} />
        </div>
        <div class="field">
          <label for="publish-topic">Topic</label>
          <input
            id="publish-topic"
            {...plain}
            required
            placeholder="status"
            value={topic}
            onInput={({ currentTarget }) => onTopic(currentTarget.value)}
          />
        </div>
      </div>
      <div class="field">
        <label for="publish-data">Data (JSON)</label>
        <textarea
          id="publish-data"
          rows={4}
          spellcheck={false}
          autocapitalize="none"
          required
          aria-describedby="publish-hint"
          value={data}
          onInput={({ currentTarget }) => setData(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
          }}
        />
        <p class="hint" id="publish-hint">
          <kbd>Ctrl</kbd> + <kbd>Enter</kbd> publishes.
        </p>
      </div>
      <div class="field">
        <label for="publish-key">
          Idempotency key <span class="optional">optional</span>
        </label>
        <input id="publish-key" {...plain} maxLength={255} value={key} onInput={({ currentTarget }) => setKey(currentTarget.value)} />
      </div>
      <div class="actions">
        <button type="submit">Publish</button>
      </div>
      <OutcomeLine outcome={outcome} />
    </form>
  );
}
