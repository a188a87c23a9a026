import { CANCELLED, FAILED } from "./runs.js";

/** How a function is registered with Inngest, as far as it is used here. */
interface Config {
  readonly id: string;
  readonly name?: string;
  readonly triggers?: readonly { readonly event: string; readonly expression: string }[];
  readonly steps: Readonly<Record<string, { readonly runtime: { readonly url: string } }>>;
}

/** A function, as the SDK registers it. It does the same for `onFailure`, which becomes a function of its own. */
interface Registered {
  readonly opts: { readonly onFailure?: unknown };
  getConfig(options: object): Config[];
}

/**
 * Registers a second function with each function, which Inngest calls when it has ended one of the
 * function's runs by itself. Nothing else tells an application of that.
 */
export function accompany(fn: object): void {
  const { opts, getConfig } = fn as Registered;
  const withCompanion = (options: object): Config[] => {
    const configs = getConfig.call(fn, options);
    const companion = companionOf(configs[0]!, opts.onFailure ? [CANCELLED] : [CANCELLED, FAILED]);
    return configs.some(({ id }) => id === companion.id) ? configs : [...configs, companion];
  };
  Object.assign(fn, { getConfig: withCompanion });
}

function companionOf({ id, name, steps }: Config, events: readonly string[]): Config {
  const own = `${id}-run-status`;
  const called = Object.entries(steps).map(([step, { runtime }]) => {
    const url = new URL(runtime.url);
    url.searchParams.set("fnId", own);
    return [step, { id: step, name: step, runtime: { ...runtime, url: url.href } }] as const;
  });
  return {
    id: own,
    name: `${name} (run status)`,
    triggers: events.map((event) => ({ event, expression: `event.data.function_id == '${id}'` })),
    steps: Object.fromEntries(called),
  };
}
