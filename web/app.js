import { createFeed } from "./feed.js";
import { lostNote, noteOf } from "./notes.js";
import { attachPublishForm } from "./publish.js";
import { fragmentOf, settingsOf, subscribeURL } from "./settings.js";
import { runStream } from "./stream.js";

const $ = (id) => document.getElementById(id);
const base = document.baseURI;
const narrow = matchMedia("(max-width: 59.99rem)");

const feed = createFeed({
  list: $("rows"),
  messageTemplate: $("message-row"),
  noteTemplate: $("note-row"),
  onDraw: showFeed,
});

const counts = { messages: 0, gaps: 0, reconnects: 0 };
let stream = null; // the AbortController of the stream that is on, if any
let resume = null; // where a stream with an expired token was left

// The connection form.

function readForm() {
  const words = (id) => $(id).value.split(/\s+/).filter(Boolean);
  return {
    credential: $("credential").value.trim(),
    channels: words("channels"),
    topics: words("topics"),
    replay: $("replay").value,
  };
}

function fillForm({ credential, channels, topics, replay }) {
  if (credential) $("credential").value = credential;
  $("channels").value = channels.join(" ");
  $("topics").value = topics.join(" ");
  const select = $("replay");
  const known = [...select.options].some((option) => option.value === replay);
  if (!known && /^[0-9]+$/.test(replay)) select.add(new Option(`last ${replay}`, replay));
  if (known || /^[0-9]+$/.test(replay)) select.value = replay;
  proposePublish(channels, topics);
}

function proposePublish(channels, topics) {
  const channel = channels.find((name) => !name.endsWith("*"));
  const topic = topics.find((name) => name !== "*");
  if (channel && $("publish-channel").value === "") $("publish-channel").value = channel;
  if (topic && $("publish-topic").value === "") $("publish-topic").value = topic;
}

/** Takes what a link carries, and its secret out of the address bar and the history. */
function takeFragment() {
  const settings = settingsOf(location.hash);
  if (!settings) return;
  fillForm(settings);
  history.replaceState(null, "", location.pathname + location.search + fragmentOf(settings));
  if (settings.credential) connect();
}

// The stream.

async function connect() {
  const settings = readForm();
  if (!/^[!-~]+$/.test(settings.credential)) return refuse("This cannot be a token or an API key.");
  $("connect-outcome").textContent = "";
  stream?.abort();
  const mine = (stream = new AbortController());
  const url = subscribeURL(base, settings);
  history.replaceState(null, "", location.pathname + location.search + fragmentOf(settings));
  proposePublish(settings.channels, settings.topics);
  const lastEventId = resume?.href === url.href ? resume.lastEventId : "";
  resume = null;
  Object.assign(counts, { messages: 0, gaps: 0, reconnects: 0 });
  let opened = 0;
  const end = await runStream({
    url,
    credential: settings.credential,
    lastEventId,
    signal: mine.signal,
    onPhase: (phase) => mine === stream && showPhase(phase),
    onEvent: (event) => {
      if (mine !== stream) return;
      if (event.type === "$open" && opened++ > 0) counts.reconnects++;
      takeEvent(event);
    },
  });
  if (mine !== stream) return;
  stream = null;
  if (end.expired) resume = { href: url.href, lastEventId: end.lastEventId };
  showPhase({ name: "stopped", why: end.why, closed: end.closed });
}

function disconnect() {
  stream?.abort();
  stream = null;
  resume = null;
  showPhase({ name: "idle" });
}

function refuse(text) {
  const outcome = $("connect-outcome");
  outcome.dataset.ok = "false";
  outcome.textContent = text;
  $("credential").focus();
}

function takeEvent(event) {
  if (event.type.startsWith("$")) {
    const note = noteOf(event);
    if (note.tone === "gap") counts.gaps++;
    // The latest status comes again with every reconnect.
    if (note.tone === "run" && feed.has(note.id, note.channel)) return;
    feed.addNote(note);
  } else {
    counts.messages++;
    feed.addMessage(JSON.parse(event.data), event.data);
  }
}

// What is shown.

function showPhase({ name, why = "", delayMs, closed }) {
  const words = {
    idle: "Not connected",
    connecting: "Connecting…",
    live: "Live",
    waiting: `Reconnecting in ${Math.max(1, Math.round(delayMs / 1000))} s`,
    stopped: "Stopped",
  };
  const phase = $("phase");
  phase.dataset.phase = name;
  phase.textContent = why ? `${words[name]}: ${why}` : words[name];
  $("connect-button").textContent = name === "idle" || name === "stopped" ? "Connect" : "Connect again";
  $("disconnect").disabled = name === "idle" || name === "stopped";
  if ((name === "waiting" || name === "stopped") && !closed) feed.addNote(lostNote(why));
  if (name === "live" && narrow.matches) fold($("connect-panel"));
  if (name === "stopped") $("connect-panel").open = true;
}

/** Closes a panel without losing the focus inside it. */
function fold(panel) {
  if (panel.contains(document.activeElement)) panel.querySelector("summary").focus();
  panel.open = false;
}

function showFeed({ rows, visible, waiting, topics, full }) {
  for (const [name, count] of Object.entries(counts)) $(`count-${name}`).textContent = count.toLocaleString("en");
  const filter = $("filter");
  const offered = new Set([...filter.options].map((option) => option.value));
  for (const topic of topics) if (!offered.has(topic)) filter.add(new Option(topic, topic));
  $("empty").hidden = visible > 0;
  $("empty").textContent = rows > 0 ? "No row that is kept is on this topic." : "Nothing yet. Messages show up here, the newest first.";
  $("bound").hidden = !full;
  const pause = $("pause");
  if (pause.dataset.on === "true") pause.textContent = waiting > 0 ? `Resume (${waiting})` : "Resume";
  else pause.textContent = "Pause";
}

// Wiring.

$("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  connect();
});
$("disconnect").addEventListener("click", () => {
  disconnect();
  $("connect-button").focus();
});
$("pause").addEventListener("click", ({ currentTarget }) => {
  const on = currentTarget.dataset.on !== "true";
  currentTarget.dataset.on = String(on);
  feed.setPaused(on);
});
$("clear").addEventListener("click", () => feed.clear());
$("filter").addEventListener("change", ({ target }) => feed.setTopic(target.value));
$("pretty").addEventListener("change", ({ target }) => feed.setPretty(target.checked));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("stream").focus();
});
attachPublishForm($("publish"), { base, credential: () => $("credential").value.trim() });
if (narrow.matches) $("publish-panel").open = false;
addEventListener("hashchange", takeFragment);
takeFragment();
