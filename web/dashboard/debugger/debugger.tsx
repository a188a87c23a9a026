import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { count } from "../base/format.js";
import { linkTo } from "../base/route.js";
import { ConnectForm, type Form } from "./connectform.js";
import { useFeed } from "./ownfeed.js";
import { PublishForm } from "./publishform.js";
import { fragmentOf, settingsOf, type Settings } from "./settings.js";
import { follow, type Followed, type Phase } from "./stream.js";
import { Rows, Toolbar } from "./toolbar.js";

const IDLE: Phase = { name: "idle", why: "" };
const WORDS = { idle: "Not connected", connecting: "Connecting…", live: "Live", waiting: "Reconnecting", stopped: "Stopped" };

/** What the page shows with a key of its own, unless a link says otherwise. */
const EVERYTHING = { channels: ["*"], topics: [], replay: "all" };

const narrow = matchMedia("(max-width: 59.99rem)");

/** Subscribes as anybody could, with any token, and shows what comes, as it comes. */
export function Debugger({ ownKey }: { ownKey: string }): JSX.Element {
  const { list, feed, shown } = useFeed();
  const [form, setForm] = useState<Form>({ credential: "", channels: "", topics: "", replay: "none" });
  const [target, setTarget] = useState({ channel: "", topic: "" });
  const [phase, setPhase] = useState(IDLE);
  const [fault, setFault] = useState("");
  const [folded, setFolded] = useState({ connect: false, publish: narrow.matches });
  const counts = useRef({ messages: 0, gaps: 0, reconnects: 0 });
  const stream = useRef<Followed | null>(null);
  const resume = useRef<{ fragment: string; lastEventId: string } | null>(null); // where to resume a stream whose token has expired
  const first = useRef<HTMLInputElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  function connect(settings: Settings): void {
    if (!/^[!-~]+$/.test(settings.credential)) {
      setFault("This is not a valid token or API key.");
      first.current?.focus();
      return;
    }
    setFault("");
    stream.current?.stop();
    const fragment = fragmentOf(settings);
    history.replaceState(null, "", location.pathname + location.search + (fragment || linkTo("debugger")));
    propose(settings);
    const lastEventId = resume.current?.fragment === fragment ? resume.current.lastEventId : "";
    resume.current = null;
    counts.current = { messages: 0, gaps: 0, reconnects: -1 };
    const opened = follow({
      settings,
      lastEventId,
      onMessage(message) {
        if (feed.current?.addMessage(message)) counts.current.messages++;
      },
      onNote(note) {
        if (note.tone === "gap") counts.current.gaps++;
        if (note.tone === "open") counts.current.reconnects++;
        // Every new stream begins with the latest status of the run.
        if (note.tone === "run" && feed.current?.has(note.id, note.channel)) return;
        feed.current?.addNote(note);
      },
      onPhase(next) {
        if (next.expired) resume.current = { fragment, lastEventId: opened.position() };
        setPhase(next);
        if (next.name === "live" && narrow.matches) fold();
        if (next.name === "stopped") setFolded((present) => ({ ...present, connect: false }));
      },
    });
    stream.current = opened;
  }

  /** Closes the form without losing the focus inside it. */
  function fold(): void {
    const panel = document.getElementById("connect-panel");
    if (panel?.contains(document.activeElement)) panel.querySelector("summary")?.focus();
    setFolded((present) => ({ ...present, connect: true }));
  }

  function disconnect(): void {
    stream.current?.stop();
    stream.current = null;
    resume.current = null;
    setPhase(IDLE);
    button.current?.focus();
  }

  function propose({ channels, topics }: Settings): void {
    const channel = channels.find((name) => !name.endsWith("*")) ?? "";
    const topic = topics.find((name) => name !== "*") ?? "";
    setTarget((present) => ({ channel: present.channel || channel, topic: present.topic || topic }));
  }

  /** Takes the settings from a link, and removes the secret from the address bar and the history. */
  function takeAddress(again: boolean): void {
    const linked = settingsOf(location.hash);
    if (!linked && (again || !ownKey)) return;
    const typed = first.current?.value ?? "";
    const settings: Settings = { ...EVERYTHING, ...linked, credential: linked?.credential || typed || ownKey };
    setForm({ ...settings, channels: settings.channels.join(" "), topics: settings.topics.join(" ") });
    propose(settings);
    if (ownKey) setTarget((present) => ({ channel: present.channel || "pipeline:run_42", topic: present.topic || "status" }));
    if (linked) history.replaceState(null, "", location.pathname + location.search + fragmentOf(settings));
    if (settings.credential) connect(settings);
  }

  useEffect(() => {
    takeAddress(false);
    const follows = (): void => takeAddress(true);
    addEventListener("hashchange", follows);
    return () => {
      removeEventListener("hashchange", follows);
      stream.current?.stop();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once: from then on the form says what to do
  }, []);

  const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
  return (
    <div class="debugger">
      <header class="section-head">
        <h1>Debugger</h1>
        <p class="phase" id="phase" data-phase={phase.name} role="status">
          {phase.why ? `${WORDS[phase.name]}: ${phase.why}` : WORDS[phase.name]}
        </p>
        <dl class="counters">
          {(["messages", "gaps", "reconnects"] as const).map((name) => (
            <div key={name}>
              <dt>{name[0]!.toUpperCase() + name.slice(1)}</dt>
              <dd id={`count-${name}`}>{count(Math.max(0, counts.current[name]))}</dd>
            </div>
          ))}
        </dl>
      </header>
      <div class="columns">
        <div class="column">
          <details
            class="panel"
            id="connect-panel"
            open={!folded.connect}
            onToggle={({ currentTarget }) => setFolded((present) => ({ ...present, connect: !currentTarget.open }))}
          >
            <summary>
              <h2>Connection</h2>
            </summary>
            <ConnectForm
              form={form}
              phase={phase}
              fault={fault}
              first={first}
              button={button}
              onForm={setForm}
              onConnect={() =>
                connect({
                  credential: form.credential.trim(),
                  channels: words(form.channels),
                  topics: words(form.topics),
                  replay: form.replay,
                })
              }
              onDisconnect={disconnect}
            />
          </details>
          <details
            class="panel"
            id="publish-panel"
            open={!folded.publish}
            onToggle={({ currentTarget }) => setFolded((present) => ({ ...present, publish: !currentTarget.open }))}
          >
            <summary>
              <h2>Publish</h2>
            </summary>
            <PublishForm
              credential={form.credential.trim()}
              {...target}
              onChannel={(channel) => setTarget((present) => ({ ...present, channel }))}
              onTopic={(topic) => setTarget((present) => ({ ...present, topic }))}
            />
          </details>
        </div>
        <section class="panel stream" id="stream" tabIndex={-1} aria-labelledby={`${list.id}-title`}>
          <Toolbar id={list.id} title="Messages" feed={feed} shown={shown} />
          <Rows list={list.ref} shown={shown} waitingFor="No messages yet. They will appear here, newest first." />
        </section>
      </div>
    </div>
  );
}
