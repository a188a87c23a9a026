/** Yields the lines of a body as they arrive, without line ends. Empty lines are left out. */
export async function* linesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string, void> {
  if (!body) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = decoder.decode(value, { stream: !done }).split("\n"); // does not search the rest again
      lines[0] = rest + lines[0]!;
      rest = done ? "" : lines.pop()!;
      for (const line of lines) if (line.trim()) yield line;
      if (done) return;
    }
  } finally {
    reader.releaseLock();
  }
}
