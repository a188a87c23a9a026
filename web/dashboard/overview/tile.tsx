import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { Plot, type Line } from "../parts/plot.js";

interface Props {
  readonly title: string;
  /** The latest value, as text. */
  readonly value: string;
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** Whether it is something to look into. */
  readonly alarm?: boolean;
  /** What belongs to it, in a line. */
  readonly children: ComponentChildren;
}

/** One figure, with its last minute. */
export function Tile({ title, value, unit = "", lines, alarm = false, children }: Props): JSX.Element {
  const id = useId();
  return (
    <section class={alarm ? "panel tile tile-alarm" : "panel tile"} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <p class="tile-value">
        {value}
        {unit && <span class="tile-unit">{unit}</span>}
      </p>
      <Plot lines={lines} />
      <p class="tile-more">{children}</p>
    </section>
  );
}
