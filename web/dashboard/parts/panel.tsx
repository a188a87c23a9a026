import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Props {
  readonly title: string;
  /** What stands beside the title: buttons, a count. */
  readonly aside?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** A part of a section, with a title. */
export function Panel({ title, aside, class: name = "", children }: Props): JSX.Element {
  const id = useId();
  return (
    <section class={`panel ${name}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {aside && <div class="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** The top of a section. */
export function Head({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <header class="section-head">
      <h1>{title}</h1>
      {children}
    </header>
  );
}

/** A list of facts: names and values. */
export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
