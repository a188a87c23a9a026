import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { Plot, type Line } from "../parts/plot.js";

interface Props {
  readonly title: string;
  readonly value: number;
  /** Writes a value. */
  readonly text: (value: number) => string;
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** Whether it is something to look into. */
  readonly alarm?: boolean;
  /** What belongs to it, in a line. */
  readonly children: ComponentChildren;
}

/** One figure, with its last minute. */
export function Tile({ title, value, text, unit = "", lines, alarm = false, children }: Props): JSX.Element {
  const id = useId();
  return (
    <section class={alarm ? "panel tile tile-alarm" : "panel tile"} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <p class="tile-value">
        {text(value)}
        {unit && <span class="tile-unit">{unit}</span>}
      </p>
      <Plot lines={lines} text={(most) => text(most) + unit} />
      <p class="tile-more">{children}</p>
    </section>
  );
}
