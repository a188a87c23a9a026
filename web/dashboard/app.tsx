import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { SECTIONS, linkTo, route, type Section } from "./base/route.js";
import { leave, session } from "./base/session.js";
import { useStore } from "./base/store.js";
import { system, watchSystem } from "./base/system.js";
import { Channels } from "./channels/channels.js";
import { Debugger } from "./debugger/debugger.js";
import { Definitions } from "./definitions/definitions.js";
import { Entrance } from "./entrance.js";
import { NodeView } from "./node/node.js";
import { Overview } from "./overview/overview.js";
import { Subscribers } from "./subscribers/subscribers.js";
import { Tokens } from "./tokens/tokens.js";
import { Webhooks } from "./webhooks/webhooks.js";

/** What each section shows. The debugger has a credential of its own. */
const VIEWS: Readonly<Record<Exclude<Section, "debugger">, (props: { item: string }) => JSX.Element>> = {
  overview: Overview,
  channels: Channels,
  subscribers: Subscribers,
  definitions: Definitions,
  tokens: Tokens,
  webhooks: Webhooks,
  node: NodeView,
};

/** The whole page: its frame, and the section that the address names. */
export function App({ ownKey }: { ownKey: string }): JSX.Element {
  const { section, item } = useStore(route);
  const { key, state } = useStore(session);
  const open = state === "open";
  useEffect(() => (open ? watchSystem(key) : undefined), [open, key]);

  const main = useRef<HTMLElement>(null);
  const title = SECTIONS.find(({ name }) => name === section)!.title;
  const debugged = useRef(false);
  debugged.current ||= section === "debugger";
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);

  const View = section === "debugger" ? null : VIEWS[section];
  return (
    <>
      <a
        class="skip"
        id="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault(); // the fragment says where the page is
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Side section={section} />
      <main id="main" ref={main} tabIndex={-1}>
        {View && (open ? <View item={item} key={section} /> : <Entrance />)}
        {/* It keeps its stream while another section is shown. */}
        {debugged.current && (
          <div hidden={section !== "debugger"}>
            <Debugger ownKey={ownKey} />
          </div>
        )}
      </main>
    </>
  );
}

function Side({ section }: { section: Section }): JSX.Element {
  const { state } = useStore(session);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [section]);
  return (
    <header class="side">
      <a class="brand" href={linkTo("overview")}>
        <img src="favicon.svg" alt="" width="24" height="24" />
        Sluice
      </a>
      <nav aria-label="Sections" ref={nav}>
        <ul>
          {SECTIONS.map(({ name, title }) => (
            <li key={name}>
              <a href={linkTo(name)} aria-current={name === section ? "page" : undefined}>
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      {state === "open" && (
        <div class="side-foot">
          <Health />
          <button type="button" class="quiet" onClick={leave}>
            Forget key
          </button>
        </div>
      )}
    </header>
  );
}

/** Whether the node can take publishes, as far as the page knows. */
function Health(): JSX.Element {
  const { state, samples } = useStore(system);
  const last = samples.at(-1)?.overview;
  const [tone, words] =
    state === "lost"
      ? ["bad", "Connection lost"]
      : !last
        ? ["wait", "Connecting…"]
        : last.not_ready === undefined
          ? ["good", "Ready"]
          : ["bad", "Not ready"];
  return (
    <p class="health" data-tone={tone} role="status">
      {words}
      {last && <span class="muted"> · {last.node.engine}</span>}
    </p>
  );
}
