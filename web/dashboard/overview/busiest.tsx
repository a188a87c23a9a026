import type { JSX } from "preact";
import { count, rate } from "../base/format.js";
import { linkTo } from "../base/route.js";
import type { Busy } from "../base/system.js";
import { Name } from "../parts/name.js";
import { Panel } from "../parts/panel.js";
import { Empty } from "../parts/state.js";

/** The channels to which most is published. */
export function Busiest({ busiest }: { busiest: readonly Busy[] }): JSX.Element {
  const most = busiest[0]?.rate ?? 1;
  return (
    <Panel title="Busiest channels" aside={<a href={linkTo("channels")}>All channels</a>}>
      {busiest.length === 0 ? (
        <Empty title="Nothing is being published">Messages published through this node show here within two seconds.</Empty>
      ) : (
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Channel</th>
              <th scope="col" class="number">
                Publishes/s
              </th>
              <th scope="col" class="number">
                Readers
              </th>
            </tr>
          </thead>
          <tbody>
            {busiest.map(({ channel, rate: perSecond, subscribers }) => (
              <tr key={channel}>
                <td class="name">
                  <Name name={channel} href={linkTo("channels", channel)} />
                  <meter class="bar" min={0} max={most} value={perSecond} aria-hidden="true" />
                </td>
                <td class="number">{rate(perSecond)}</td>
                <td class="number">{count(subscribers)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
