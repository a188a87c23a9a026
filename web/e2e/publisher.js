// Publishes message after message over one connection, and keeps the receipts.

import { request } from "node:http";
import { createInterface } from "node:readline";

const TICK_MS = 20;

/**
 * Publishes steadily until it is stopped, has sent all, or its server dies.
 *
 * @param {{url: string, apiKey: string}} sluice
 * @param {object} options
 * @param {number} options.perSecond
 * @param {(n: number) => {channel: string, topic: string, data: unknown}} options.message for n from 1 on
 * @param {number} [options.count] of messages, after which it stops by itself
 */
export function startPublisher(sluice, { perSecond, message, count = Infinity }) {
  const receipts = []; // in the order of n
  const looks = new Set(); // of those who wait for receipts
  let sent = 0;
  const post = request(`${sluice.url}/v1/publish`, {
    method: "POST",
    headers: { Authorization: `Bearer ${sluice.apiKey}`, "Content-Type": "application/x-ndjson" },
    agent: false,
  });
  const ended = new Promise((resolve) => {
    post.on("error", resolve); // its server died
    post.on("response", (response) => {
      const lines = createInterface({ input: response });
      lines.on("line", (line) => {
        receipts.push(JSON.parse(line));
        for (const look of looks) look();
      });
      lines.on("error", () => {});
      response.on("error", () => {});
      response.on("close", () => setImmediate(resolve));
    });
  });
  const began = performance.now();
  const timer = setInterval(() => {
    const due = Math.min(count, Math.ceil(((performance.now() - began) / 1000) * perSecond));
    let lines = "";
    while (sent < due) lines += JSON.stringify(message(++sent)) + "\n";
    if (lines && !post.destroyed) post.write(lines);
    if (sent >= count) finish();
  }, TICK_MS);
  void ended.then(() => clearInterval(timer));

  function finish() {
    clearInterval(timer);
    post.end();
  }

  const publisher = {
    receipts,
    /** Waits for so many receipts. */
    received: (wanted) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (receipts.length >= wanted) resolve(looks.delete(look));
        };
        looks.add(look);
        look();
        void ended.then(() => reject(new Error(`the publisher ended after ${receipts.length} of ${wanted} receipts`)));
      }),
    /** Waits until it has ended. Returns how many were sent. */
    ended: () => ended.then(() => sent),
    /** Stops it and waits for the last receipt. Returns how many were sent. */
    stop() {
      finish();
      return publisher.ended();
    },
  };
  return publisher;
}
