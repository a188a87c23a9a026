import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** Copies a text to the clipboard. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }): JSX.Element {
  const [done, setDone] = useState("");
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(""), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("Not allowed: select the text and copy it");
    }
  }
  return (
    <button type="button" onClick={() => void copy()}>
      <span aria-live="polite">{done || label}</span>
    </button>
  );
}
