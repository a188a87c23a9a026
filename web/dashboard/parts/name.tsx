import type { JSX } from "preact";

/** A name in a table, which may be very long: of one that takes more than two lines, the rest is in its title. */
export function Name({ name, href, current = false }: { name: string; href?: string; current?: boolean }): JSX.Element {
  if (!href) {
    return (
      <span class="clamped" title={name}>
        {name}
      </span>
    );
  }
  return (
    <a class="clamped" title={name} href={href} aria-current={current ? "true" : undefined}>
      {name}
    </a>
  );
}
