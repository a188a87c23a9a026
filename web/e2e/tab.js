// Tabs that are really hidden when another one is in front. Playwright lets each of its own pages
// believe that it is in front, so these are none of its pages: the browser is asked for them.

/**
 * Opens a tab in front of the others of its context.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {string} [context] of another tab; a new one by default
 */
export async function openTab(browser, url, context) {
  const session = await browser.newBrowserCDPSession();
  const { browserContextId } = context ? { browserContextId: context } : await session.send("Target.createBrowserContext");
  const { targetId } = await session.send("Target.createTarget", { url: "about:blank", browserContextId });
  const { sessionId } = await session.send("Target.attachToTarget", { targetId, flatten: false });
  const answers = new Map(); // what to call, by the id of the request
  let loaded;
  const loading = new Promise((resolve) => (loaded = resolve));
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, method, result, error } = JSON.parse(message);
    if (method === "Page.loadEventFired") loaded();
    answers.get(id)?.({ ...result, error });
    answers.delete(id);
  });
  let requests = 0;

  async function send(method, params = {}) {
    const id = ++requests;
    const answered = new Promise((resolve) => answers.set(id, resolve));
    await session.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) });
    const answer = await answered;
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer;
  }

  const tab = {
    context: browserContextId,
    /** Returns the value of an expression, or of its promise. */
    async evaluate(expression) {
      const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    bringToFront: () => session.send("Target.activateTarget", { targetId }),
    async close() {
      await session.send("Target.closeTarget", { targetId });
      if (!context) await session.send("Target.disposeBrowserContext", { browserContextId });
      await session.detach();
    },
  };
  await send("Page.enable");
  await send("Page.navigate", { url });
  await loading;
  return tab;
}
