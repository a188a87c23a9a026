import type { Message } from "@sluicehq/sluice";
import { memberText, pretty } from "./json.js";
import type { Note, WithSource } from "./notes.js";

/** How many rows are kept, and how many may wait while the list is paused. */
export const MAX_ROWS = 500;

/** How many topics the filter offers. */
const MAX_TOPICS = 200;

/** A message as a row shows it. */
interface Shown {
  readonly channel: string;
  readonly topic: string;
  readonly id: string;
  readonly stream_id?: string;
  readonly time: Date;
  kind: string;
  json: string;
}

type Entry = (Shown | Note) & { element?: HTMLElement };

export interface FeedState {
  readonly rows: number;
  readonly visible: number;
  readonly waiting: number;
  readonly topics: ReadonlySet<string>;
  /** A row has been dropped. */
  readonly full: boolean;
}

export interface Feed {
  addNote(note: Note): void;
  /** Adds a message, or extends the row of a text. Returns whether it is a new one. */
  addMessage(message: WithSource<Message>): boolean;
  /** Reports whether the row of a message is still kept. */
  has(id: string | undefined, channel: string | undefined): boolean;
  clear(): void;
  setPaused(paused: boolean): void;
  /** @param topic "" shows all */
  setTopic(topic: string): void;
  setPretty(on: boolean): void;
}

/**
 * Creates the list of rows, newest first. It is drawn at most once per frame, so a busy stream does
 * not cost the browser more than it can show. It makes its elements itself: to compare hundreds of
 * rows with what they were would take longer than to put the new ones in front.
 */
export function createFeed(list: HTMLOListElement, onDraw: (state: FeedState) => void): Feed {
  const topics = new Set<string>();
  const view = { paused: false, topic: "", pretty: false };
  let rows: Entry[] = []; // what is drawn, newest first
  let waiting: Entry[] = []; // what is not drawn yet, oldest first
  let full = false;
  let scheduled = false;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  function draw(): void {
    scheduled = false;
    if (!view.paused && waiting.length > 0) insert(waiting.splice(0));
    const visible = rows.filter((row) => !row.element?.hidden).length;
    onDraw({ rows: rows.length, visible, waiting: waiting.length, topics, full });
  }

  function insert(entries: Entry[]): void {
    if (replaces(entries[0]!, rows[0])) rows.shift()!.element?.remove();
    const fresh = document.createDocumentFragment();
    for (const entry of entries) {
      entry.element = isMessage(entry) ? messageRow(entry, view.pretty) : noteRow(entry);
      entry.element.hidden = hides(view.topic, entry);
      fresh.prepend(entry.element);
    }
    list.prepend(fresh);
    rows = [...entries.reverse(), ...rows];
    if (rows.length > MAX_ROWS) full = true;
    for (const old of rows.splice(MAX_ROWS)) old.element?.remove();
  }

  function add(entry: Entry): void {
    if (replaces(entry, waiting.at(-1))) waiting.pop();
    waiting.push(entry);
    if (waiting.length > MAX_ROWS) {
      waiting.shift();
      full = true;
    }
    schedule();
  }

  /** Returns the row of a text that is here already. */
  function rowOf(text: Message & { kind: "stream" }): (Shown & { element?: HTMLElement }) | undefined {
    return [...waiting, ...rows].find(
      (row): row is Shown => isMessage(row) && row.stream_id === text.stream_id && row.topic === text.topic && row.channel === text.channel,
    );
  }

  return {
    addNote: add,

    addMessage(message) {
      const text = message.kind === "stream";
      const json = text ? JSON.stringify(message.text) : memberText(message.source, "data");
      const kind = text ? `text, ${message.state}` : message.kind;
      const known = text ? rowOf(message) : undefined;
      if (known) {
        Object.assign(known, { json, kind });
        if (known.element) showMessage(known.element, known, view.pretty);
        return false;
      }
      if (topics.size < MAX_TOPICS) topics.add(message.topic);
      const { channel, topic, id } = message;
      add({ channel, topic, id, ...(text && { stream_id: message.stream_id }), json, kind, time: new Date(message.created_at) });
      return true;
    },

    has: (id, channel) => [...rows, ...waiting].some((row) => row.id === id && row.channel === channel),

    clear() {
      for (const row of rows) row.element?.remove();
      rows = [];
      waiting = [];
      full = false;
      schedule();
    },

    setPaused(paused) {
      view.paused = paused;
      schedule();
    },

    setTopic(topic) {
      view.topic = topic;
      for (const row of rows) if (row.element) row.element.hidden = hides(topic, row);
      schedule();
    },

    setPretty(on) {
      view.pretty = on;
      for (const row of rows) if (isMessage(row) && row.element) showMessage(row.element, row, on);
    },
  };
}

function isMessage(entry: Entry): entry is Shown & { element?: HTMLElement } {
  return "json" in entry;
}

function replaces(entry: Entry, previous: Entry | undefined): boolean {
  return !!previous && !isMessage(entry) && !isMessage(previous) && entry.latestOnly === true && entry.tone === previous.tone;
}

/** A filter never hides a note: a gap concerns every topic. */
function hides(topic: string, entry: Entry): boolean {
  return topic !== "" && isMessage(entry) && entry.topic !== topic;
}

function messageRow(entry: Shown, prettily: boolean): HTMLElement {
  const row = make("li", "row message");
  const source = make("p", "source");
  source.append(make("span", "topic", entry.topic), " ", make("span", "channel", entry.channel));
  row.append(timeOf(entry.time), source, make("pre", "data"), metaOf(entry.kind, entry.id));
  showMessage(row, entry, prettily);
  return row;
}

function showMessage(row: HTMLElement, { kind, json }: Shown, prettily: boolean): void {
  row.dataset["kind"] = kind;
  row.classList.toggle("pretty", prettily);
  row.querySelector(".kind")!.textContent = kind;
  row.querySelector(".data")!.textContent = prettily ? pretty(json) : json;
}

function noteRow(note: Note): HTMLElement {
  const row = make("li", "row note");
  row.dataset["tone"] = note.tone;
  if (note.status) row.dataset["status"] = note.status;
  const source = make("p", "source");
  source.append(make("strong", "title", note.title), " ", make("span", "channel", note.channel ?? ""));
  row.append(timeOf(note.time), source, make("p", "data", note.detail), metaOf(note.event, note.id ?? ""));
  return row;
}

function metaOf(kind: string, id: string): HTMLElement {
  const meta = make("p", "meta");
  meta.append(make("span", "kind", kind), " ", make("span", "id", id));
  return meta;
}

/** All outside data goes through here: as text, never as markup. */
function make(tag: string, name: string, text = ""): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function timeOf(time: Date): HTMLElement {
  const element = document.createElement("time");
  if (Number.isNaN(time.getTime())) return element;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((n) => String(n).padStart(2, "0"));
  element.textContent = `${clock.join(":")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  element.dateTime = element.title = time.toISOString();
  return element;
}
