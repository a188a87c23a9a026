import type { JSX } from "preact";
import { SPAN_MS, type Point } from "../base/samples.js";

const WIDTH = 240;
const HEIGHT = 56;

/** A line of a plot. */
export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

/**
 * Draws the last minute of up to two figures, the first one as an area. The scale begins at 0 and ends
 * at the largest value that is shown, which stands above. The line itself is left out for those who do
 * not see it.
 *
 * @param text writes a value
 */
export function Plot({ lines, text }: { lines: readonly Line[]; text: (value: number) => string }): JSX.Element {
  const end = Math.max(0, ...lines.map(({ points }) => points.at(-1)?.at ?? 0));
  const most = Math.max(0, ...lines.flatMap(({ points }) => points.map(({ value }) => value)));
  return (
    <div>
      <p class="plot-scale">
        {lines.length > 1 &&
          lines.map(({ name }, i) => (
            <span key={name} class={`plot-key plot-key-${i + 1}`}>
              {name}
            </span>
          ))}
        <span class="plot-end">peak {text(most)}</span>
      </p>
      <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <line class="plot-base" x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        {lines.map(({ name, points }, i) => {
          const shown = points.filter(({ at }) => at >= end - SPAN_MS);
          const path = pathOf(shown, end, most);
          return (
            <g key={name} class={`plot-line plot-line-${i + 1}`}>
              {i === 0 && path && <path class="plot-area" d={areaOf(path, shown, end)} />}
              {path && <path class="plot-stroke" d={path} />}
            </g>
          );
        })}
      </svg>
      <p class="plot-scale">
        <span>1 min ago</span>
        <span class="plot-end">now</span>
      </p>
    </div>
  );
}

function x(at: number, end: number): number {
  return WIDTH - ((end - at) / SPAN_MS) * WIDTH;
}

/** Returns the path of a line, "" if there are not two points. */
export function pathOf(points: readonly Point[], end: number, most: number): string {
  if (points.length < 2) return "";
  const y = (value: number): number => HEIGHT - 2 - (most > 0 ? value / most : 0) * (HEIGHT - 6);
  return points.map(({ at, value }, i) => `${i === 0 ? "M" : "L"}${x(at, end).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}

function areaOf(path: string, points: readonly Point[], end: number): string {
  return `${path}L${x(points.at(-1)!.at, end).toFixed(1)} ${HEIGHT}L${x(points[0]!.at, end).toFixed(1)} ${HEIGHT}Z`;
}
