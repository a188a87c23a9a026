/** What the debugger subscribes to. */
export interface Settings {
  /** Token or API key, "" for none. */
  readonly credential: string;
  readonly channels: readonly string[];
  readonly topics: readonly string[];
  /** "none", "latest", "all" or a number. */
  readonly replay: string;
}

/**
 * Reads the settings from the fragment of a link, which browsers never send to a
 * server: #token=…&channel=…&topic=…&replay=…, or key=… for an API key.
 *
 * @param hash as in location.hash
 * @returns null if the fragment is about something else
 */
export function settingsOf(hash: string): Settings | null {
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
 * @returns "" or a text that starts with #
 */
export function fragmentOf({ channels, topics, replay }: Settings): string {
  const params = new URLSearchParams();
  for (const channel of channels) params.append("channel", channel);
  for (const topic of topics) params.append("topic", topic);
  if (replay !== "none") params.set("replay", replay);
  const text = params.toString();
  return text && `#${text}`;
}
