import { vi } from "vitest";

/**
 * How long a test waits for something that should come, in milliseconds. It is long, since machines
 * may be busy; a test that passes does not use it up.
 */
export const PATIENCE = 120_000;

/** Waits until the check does not throw any more. The default of vitest is a second. */
export const passes = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, { timeout: PATIENCE });

/** Waits until the condition holds, and returns what it gave. It looks every interval milliseconds. */
export const holds = <T>(condition: () => T | Promise<T>, interval = 50) => vi.waitUntil(condition, { timeout: PATIENCE, interval });
