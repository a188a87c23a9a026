/** The functions to call when something changes. Each then checks whether it was the change that it waits for. */
export type Bell = Set<() => void>;

/** Waits for the next ring. */
export function wait(bell: Bell): Promise<void> {
  return new Promise((resolve) => void bell.add(resolve));
}

export function ring(bell: Bell): void {
  bell.forEach((resolve) => resolve());
  bell.clear();
}
