import { createStore, type Store } from "./store.js";

/** The sections, in the order of the navigation. */
export const SECTIONS = [
  { name: "overview", title: "Overview" },
  { name: "channels", title: "Channels" },
  { name: "subscribers", title: "Subscribers" },
  { name: "definitions", title: "Definitions" },
  { name: "tokens", title: "Tokens" },
  { name: "webhooks", title: "Webhooks" },
  { name: "node", title: "Node" },
  { name: "debugger", title: "Debugger" },
] as const;

export type Section = (typeof SECTIONS)[number]["name"];

/** What the address says: `#/channels/pipeline%3Arun_42` is the section `channels` with an item. */
export interface Route {
  readonly section: Section;
  /** The channel, definition or subject that is open; "" for none. */
  readonly item: string;
}

/**
 * Reads the fragment of an address. One that does not begin with `#/` is a link to the debugger: it
 * has a token, a channel and the like in it.
 */
export function routeOf(hash: string): Route {
  if (hash === "" || hash === "#") return { section: "overview", item: "" };
  const found = /^#\/([^/]*)(?:\/(.*))?$/s.exec(hash);
  if (!found) return { section: "debugger", item: "" };
  const section = SECTIONS.find(({ name }) => name === found[1])?.name ?? "overview";
  return { section, item: unescaped(found[2] ?? "") };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Returns the address of a section, or of an item in it. */
export function linkTo(section: Section, item = ""): string {
  return item === "" ? `#/${section}` : `#/${section}/${encodeURIComponent(item)}`;
}

/** Where the page is. */
export const route: Store<Route> = createStore(routeOf(globalThis.location?.hash ?? ""));

/** Goes to a section, or to an item in it. */
export function go(section: Section, item = ""): void {
  location.hash = linkTo(section, item);
}

/** Follows the address from now on. */
export function followAddress(): void {
  addEventListener("hashchange", () => route.set(routeOf(location.hash)));
}
