import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { call } from "../base/api.js";
import { bytes, count, rate } from "../base/format.js";
import { linkTo } from "../base/route.js";
import type { ChannelInfo } from "../base/types.js";
import { Empty, Failure } from "../parts/state.js";
import { createPages, PAGE, type Loaded, type Pages } from "./pages.js";
import { moved, scrollFor, windowOf } from "./window.js";

/** Of the style sheet: .channel-row. */
const ROW = 36;

/** How often what is seen is asked for again. */
const REFRESH_MS = 5000;

interface Props {
  readonly prefix: string;
  /** The channel that is open. */
  readonly open: string;
  /** Messages a second, of the busiest channels. */
  readonly rates: ReadonlyMap<string, number>;
}

/** What is kept of a channel in the list: there may be very many. */
type Row = Pick<ChannelInfo, "channel" | "subscribers" | "messages" | "bytes"> & { readonly run: string };

async function load(prefix: string, after: string, signal: AbortSignal): Promise<Loaded<Row>> {
  const query = { limit: String(PAGE), ...(prefix && { prefix }), ...(after && { after }) };
  const { channels, next } = await call<{ channels: ChannelInfo[]; next: string | null }>("v1/channels", { query, signal });
  return {
    next,
    rows: channels.map(({ channel, subscribers, messages, bytes: size, run }) => ({
      channel,
      subscribers,
      messages,
      bytes: size,
      run: run?.status ?? "",
    })),
  };
}

/** The channels whose names begin with the prefix, however many there are. */
export function List({ prefix, open, rates }: Props): JSX.Element {
  const pages = usePages(prefix);
  const boxRef = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [wanted, setActive] = useState(0);
  const followRef = useRef(false); // the focus goes to the active row once it is drawn

  useLayoutEffect(() => {
    const { current } = boxRef;
    if (!current) return;
    const measure = (): void => setView({ top: current.scrollTop, height: current.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);

  const size = pages?.size() ?? 0;
  const active = Math.max(0, Math.min(wanted, size - 1)); // the list may have turned out to be shorter
  const drawn = windowOf(view.top, view.height, ROW, size);
  useEffect(() => pages?.see(drawn.first, Math.max(drawn.first, drawn.end - 1)), [pages, drawn.first, drawn.end]);
  useLayoutEffect(() => {
    if (!followRef.current) return;
    const link = boxRef.current?.querySelector<HTMLElement>(`[data-index="${active}"]`);
    if (link) followRef.current = false;
    (link ?? boxRef.current)?.focus({ preventScroll: true }); // until the row has come, keys go to the list
  });

  function onKeyDown(event: KeyboardEvent): void {
    const to = moved(event.key, active, size, Math.floor(view.height / ROW) - 1);
    if (to === null || !boxRef.current) return;
    event.preventDefault();
    setActive(to);
    followRef.current = true;
    boxRef.current.scrollTop = scrollFor(to, boxRef.current.scrollTop, view.height, ROW);
  }

  if (pages?.error() && !pages.row(0)) return <Failure error={pages.error()} retry={() => pages.refresh()} />;
  const none = pages?.complete() === true && size === 0;
  const indexes = Array.from({ length: drawn.end - drawn.first }, (_, i) => drawn.first + i);
  return (
    <div class="channel-list" role="table" aria-label="Channels" aria-rowcount={pages?.complete() ? size + 1 : -1}>
      <div role="rowgroup">
        <div class="channel-row channel-head" role="row" aria-rowindex={1}>
          {["Channel", "Publishes/s", "Readers", "Held", "Size", "Run"].map((name) => (
            <span key={name} role="columnheader" class={name === "Channel" || name === "Run" ? "" : "number"}>
              {name}
            </span>
          ))}
        </div>
      </div>
      <div
        class="channel-rows"
        role="rowgroup"
        ref={boxRef}
        tabIndex={-1}
        onKeyDown={onKeyDown}
        onScroll={({ currentTarget }) => setView({ top: currentTarget.scrollTop, height: currentTarget.clientHeight })}
      >
        {none ? (
          <div role="row">
            <div role="cell">{prefix ? <Empty title={`No channel begins with “${prefix}”`} /> : <None />}</div>
          </div>
        ) : (
          <div class="channel-space" role="presentation" style={{ height: `${size * ROW}px` }}>
            <div class="channel-drawn" role="presentation" style={{ transform: `translateY(${drawn.first * ROW}px)` }}>
              {indexes.map((index) => (
                <ChannelRow
                  key={index}
                  index={index}
                  row={pages?.row(index)}
                  active={index === Math.max(drawn.first, Math.min(active, drawn.end - 1))}
                  open={open}
                  rates={rates}
                  onFocus={setActive}
                />
              ))}
            </div>
          </div>
        )}
      </div>
    </div>
  );
}

function None(): JSX.Element {
  return <Empty title="There are no channels">A channel exists as soon as somebody publishes to it or reads it.</Empty>;
}

interface RowProps {
  readonly index: number;
  readonly row: Row | undefined;
  readonly active: boolean;
  readonly open: string;
  readonly rates: ReadonlyMap<string, number>;
  readonly onFocus: (index: number) => void;
}

function ChannelRow({ index, row, active, open, rates, onFocus }: RowProps): JSX.Element {
  if (!row) {
    return (
      <div class="channel-row channel-waiting" role="row" aria-rowindex={index + 2}>
        <span role="cell">
          <span class="unseen">Loading</span>…
        </span>
      </div>
    );
  }
  const perSecond = rates.get(row.channel);
  return (
    <div class="channel-row" role="row" aria-rowindex={index + 2} data-open={row.channel === open}>
      <span role="cell" class="channel-name">
        <a
          href={linkTo("channels", row.channel)}
          data-index={index}
          tabIndex={active ? 0 : -1}
          aria-current={row.channel === open ? "true" : undefined}
          title={row.channel}
          onFocus={() => onFocus(index)}
        >
          {row.channel}
        </a>
      </span>
      <span role="cell" class="number">
        {perSecond === undefined ? "" : rate(perSecond)}
      </span>
      <span role="cell" class="number">
        {count(row.subscribers)}
      </span>
      <span role="cell" class="number">
        {count(row.messages)}
      </span>
      <span role="cell" class="number">
        {bytes(row.bytes)}
      </span>
      <span role="cell">{row.run && <span class={`pill run-${row.run}`}>{row.run}</span>}</span>
    </div>
  );
}

/** The pages of a prefix. They are drawn anew whenever one has come. */
function usePages(prefix: string): Pages<Row> | null {
  const [state, setState] = useState<{ pages: Pages<Row> } | null>(null);
  useEffect(() => {
    const pages = createPages<Row>(
      (after, signal) => load(prefix, after, signal),
      () => setState({ pages }),
    );
    setState({ pages });
    const timer = setInterval(() => document.hidden || pages.refresh(), REFRESH_MS);
    return () => {
      clearInterval(timer);
      pages.close();
    };
  }, [prefix]);
  return state?.pages ?? null;
}
