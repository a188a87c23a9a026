/**
 * Reads why a request was refused: from a problem document of RFC 9457, or, if
 * something else answered instead of the server, from the status.
 *
 * @param {Response} response with a status that is not 2xx; its body is read
 * @returns {Promise<string>} one or more lines of text for the user
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
