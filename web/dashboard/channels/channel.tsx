import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useAnswer } from "../base/answer.js";
import { call } from "../base/api.js";
import { bytes, clock, count, rate } from "../base/format.js";
import { go, linkTo } from "../base/route.js";
import type { ChannelInfo } from "../base/types.js";
import { Confirm } from "../parts/confirm.js";
import { Facts } from "../parts/panel.js";
import { Empty, Failure } from "../parts/state.js";
import { Messages } from "./messages.js";
import { Readers } from "./readers.js";
import { PresencePanel } from "./presence.js";

interface Props {
  readonly name: string;
  /** Messages a second, if it is among the busiest channels. */
  readonly perSecond: number | undefined;
}

/** One channel: what is known of it, what it brings, and who reads it. */
export function Channel({ name, perSecond }: Props): JSX.Element {
  const { data, error, status } = useAnswer<ChannelInfo>("v1/channels/$", { channel: name }, 2000);
  const [deleting, setDeleting] = useState(false);
  return (
    <div class="master-detail stack">
      <header class="detail-head">
        <h1 class="detail-name">{name}</h1>
        <div class="actions">
          <a class="button" href={`#${new URLSearchParams({ channel: name, replay: "all" }).toString()}`}>
            Debug
          </a>
          <button type="button" class="danger" onClick={() => setDeleting(true)}>
            Delete…
          </button>
          <a class="button" href={linkTo("channels")} aria-label="Close the channel">
            ✕
          </a>
        </div>
      </header>
      {status === 404 && (
        <Empty title="There is no such channel at the moment">It exists as soon as somebody publishes to it or reads it.</Empty>
      )}
      {error && status !== 404 && <Failure error={error} />}
      {data && (
        <section class="panel" aria-label="Facts">
          <Facts
            facts={[
              ["Readers on this node", count(data.subscribers)],
              ["Publishes", perSecond === undefined ? "few now" : `${rate(perSecond)}/s`],
              ["Messages held", `${count(data.messages)}, ${bytes(data.bytes)}`],
              ["First and last id", data.first_id ? <code>{`${data.first_id} … ${data.last_id ?? ""}`}</code> : "–"],
              ["Run", <RunFact info={data} />],
            ]}
          />
        </section>
      )}
      <Messages channel={name} />
      <div class="halves">
        <Readers channel={name} />
        <PresencePanel channel={name} />
      </div>
      {deleting && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete the channel"
          onClose={() => setDeleting(false)}
          run={async () => {
            await call("v1/channels/$", { method: "DELETE", query: { channel: name } });
            go("channels");
          }}
        >
          <p>Its messages and its run status are gone for good, on all nodes. Streams that name the channel end.</p>
        </Confirm>
      )}
    </div>
  );
}

function RunFact({ info: { run } }: { info: ChannelInfo }): JSX.Element {
  if (!run) return <>–</>;
  return (
    <>
      <span class={`pill run-${run.status}`}>{run.status}</span> {run.run_id} {clock(run.updated_at)}
    </>
  );
}
