import type { JSX } from "preact";
import { useAnswer } from "../base/answer.js";
import { ago, count } from "../base/format.js";
import { linkTo } from "../base/route.js";
import type { Presence } from "../base/types.js";
import { Panel } from "../parts/panel.js";
import { Answered, Empty } from "../parts/state.js";
import { useNow } from "../parts/clock.js";

/** Who reads a channel, on all nodes. */
export function PresencePanel({ channel }: { channel: string }): JSX.Element {
  const answer = useAnswer<Presence>("v1/channels/$/presence", { channel }, 2000);
  const now = useNow(5000);
  const present = answer.data;
  return (
    <Panel title="Presence" aside={present && <span class="pill">{count(present.count)} on all nodes</span>}>
      <Answered answer={answer}>
        {({ count: all, subjects, more }) => (
          <>
            {subjects.length > 0 && (
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">Subject</th>
                    <th scope="col" class="number">
                      Streams
                    </th>
                    <th scope="col">Since</th>
                  </tr>
                </thead>
                <tbody>
                  {subjects.map(({ sub, streams, since }) => (
                    <tr key={sub}>
                      <td class="name">
                        <a href={linkTo("subscribers", sub)}>{sub}</a>
                      </td>
                      <td class="number">{count(streams)}</td>
                      <td class="nowrap">{ago(since, now)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            {all > subjects.length && (
              <p class="hint table-end">
                {count(all - subjects.length)} {more ? "more" : "without a subject, such as this page"}
              </p>
            )}
            {all === 0 && <Empty title="Nobody is there" />}
          </>
        )}
      </Answered>
    </Panel>
  );
}
