/** The longest key that the server takes, in bytes. */
const MAX_BYTES = 255;

/**
 * The key under which a step of a run publishes: the same in every SDK, and different for different
 * pairs. It is `run:RUN:STEP` with both percent-encoded, or its hash where that is too long.
 */
export async function stepKey(runId: string, stepId: string): Promise<string> {
  const key = `run:${encode(runId)}:${encode(stepId)}`;
  if (key.length <= MAX_BYTES) return key;
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return `run:sha256:${Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Percent-encodes every byte of the UTF-8 text but `A-Z a-z 0-9 _ . -`. */
function encode(text: string): string {
  const one = (byte: number): string => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9_.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  };
  return Array.from(new TextEncoder().encode(text), one).join("");
}
