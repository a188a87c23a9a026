import { explainRefusal } from "./problem.js";

const TIMEOUT_MS = 30_000;

/**
 * Publishes one message.
 *
 * @param {object} message
 * @param {string} message.base the address of the server's root
 * @param {string} message.credential
 * @param {string} message.channel
 * @param {string} message.topic
 * @param {string} message.data JSON text, sent unchanged
 * @param {string} message.key idempotency key, "" for none
 * @returns {Promise<{ok: boolean, text: string}>} the result as text
 */
export async function publish({ base, credential, channel, topic, data, key }) {
  const headers = { Authorization: `Bearer ${credential}`, "Content-Type": "application/json" };
  if (key !== "") headers["Idempotency-Key"] = key;
  const path = `v1/publish/$/$?${new URLSearchParams({ channel, topic })}`; // proxies leave the query unchanged
  try {
    const response = await fetch(new URL(path, base), {
      method: "POST",
      headers,
      body: data,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    if (!response.ok) return { ok: false, text: await explainRefusal(response) };
    return { ok: true, text: describeReceipt(response.status, await response.json()) };
  } catch {
    const advice = key === "" ? "The message may or may not have been published." : "You can safely publish it again with the same key.";
    return { ok: false, text: `The server did not answer. ${advice}` };
  }
}

function describeReceipt(status, { id, durable, duplicate }) {
  if (duplicate) return `${status} Already published as ${id}. Nothing was sent again.`;
  return `${status} Published as ${id}${durable ? ", durably" : ""}.`;
}

/**
 * Wires the publish form.
 *
 * @param {HTMLFormElement} form
 * @param {{base: string, credential: () => string}} context
 */
export function attachPublishForm(form, { base, credential }) {
  const { elements } = form;
  const outcome = form.querySelector(".outcome");
  let busy = false;

  function tell(ok, text, culprit) {
    outcome.dataset.ok = ok;
    outcome.textContent = text;
    culprit?.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    const key = elements["publish-key"];
    const data = elements["publish-data"];
    const fault = jsonFault(data.value);
    if (fault) return tell(false, `The data is not JSON: ${fault}`, data);
    if (!/^[ -~]*$/.test(key.value)) return tell(false, "An idempotency key may contain only printable ASCII characters.", key);
    if (credential() === "") return tell(false, "Enter a token or an API key above first.");
    busy = true;
    tell(true, "Publishing…");
    const channel = elements["publish-channel"].value.trim();
    const topic = elements["publish-topic"].value.trim();
    const result = await publish({ base, credential: credential(), channel, topic, data: data.value, key: key.value });
    busy = false;
    tell(result.ok, result.text);
  });

  elements["publish-data"].addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function jsonFault(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return error.message;
  }
}
