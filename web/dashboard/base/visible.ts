/** Keeps something open while the page is visible, until the function that it returns is called. */
export function whileVisible(open: () => () => void): () => void {
  const nothing = (): void => undefined;
  let close = nothing;
  const look = (): void => {
    close();
    close = document.hidden ? nothing : open();
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    close();
  };
}
