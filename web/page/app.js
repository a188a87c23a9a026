import { createFeed } from "./feed.js";
import { attachPublishForm } from "./publish.js";
import { fragmentOf, settingsOf } from "./settings.js";
import { follow } from "./stream.js";

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
let stream = null; // the open stream, if any
let resume = null; // where to resume a stream whose token has expired

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

/** The token that a development server puts into the page when it is opened on the same machine. */
const ownToken = takeToken();

function takeToken() {
  const meta = document.querySelector("meta[name=sluice-token]");
  meta?.remove();
  return meta?.content ?? "";
}

/** What the page shows with this token, unless a link says otherwise. */
const EVERYTHING = { channels: ["*"], topics: [], replay: "all" };

/** Takes the settings from a link, and removes the secret from the address bar and the history. */
function takeFragment() {
  const settings = settingsOf(location.hash) ?? (ownToken && { ...EVERYTHING });
  if (!settings) return;
  if ($("credential").value === "") settings.credential ||= ownToken;
  fillForm(settings);
  if (ownToken) proposePublish(["pipeline:run_42"], ["status"]);
  history.replaceState(null, "", location.pathname + location.search + fragmentOf(settings));
  if (settings.credential) connect();
}

// The stream.

function connect() {
  const settings = readForm();
  if (!/^[!-~]+$/.test(settings.credential)) return refuse("This is not a valid token or API key.");
  $("connect-outcome").textContent = "";
  stream?.stop();
  const fragment = fragmentOf(settings);
  history.replaceState(null, "", location.pathname + location.search + fragment);
  proposePublish(settings.channels, settings.topics);
  const lastEventId = resume?.fragment === fragment ? resume.lastEventId : "";
  resume = null;
  Object.assign(counts, { messages: 0, gaps: 0, reconnects: -1 });
  stream = follow({
    base,
    settings,
    lastEventId,
    onMessage: takeMessage,
    onNote: takeNote,
    onPhase(phase) {
      if (phase.expired) resume = { fragment, lastEventId: stream.position() };
      showPhase(phase);
    },
  });
}

function disconnect() {
  stream?.stop();
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

function takeMessage(message) {
  if (feed.addMessage(message)) counts.messages++;
}

function takeNote(note) {
  if (note.tone === "gap") counts.gaps++;
  if (note.tone === "open") counts.reconnects++;
  // Every new stream begins with the latest status of the run.
  if (note.tone === "run" && feed.has(note.id, note.channel)) return;
  feed.addNote(note);
}

// The display.

function showPhase({ name, why = "" }) {
  const words = {
    idle: "Not connected",
    connecting: "Connecting…",
    live: "Live",
    waiting: "Reconnecting",
    stopped: "Stopped",
  };
  const phase = $("phase");
  phase.dataset.phase = name;
  phase.textContent = why ? `${words[name]}: ${why}` : words[name];
  $("connect-button").textContent = name === "idle" || name === "stopped" ? "Connect" : "Reconnect";
  $("disconnect").disabled = name === "idle" || name === "stopped";
  if (name === "live" && narrow.matches) fold($("connect-panel"));
  if (name === "stopped") $("connect-panel").open = true;
}

/** Closes a panel without losing the focus inside it. */
function fold(panel) {
  if (panel.contains(document.activeElement)) panel.querySelector("summary").focus();
  panel.open = false;
}

function showFeed({ rows, visible, waiting, topics, full }) {
  for (const [name, count] of Object.entries(counts)) $(`count-${name}`).textContent = Math.max(0, count).toLocaleString("en");
  const filter = $("filter");
  const offered = new Set([...filter.options].map((option) => option.value));
  for (const topic of topics) if (!offered.has(topic)) filter.add(new Option(topic, topic));
  $("empty").hidden = visible > 0;
  $("empty").textContent = rows > 0 ? "No rows for this topic." : "No messages yet. They will appear here, newest first.";
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
