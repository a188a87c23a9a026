import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useAnswer } from "../base/answer.js";
import { ago, count } from "../base/format.js";
import { linkTo } from "../base/route.js";
import type { PresenceList } from "../base/types.js";
import { Name } from "../parts/name.js";
import { Panel } from "../parts/panel.js";
import { Empty, Failure, Loading } from "../parts/state.js";
import { useNow } from "../parts/clock.js";
import { usePresent } from "./present.js";

/** How often it is asked how many streams each subject has: of that, a stream does not tell. */
const REFRESH_MS = 10_000;

/** Who reads a channel, on all nodes. */
export function PresencePanel({ channel }: { channel: string }): JSX.Element {
  const [attempt, setAttempt] = useState(0);
  const { known, cut, over } = usePresent(channel, attempt);
  const retry = over ? { retry: () => setAttempt(attempt + 1) } : {};
  return (
    <Panel title="Presence" aside={known && <span class="pill">{count(known.count)} on all nodes</span>}>
      {cut && <Failure error={`Joins and leaves are not shown at the moment: ${cut}`} {...retry} />}
      {known ? <Subjects channel={channel} {...known} /> : !cut && <Loading />}
    </Panel>
  );
}

interface Props {
  readonly channel: string;
  readonly subjects: readonly string[];
  readonly count: number;
  readonly more: boolean;
}

/** Subjects come and go with the stream; since when they are there, and how often, is asked for. */
function Subjects({ channel, subjects, count: all, more }: Props): JSX.Element {
  const { data } = useAnswer<PresenceList>("v1/channels/$/presence", { channel }, REFRESH_MS, more || subjects);
  const now = useNow(5000);
  const details = new Map(data?.subjects.map((subject) => [subject.sub, subject]));
  const shown = more ? [...details.keys()] : subjects; // of very many, a stream tells only the number
  if (all === 0) return <Empty title="Nobody is there" />;
  return (
    <div class="scroll">
      {shown.length > 0 && (
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
            {shown.map((sub) => (
              <tr key={sub}>
                <td class="name">
                  <Name name={sub} href={linkTo("subscribers", sub)} />
                </td>
                <td class="number">{count(details.get(sub)?.streams ?? 1)}</td>
                <td class="nowrap">{ago(details.get(sub)?.since ?? "", now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {all > shown.length && (
        <p class="hint table-end">
          {count(all - shown.length)}{" "}
          {more ? "more. Beyond 1,000 subjects, only their number is told at once." : "without a subject, such as this page"}
        </p>
      )}
    </div>
  );
}
