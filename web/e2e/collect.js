// Runs in a page: subscriptions of the SDK, and an account of what each of them was told.

/**
 * Begins a subscription. Its account is window.accounts[name].
 *
 * @param {object} options of subscribe(), and what only the page can make of plain data:
 *   tokenFrom, the address that answers with a token, and tabs, the name to share tabs by
 */
export function collect(sdk, name, { tokenFrom, tabs, ...options }) {
  const account = { told: [], chunks: [], statuses: [], invalid: [] };
  account.sub = sdk.subscribe({
    ...options,
    ...(tokenFrom && { token: async () => (await fetch(tokenFrom)).json() }),
    ...(tabs && { shareTabs: sdk.tabs(tabs) }),
    onMessage({ chunks, ...message }) {
      account.told.push(message); // of a text, how it began
      if (chunks) void read(message.stream_id, chunks);
    },
    onChunk: ({ stream_id, text, state }, chunk) => account.chunks.push({ stream_id, chunk, text, state }),
    onGap: (gap) => account.told.push({ gap }),
    onStatus: (status, { position, error }) =>
      account.statuses.push({ status, position, error: error && `${error.code}: ${error.message}` }),
    onInvalid: (error) => account.invalid.push(error.message),
  });
  async function read(id, chunks) {
    let text = "";
    for await (const chunk of chunks) text += chunk;
    (account.read ??= {})[id] = text;
  }
  (window.accounts ??= {})[name] = account;
}
