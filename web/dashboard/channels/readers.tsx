import type { JSX } from "preact";
import { useAnswer } from "../base/answer.js";
import { ago, count } from "../base/format.js";
import { linkTo } from "../base/route.js";
import type { SubscriberList } from "../base/types.js";
import { Name } from "../parts/name.js";
import { Panel } from "../parts/panel.js";
import { Answered, Empty } from "../parts/state.js";
import { useNow } from "../parts/clock.js";

const MOST = 100;

/** The streams of this node that read a channel. */
export function Readers({ channel }: { channel: string }): JSX.Element {
  const answer = useAnswer<SubscriberList>("v1/subscribers", { channel, limit: String(MOST) }, 3000);
  const now = useNow(5000);
  return (
    <Panel title="Readers" aside={<a href={linkTo("subscribers")}>All subscribers</a>}>
      <Answered answer={answer}>
        {({ subscribers }) =>
          subscribers.length === 0 ? (
            <Empty title="Nobody reads it on this node" />
          ) : (
            <div class="scroll">
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">Subject</th>
                    <th scope="col">Address</th>
                    <th scope="col">Since</th>
                  </tr>
                </thead>
                <tbody>
                  {subscribers.map(({ id, sub, key, jti, address, connected_at: since }) => (
                    <tr key={id}>
                      <td class="name">
                        {sub ? (
                          <Name name={sub} href={linkTo("subscribers", sub)} />
                        ) : (
                          <span class="muted">{key ? `key ${key}` : jti ? "no subject" : "an API key"}</span>
                        )}
                      </td>
                      <td>{address}</td>
                      <td class="nowrap">{ago(since, now)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
              {subscribers.length === MOST && <p class="hint table-end">The first {count(MOST)}.</p>}
            </div>
          )
        }
      </Answered>
    </Panel>
  );
}
