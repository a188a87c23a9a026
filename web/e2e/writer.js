// Streams a text piece by piece, and keeps what was written.

import { once } from "node:events";
import { request } from "node:http";

/**
 * Begins a text.
 *
 * @param {{url: string, apiKey: string}} sluice
 * @param {string} channel
 * @param {string} topic
 */
export function beginText({ url, apiKey }, channel, topic) {
  const post = request(`${url}/v1/publish/${encodeURIComponent(channel)}/${topic}/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}` },
    agent: false,
  });
  const answered = once(post, "response");
  let written = "";
  return {
    written: () => written,
    async write(piece) {
      written += piece;
      if (!post.write(piece)) await once(post, "drain");
    },
    /** Ends the text and waits for the answer. */
    async end() {
      post.end();
      const [response] = await answered;
      response.resume();
    },
  };
}
