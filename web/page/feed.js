import { memberText, pretty } from "./json.js";

/** How many rows are kept, and how many may wait while the list is paused. */
export const MAX_ROWS = 500;

/** How many topics the filter offers. */
const MAX_TOPICS = 200;

/**
 * Creates the list of rows, newest first. It is drawn at most once per frame, so a busy stream does
 * not cost the browser more than it can show.
 *
 * @param {object} parts
 * @param {HTMLOListElement} parts.list
 * @param {HTMLTemplateElement} parts.messageTemplate
 * @param {HTMLTemplateElement} parts.noteTemplate
 * @param {(state: {rows: number, visible: number, waiting: number, topics: Set<string>, full: boolean}) => void} parts.onDraw
 */
export function createFeed({ list, messageTemplate, noteTemplate, onDraw }) {
  const topics = new Set();
  const view = { paused: false, topic: "", pretty: false };
  let rows = []; // what is drawn, newest first
  let waiting = []; // what is not drawn yet, oldest first
  let full = false; // whether a row has been dropped
  let scheduled = false;

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    scheduled = false;
    if (!view.paused && waiting.length > 0) insert(waiting.splice(0));
    const visible = rows.filter((row) => !row.element.hidden).length;
    onDraw({ rows: rows.length, visible, waiting: waiting.length, topics, full });
  }

  function insert(entries) {
    if (entries[0].latestOnly && entries[0].tone === rows[0]?.tone) rows.shift().element.remove();
    const fresh = document.createDocumentFragment();
    for (const entry of entries) {
      entry.element = entry.json === undefined ? noteRow(noteTemplate, entry) : messageRow(messageTemplate, entry, view);
      entry.element.hidden = hides(view, entry);
      fresh.prepend(entry.element);
    }
    list.prepend(fresh);
    rows = [...entries.reverse(), ...rows];
    if (rows.length > MAX_ROWS) full = true;
    for (const old of rows.splice(MAX_ROWS)) old.element.remove();
  }

  function add(entry) {
    const last = waiting.at(-1);
    if (entry.latestOnly && last?.tone === entry.tone) waiting.pop();
    waiting.push(entry);
    if (waiting.length > MAX_ROWS) {
      waiting.shift();
      full = true;
    }
    schedule();
  }

  return {
    /** @param {import("./notes.js").Note} note */
    addNote: add,

    /**
     * Adds a message, or extends the row of a text.
     *
     * @param {object} message of the SDK; of kind "data" with its `source`
     * @returns {boolean} whether it is a new one
     */
    addMessage(message) {
      const text = message.kind === "stream";
      const json = text ? JSON.stringify(message.text) : memberText(message.source, "data");
      const kind = text ? `text, ${message.state}` : message.kind;
      const known = text && [...waiting, ...rows].find((row) => ["stream_id", "topic", "channel"].every((name) => row[name] === message[name]));
      if (known) {
        Object.assign(known, { json, kind });
        if (known.element) showMessage(known.element, known, view);
        return false;
      }
      if (topics.size < MAX_TOPICS) topics.add(message.topic);
      add({ ...message, json, kind, time: new Date(message.created_at) });
      return true;
    },

    /** Reports whether the row of a message is still kept. */
    has: (id, channel) => [...rows, ...waiting].some((row) => row.id === id && row.channel === channel),

    clear() {
      for (const row of rows) row.element.remove();
      rows = [];
      waiting = [];
      full = false;
      schedule();
    },

    setPaused(paused) {
      view.paused = paused;
      schedule();
    },

    /** @param {string} topic "" shows all */
    setTopic(topic) {
      view.topic = topic;
      for (const row of rows) row.element.hidden = hides(view, row);
      schedule();
    },

    setPretty(on) {
      view.pretty = on;
      for (const row of rows) if (row.json !== undefined) showMessage(row.element, row, view);
    },
  };
}

/** A filter never hides a note: a gap concerns every topic. */
function hides({ topic }, entry) {
  return entry.json !== undefined && topic !== "" && entry.topic !== topic;
}

function messageRow(template, entry, view) {
  const row = template.content.firstElementChild.cloneNode(true);
  put(row, ".topic", entry.topic);
  put(row, ".channel", entry.channel);
  put(row, ".id", entry.id);
  putTime(row, entry.time);
  showMessage(row, entry, view);
  return row;
}

function showMessage(row, { kind, json }, view) {
  row.dataset.kind = kind;
  row.classList.toggle("pretty", view.pretty);
  put(row, ".kind", kind);
  put(row, ".data", view.pretty ? pretty(json) : json);
}

function noteRow(template, note) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.dataset.tone = note.tone;
  if (note.status) row.dataset.status = note.status;
  put(row, ".title", note.title);
  put(row, ".channel", note.channel ?? "");
  put(row, ".data", note.detail);
  put(row, ".kind", note.event);
  put(row, ".id", note.id ?? "");
  putTime(row, note.time);
  return row;
}

/** All outside data goes through here: as text, never as markup. */
function put(row, selector, text) {
  row.querySelector(selector).textContent = text;
}

function putTime(row, time) {
  const element = row.querySelector("time");
  if (Number.isNaN(time.getTime())) return;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((n) => String(n).padStart(2, "0"));
  element.textContent = `${clock.join(":")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  element.dateTime = element.title = time.toISOString();
}
