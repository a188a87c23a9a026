import {
  createContext,
  createElement,
  useInsertionEffect,
  useMemo,
  useState,
  type Context,
  type ReactElement,
  type ReactNode,
} from "react";
import { latestOf } from "../request.js";
import type { ConnectOptions } from "../subscribe.js";

/**
 * The provider uses the latest token whenever it needs one. A new `url` restarts the subscriptions.
 * The other options are taken from the first render. Give the provider another `key` for another user.
 */
export interface RealtimeProviderProps extends ConnectOptions {
  children?: ReactNode;
}

/** What a provider passes to the hooks below it. */
export const Connection: Context<ConnectOptions> = createContext<ConnectOptions>({});

/**
 * Gives the hooks below it the server and the token. They share a connection unless their own
 * options about it differ.
 */
export function RealtimeProvider({ children, ...options }: RealtimeProviderProps): ReactElement {
  const url = options.url && String(options.url);
  const [first] = useState(() => withLatestToken(options));
  useInsertionEffect(() => first.committed(options));
  const value = useMemo(() => ({ ...first.options, url }), [first, url]);
  return createElement(Connection.Provider, { value }, children);
}

/** Replaces the token by a function that never changes and always gives the latest token. */
function withLatestToken(first: ConnectOptions): { options: ConnectOptions; committed(options: ConnectOptions): void } {
  let latest = first;
  return {
    options: { ...first, token: latestOf(() => latest.token) },
    committed(options) {
      latest = options;
    },
  };
}
