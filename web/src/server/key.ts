/** The longest key that the server accepts, in bytes. */
const MAX_BYTES = 255;

/** The longest stream id that the server accepts, in bytes. */
const MAX_STREAM_ID_BYTES = 64;

/** How much of a hash is in a stream id: 32 characters of base64, without padding. */
const HASHED_BYTES = 24;

/**
 * Returns the key under which a step of a run publishes. It is the same in every SDK and unique to the
 * pair: `run:RUN:STEP`, both percent-encoded, or a hash of that if it is too long.
 */
export async function stepKey(runId: string, stepId: string): Promise<string> {
  const key = `run:${encode(runId)}:${encode(stepId)}`;
  if (key.length <= MAX_BYTES) return key;
  return `run:sha256:${Array.from(await sha256(key), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Returns the stream id of the text of a step. It is the same in every SDK and unique to the pair:
 * `RUN:STEP` if both consist of `A-Z a-z 0-9 _ . -` and that is short enough. Otherwise it is `h:` and the
 * first bytes of a hash of both, with a line feed between them: no run's id contains one.
 */
export async function stepStreamId(runId: string, stepId: string): Promise<string> {
  const id = `${runId}:${stepId}`;
  if (id.length <= MAX_STREAM_ID_BYTES && [runId, stepId].every((part) => encode(part) === part)) return id;
  const bytes = (await sha256(`${runId}\n${stepId}`)).subarray(0, HASHED_BYTES);
  return `h:${btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")}`;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Percent-encodes every byte of the UTF-8 text except `A-Z a-z 0-9 _ . -`. */
function encode(text: string): string {
  const one = (byte: number): string => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9_.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  };
  return Array.from(new TextEncoder().encode(text), one).join("");
}
