import type { JSX } from "preact";
import { bytes, clock, count, duration, millis } from "../base/format.js";
import { levels } from "../base/samples.js";
import { useStore } from "../base/store.js";
import { system } from "../base/system.js";
import { Facts, Head, Panel } from "../parts/panel.js";
import { Plot } from "../parts/plot.js";
import { Failure, Loading } from "../parts/state.js";
import { useNow } from "../parts/clock.js";
import { Nodes } from "./nodes.js";

/** The node that answers, and how it is. */
export function NodeView(): JSX.Element {
  const { samples, nodes, state, why } = useStore(system);
  const now = useNow();
  const last = samples.at(-1)?.overview;
  if (!last) {
    return (
      <>
        <Head title="Node" />
        {state === "lost" ? <Failure error={why} /> : <Loading />}
      </>
    );
  }
  const { node } = last;
  const ready = last.not_ready === undefined;
  const times = [last.append, last.sync, last.delivery].map(({ measured, p50_ms: half, p99_ms: most }) =>
    measured > 0 ? `${millis(half)}, 99 % in ${millis(most)}` : "–",
  );
  return (
    <>
      <Head title="Node">
        <p class="muted">The node that answers this page. Behind a load balancer, a reload may show another one.</p>
      </Head>
      {nodes.length > 1 && <Nodes nodes={nodes} />}
      <div class="halves">
        <Panel
          title={node.name || "This node"}
          aside={<span class={`pill ${ready ? "pill-good" : "pill-bad"}`}>{ready ? "Ready" : "Not ready"}</span>}
        >
          {!ready && <Failure error={last.not_ready ?? ""} />}
          <Facts
            facts={[
              ["Version", node.version],
              ["Started", `${clock(node.started_at)}, ${duration((now - Date.parse(node.started_at)) / 1000)} ago`],
              ["Memory of the process", bytes(last.memory_bytes)],
              ["Replay buffers", `${bytes(last.ring_bytes)} of ${bytes(node.memory_limit_bytes)}`],
              ["Goroutines", count(last.goroutines)],
              ["Streams", count(last.streams)],
              ["Channels in memory", count(last.channels)],
            ]}
          />
          <div class="node-plot">
            <h3>Memory in the last minute</h3>
            <Plot
              text={bytes}
              lines={[
                { name: "process", points: levels(samples, (o) => o.memory_bytes) },
                { name: "buffers", points: levels(samples, (o) => o.ring_bytes) },
              ]}
            />
          </div>
        </Panel>
        <Panel title="Engine" aside={<span class="pill">{node.engine}</span>}>
          <Facts
            facts={[
              ["Stored", node.engine === "memory" ? "in memory alone" : bytes(last.kept_bytes)],
              ["Stores a message in", times[0]],
              ["Syncs in", times[1]],
              ["Readers have a message in", times[2]],
              ["Publishes that had to wait", count(last.waited_publishes)],
              ["Channels that lost messages to others", count(last.evicted)],
              ["Messages dropped for lack of space", count(last.dropped)],
              ["Messages fetched late from other nodes", count(last.repaired)],
            ]}
          />
        </Panel>
      </div>
    </>
  );
}
