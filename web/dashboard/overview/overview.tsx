import type { JSX } from "preact";
import { bytes, count, duration, millis, rate, some } from "../base/format.js";
import { gapsOf, latest, levels, rates, type Overview as Figures, type Sample, type Times } from "../base/samples.js";
import { useStore } from "../base/store.js";
import { system } from "../base/system.js";
import { Facts, Head, Panel } from "../parts/panel.js";
import { Failure, Loading } from "../parts/state.js";
import { useNow } from "../parts/clock.js";
import { Busiest } from "./busiest.js";
import { Tile } from "./tile.js";

/** What the node is doing now, and in the last minute. */
export function Overview(): JSX.Element {
  const { state, why, samples, busiest } = useStore(system);
  const last = samples.at(-1)?.overview;
  return (
    <>
      <Head title="Overview">{last && <Node figures={last} />}</Head>
      {state === "lost" && <Failure error={`No new figures arrive: ${why}. These are the last known ones.`} />}
      {last ? (
        <>
          <Tiles samples={samples} last={last} />
          <div class="halves">
            <Busiest busiest={busiest.slice(0, 10)} />
            <Engine last={last} />
          </div>
        </>
      ) : (
        state !== "lost" && <Loading>Waiting for the first figures…</Loading>
      )}
    </>
  );
}

function Node({ figures: { node } }: { figures: Figures }): JSX.Element {
  const now = useNow();
  return (
    <p class="muted">
      {node.name || "This node"} · Sluice {node.version} · up for {duration((now - Date.parse(node.started_at)) / 1000)}
    </p>
  );
}

function Tiles({ samples, last }: { samples: readonly Sample[]; last: Figures }): JSX.Element {
  const grown = (of: (figures: Figures) => number): ReturnType<typeof rates> => rates(samples, of);
  const published = grown((o) => o.published);
  const delivered = grown((o) => o.delivered);
  const streams = levels(samples, (o) => o.streams);
  const faults = grown((o) => o.client_errors + o.server_errors);
  const serverFaults = grown((o) => o.server_errors);
  const gaps = grown(gapsOf);
  const memory = levels(samples, (o) => o.memory_bytes);
  const rings = levels(samples, (o) => o.ring_bytes);
  return (
    <div class="tiles">
      <Tile title="Publishes" value={latest(published)} text={rate} unit="/s" lines={[{ name: "publishes", points: published }]}>
        {count(last.published)} since the start{measured(", stored in", last.append)}
      </Tile>
      <Tile title="Deliveries" value={latest(delivered)} text={rate} unit="/s" lines={[{ name: "deliveries", points: delivered }]}>
        {bytes(latest(grown((o) => o.delivered_bytes)))}/s{measured(", there in", last.delivery)}
      </Tile>
      <Tile title="Streams" value={last.streams} text={count} lines={[{ name: "streams", points: streams }]}>
        {last.lagging_streams > 0 ? `${count(last.lagging_streams)} behind` : "all keep up"} · {some(last.channels, "channel")} in memory
      </Tile>
      <Tile
        title="Errors"
        value={latest(faults)}
        text={rate}
        unit="/s"
        alarm={latest(serverFaults) > 0}
        lines={[
          { name: "all", points: faults },
          { name: "5xx", points: serverFaults },
        ]}
      >
        {count(last.client_errors)} × 4xx · {count(last.server_errors)} × 5xx · {some(last.refused_streams, "stream")} refused
      </Tile>
      <Tile title="Gaps" value={latest(gaps)} text={rate} unit="/s" alarm={latest(gaps) > 0} lines={[{ name: "gaps", points: gaps }]}>
        {gapsOf(last) === 0
          ? "no reader has lost anything"
          : Object.entries(last.gaps)
              .filter(([, n]) => n > 0)
              .map(([reason, n]) => `${count(n)} ${reason}`)
              .join(" · ")}
      </Tile>
      <Tile
        title="Memory"
        value={last.memory_bytes}
        text={bytes}
        lines={[
          { name: "process", points: memory },
          { name: "buffers", points: rings },
        ]}
      >
        buffers {bytes(last.ring_bytes)} of {bytes(last.node.memory_limit_bytes)}
      </Tile>
    </div>
  );
}

/** "stored in 0.1 ms, 99 % in 0.4 ms", or nothing if nothing was measured. */
function measured(words: string, { measured: n, p50_ms: half, p99_ms: most }: Times): string {
  return n > 0 ? `${words} ${millis(half)}, 99 % in ${millis(most)}` : "";
}

function Engine({ last }: { last: Figures }): JSX.Element {
  const ready = last.not_ready === undefined;
  const none = last.node.engine === "memory";
  return (
    <Panel title="Engine" aside={<span class={`pill ${ready ? "pill-good" : "pill-bad"}`}>{ready ? "Ready" : "Not ready"}</span>}>
      {!ready && <Failure error={last.not_ready ?? ""} />}
      <Facts
        facts={[
          ["Engine", last.node.engine],
          ["Stored", none ? "in memory alone" : bytes(last.kept_bytes)],
          ["Stores a message in", last.append.measured > 0 ? `${millis(last.append.p50_ms)}, 99 % in ${millis(last.append.p99_ms)}` : "–"],
          ["Syncs in", last.sync.measured > 0 ? `${millis(last.sync.p50_ms)}, 99 % in ${millis(last.sync.p99_ms)}` : "–"],
          ["Publishes that had to wait", count(last.waited_publishes)],
          ["Channels that lost messages to others", count(last.evicted)],
          ["Messages dropped for lack of space", count(last.dropped)],
          ["Messages fetched late from other nodes", count(last.repaired)],
          ["Log lines lost", count(last.log_lines_lost)],
        ]}
      />
    </Panel>
  );
}
