/**
 * Calls back when the network returns, and when the user shows or hides the page: moments at which
 * a connection may turn out to be dead, or a wait to be pointless. Where there is no page it never does.
 *
 * @param onChange online: the network has returned, so older connections are surely dead
 * @returns what ends the watching
 */
export function watchPage(onChange: (online: boolean) => void): () => void {
  const notice = ({ type }: Event): void => onChange(type === "online");
  const each = (method: "addEventListener" | "removeEventListener"): void => {
    globalThis[method]?.("online", notice);
    globalThis.document?.[method]("visibilitychange", notice);
  };
  each("addEventListener");
  return () => each("removeEventListener");
}
