import type { JSX } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { count } from "../base/format.js";
import { createStore, useStore, type Store } from "../base/store.js";
import { system } from "../base/system.js";
import { Head } from "../parts/panel.js";
import { Channel } from "./channel.js";
import { List } from "./list.js";

/** What is looked for; kept while other sections are shown. */
const sought: Store<string> = createStore("");

/** All channels, and the one that is open. */
export function Channels({ item }: { item: string }): JSX.Element {
  const prefix = useStore(sought);
  const settled = useSettled(prefix, 200);
  const { samples, busiest } = useStore(system);
  const id = useId();
  const last = samples.at(-1)?.overview;
  const rates = new Map(busiest.map(({ channel, rate }) => [channel, rate]));
  return (
    <div class={item ? "master master-open" : "master"}>
      <div class="master-list">
        <Head title="Channels">{last && <p class="muted">{count(last.channels)} in memory</p>}</Head>
        <div class="panel channels">
          <div class="search">
            <label class="unseen" for={id}>
              Channels that begin with
            </label>
            <input
              id={id}
              type="search"
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              placeholder="Names that begin with…"
              value={prefix}
              onInput={({ currentTarget }) => sought.set(currentTarget.value)}
            />
          </div>
          <List prefix={settled} open={item} rates={rates} />
        </div>
      </div>
      {item && <Channel name={item} key={item} perSecond={rates.get(item)} />}
    </div>
  );
}

/** Returns the value once it has stayed the same for a while. */
function useSettled(value: string, afterMs: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), afterMs);
    return () => clearTimeout(timer);
  }, [value, afterMs]);
  return settled;
}
