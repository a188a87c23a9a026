import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "../base/answer.js";
import { call } from "../base/api.js";
import { ago, some } from "../base/format.js";
import { go, linkTo } from "../base/route.js";
import type { Subscriber, SubscriberList } from "../base/types.js";
import { Confirm } from "../parts/confirm.js";
import { Field } from "../parts/field.js";
import { Name } from "../parts/name.js";
import { Head } from "../parts/panel.js";
import { Answered, Empty, OutcomeLine, type Outcome } from "../parts/state.js";
import { useNow } from "../parts/clock.js";

const MOST = 1000;

/** What is about to be ended: the streams of a subject, or those of a token. */
type Ending = { readonly sub: string } | { readonly jti: string };

/** The open streams of this node, and their end. */
export function Subscribers({ item }: { item: string }): JSX.Element {
  const [sub, setSub] = useState(item);
  const [channel, setChannel] = useState("");
  const [asked, setAsked] = useState(""); // the channel; the subject is in the address
  const [ending, setEnding] = useState<Ending | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  useEffect(() => setSub(item), [item]);
  const query = { limit: String(MOST), ...(item && { sub: item }), ...(asked && { channel: asked }) };
  const answer = useAnswer<SubscriberList>("v1/subscribers", query, 5000);

  return (
    <>
      <Head title="Subscribers">
        {answer.data && (
          <p class="muted">
            {some(answer.data.subscribers.length, "stream")}
            {answer.data.subscribers.length === MOST && ", and more"} on this node
          </p>
        )}
      </Head>
      <form
        class="panel filters"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(channel.trim());
          go("subscribers", sub.trim());
        }}
      >
        <Field label="Subject" name="sub" value={sub} onInput={setSub} placeholder="user-7" />
        <Field label="Reads the channel" name="channel" value={channel} onInput={setChannel} placeholder="pipeline:run_42" />
        <button type="submit">Show</button>
        {item && (
          <button type="button" class="danger" onClick={() => setEnding({ sub: item })}>
            Disconnect {item.slice(0, 32)}…
          </button>
        )}
      </form>
      <OutcomeLine outcome={outcome} />
      <div class="panel">
        <Answered answer={answer}>
          {({ subscribers }) =>
            subscribers.length === 0 ? (
              <Empty title="No such stream is open">
                {item || asked ? "Empty fields show all streams." : "A stream is listed as long as its client is connected."}
              </Empty>
            ) : (
              <Table subscribers={subscribers} onEnd={setEnding} />
            )
          }
        </Answered>
      </div>
      {ending && (
        <Confirm
          title={"sub" in ending ? `Disconnect ${ending.sub}?` : `Revoke the token ${ending.jti}?`}
          action={"sub" in ending ? "Disconnect" : "Revoke the token"}
          onClose={() => setEnding(null)}
          run={async () => {
            setOutcome({ ok: true, text: await end(ending) });
            answer.reload();
          }}
        >
          {"sub" in ending ? (
            <p>
              All streams of this subject end, on all nodes. Clients stop for good, but anyone with a valid token can open a new stream.
            </p>
          ) : (
            <p>Its streams end, and it can open no new ones.</p>
          )}
        </Confirm>
      )}
    </>
  );
}

async function end(ending: Ending): Promise<string> {
  if ("jti" in ending) {
    await call(`v1/tokens/${encodeURIComponent(ending.jti)}`, { method: "DELETE" });
    return `The token ${ending.jti} is revoked.`;
  }
  const { disconnected } = await call<{ disconnected: number }>("v1/subscribers", { method: "DELETE", query: { sub: ending.sub } });
  return `${some(disconnected, "stream")} of ${ending.sub} ended on this node.`;
}

function Table({ subscribers, onEnd }: { subscribers: readonly Subscriber[]; onEnd: (ending: Ending) => void }): JSX.Element {
  const now = useNow(5000);
  return (
    <div class="scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Subject</th>
            <th scope="col">Channels</th>
            <th scope="col">Topics</th>
            <th scope="col">Address</th>
            <th scope="col">Since</th>
            <th scope="col">
              <span class="unseen">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {subscribers.map((stream) => (
            <tr key={stream.id}>
              <td class="name">
                <Who stream={stream} />
              </td>
              <td class="name">
                <Names names={stream.channels} />
              </td>
              <td>{stream.topics.join(", ")}</td>
              <td>
                {stream.address} <span class="muted">{stream.format}</span>
              </td>
              <td class="nowrap">{ago(stream.connected_at, now)}</td>
              <td class="number">
                <End stream={stream} onEnd={onEnd} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Who({ stream: { sub, key, jti } }: { stream: Subscriber }): JSX.Element {
  if (sub) return <Name name={sub} />;
  return <span class="muted">{key ? `API key ${key}` : jti ? `token ${jti.slice(0, 8)}…` : "API key"}</span>;
}

function Names({ names }: { names: readonly string[] }): JSX.Element {
  const shown = names.slice(0, 3);
  return (
    <>
      {shown.map((name) => (
        <Name key={name} name={name} {...(!name.endsWith("*") && { href: linkTo("channels", name) })} />
      ))}
      {names.length > shown.length && <span class="muted">and {names.length - shown.length} more</span>}
    </>
  );
}

function End({ stream: { sub, jti }, onEnd }: { stream: Subscriber; onEnd: (ending: Ending) => void }): JSX.Element | null {
  if (sub) {
    return (
      <button type="button" class="small" aria-label={`Disconnect ${sub}`} onClick={() => onEnd({ sub })}>
        Disconnect…
      </button>
    );
  }
  if (!jti) return null;
  return (
    <button type="button" class="small" aria-label={`Revoke the token ${jti}`} onClick={() => onEnd({ jti })}>
      Revoke…
    </button>
  );
}
