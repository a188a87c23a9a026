/**
 * Reads why a request was refused: a problem of RFC 9457, or, when something
 * else answered in the server's place, its status.
 *
 * @param {Response} response with a status that is not 2xx; its body is read
 * @returns {Promise<string>} one or more lines for people
 */
export async function explainRefusal(response) {
  const status = `${response.status} ${response.statusText}`.trim();
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("application/problem+json")) return status;
  try {
    return explainProblem(await response.json());
  } catch {
    return status;
  }
}

/** @param {{status: number, title: string, detail?: string, errors?: {pointer: string, detail: string}[]}} problem */
function explainProblem({ status, title, detail, errors = [] }) {
  const head = detail ? `${status} ${title}: ${detail}` : `${status} ${title}`;
  return [head, ...errors.map((e) => `${e.pointer || "(whole document)"}: ${e.detail}`)].join("\n");
}
