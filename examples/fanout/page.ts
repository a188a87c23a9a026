// The page, without a framework: one subscription for the log, and one for each followed post.

import { SluiceError, subscribe } from "@sluicehq/sluice";
import { publish } from "@sluicehq/sluice/publish";
import { call } from "../shared/call.ts";
import { createCard } from "./card.ts";
import { log, post, POSTS } from "./channels.ts";

const reader = `reader-${crypto.randomUUID()}`;

// Subscriptions with the same address and the same token function share a connection.
const sluice = {
  url: import.meta.env.VITE_SLUICE_URL,
  token: () => call<{ token: string }>(`/token?reader=${reader}`),
};

const find = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;

// The log, for as long as the page is open.
subscribe({
  ...sluice,
  channel: log,
  replay: 10,
  onMessage(message) {
    const line = document.createElement("li");
    line.append(new Date(message.created_at).toLocaleTimeString("en-GB"), " ", message.data.text);
    find("log").prepend(line);
    find("log").children[10]?.remove();
  },
});

// The posts. The page starts by following the first two.
const cards = Object.entries(POSTS).map(([id, title]) => createCard(id, title, sluice));
for (const card of cards) find("posts").append(card.element);
for (const card of cards.slice(0, 2)) card.follow();

// Comments go directly to Sluice, which checks the token and the schema.
const form = find<HTMLFormElement>("form");
for (const [id, title] of Object.entries(POSTS)) form.querySelector("select")!.add(new Option(title, id));
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { id, author, text } = Object.fromEntries(new FormData(form)) as { id: string; author: string; text: string };
  const outcome = find("outcome");
  try {
    const receipt = await publish(post({ id }).comment, { author, text }, sluice);
    outcome.textContent = `Published as ${receipt.id}.`;
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const faults = error.errors?.map(({ pointer, detail }) => `${pointer}: ${detail}`) ?? [error.message];
    outcome.textContent = [`${error.status} ${error.code}`, ...faults].join("\n");
  }
});

// Sluice's answer.
setInterval(async () => {
  find("subscriptions").textContent = String(1 + cards.filter((card) => card.isFollowed()).length);
  find("connections").textContent = String(await call<number>(`/connections?reader=${reader}`));
}, 500);
