// The card of one post.

import { subscribe, type ConnectOptions, type Subscription } from "@sluicehq/sluice";
import { post } from "./channels.ts";

export interface Card {
  readonly element: HTMLElement;
  isFollowed(): boolean;
  follow(): void;
}

/** Creates the card of a post. It does not follow the post yet. */
export function createCard(id: string, title: string, sluice: ConnectOptions): Card {
  const template = document.getElementById("card") as HTMLTemplateElement;
  const element = template.content.firstElementChild!.cloneNode(true) as HTMLElement;
  const part = (selector: string): HTMLElement => element.querySelector(selector)!;
  const button = part("button");
  let subscription: Subscription | undefined;
  let position: string | null = null;
  let received = 0;
  let missed = 0; // updates that arrived out of turn
  let next: number | undefined;

  function follow(): void {
    subscription = subscribe({
      ...sluice,
      channel: post({ id }),
      replay: "latest", // the first time
      lastEventId: position ?? undefined, // later, everything since then
      onMessage(message) {
        if (message.topic === "comment") return comment(message.data);
        const { number, text } = message.data;
        if (number !== (next ?? number)) missed++;
        next = number + 1;
        received++;
        part(".latest").textContent = text;
        part(".tally").textContent = `${received} received, ${missed || "none"} missing`;
      },
      onGap: ({ reason }) => comment({ author: "Sluice", text: `Some updates are lost (${reason}).` }),
    });
    show();
  }

  function unfollow(): void {
    position = subscription?.getSnapshot().position ?? null;
    subscription?.close();
    subscription = undefined;
    show();
  }

  function comment({ author, text }: { author: string; text: string }): void {
    const item = document.createElement("li");
    item.textContent = `${author}: ${text}`;
    part(".comments").append(item);
  }

  function show(): void {
    button.setAttribute("aria-pressed", String(!!subscription));
    button.textContent = subscription ? "Following" : "Follow";
  }

  element.dataset.post = id;
  part("h2").textContent = title;
  part(".latest").textContent = "Not followed yet.";
  button.setAttribute("aria-label", `Follow ${title}`);
  button.addEventListener("click", () => (subscription ? unfollow() : follow()));
  return { element, isFollowed: () => !!subscription, follow };
}
