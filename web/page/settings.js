/**
 * @typedef {object} Settings
 * @property {string} credential token or API key, "" for none
 * @property {string[]} channels
 * @property {string[]} topics
 * @property {string} replay "none", "latest", "all" or a number
 */

/**
 * Reads the settings from the fragment of a link, which browsers never send to a
 * server: #token=…&channel=…&topic=…&replay=…, or key=… for an API key.
 *
 * @param {string} hash as in location.hash
 * @returns {Settings | null} null if the fragment is about something else
 */
export function settingsOf(hash) {
  const params = new URLSearchParams(hash.slice(1));
  if (!["token", "key", "channel", "topic", "replay"].some((name) => params.has(name))) return null;
  // A plus sign is a space in this notation, and no credential has a space.
  const credential = (params.get("token") ?? params.get("key") ?? "").replaceAll(" ", "+");
  return {
    credential,
    channels: params.getAll("channel"),
    topics: params.getAll("topic"),
    replay: params.get("replay") ?? "none",
  };
}

/**
 * Writes the settings as a fragment, without the credential.
 *
 * @param {Settings} settings
 * @returns {string} "" or a text that starts with #
 */
export function fragmentOf(settings) {
  const text = subscription(settings).toString();
  return text && `#${text}`;
}

function subscription({ channels, topics, replay }) {
  const params = new URLSearchParams();
  for (const channel of channels) params.append("channel", channel);
  for (const topic of topics) params.append("topic", topic);
  if (replay !== "none") params.set("replay", replay);
  return params;
}
