import type { JSX } from "preact";
import { bytes, count, duration, rate } from "../base/format.js";
import type { Node } from "../base/system.js";
import { useNow } from "../parts/clock.js";
import { Panel } from "../parts/panel.js";

/** The nodes of a cluster, side by side. */
export function Nodes({ nodes }: { nodes: readonly Node[] }): JSX.Element {
  const now = useNow();
  return (
    <Panel title="Nodes" class="nodes" aside={<span class="muted">{count(nodes.length)} answering</span>}>
      <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Publishes/s
              </th>
              <th scope="col" class="number">
                Streams
              </th>
              <th scope="col" class="number">
                Channels
              </th>
              <th scope="col" class="number">
                Memory
              </th>
              <th scope="col">Version</th>
              <th scope="col">Up for</th>
            </tr>
          </thead>
          <tbody>
            {nodes.map(({ id, node, not_ready: why, ...figures }) => (
              <tr key={id}>
                <td class="name">{node.name || id}</td>
                <td>
                  <span class={`pill ${why === undefined ? "pill-good" : "pill-bad"}`}>{why === undefined ? "Ready" : "Not ready"}</span>
                </td>
                <td class="number">{figures.rate === undefined ? "–" : rate(figures.rate)}</td>
                <td class="number">{count(figures.streams)}</td>
                <td class="number">{count(figures.channels)}</td>
                <td class="number">{bytes(figures.memory_bytes)}</td>
                <td>{node.version}</td>
                <td>{duration((now - Date.parse(node.started_at)) / 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
