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
import { credential } from "../request.js";
import type { ConnectOptions } from "../subscribe.js";

/**
 * The token is taken as it is when it is needed. Another `url` begins the subscriptions anew. The
 * other options are taken as they are in the first rendering; another user needs another `key`.
 */
export interface RealtimeProviderProps extends ConnectOptions {
  children?: ReactNode;
}

/** What a provider tells the hooks below it. */
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

/** The options with one token function, which is the same for good, for whichever token is the latest. */
function withLatestToken(first: ConnectOptions): { options: ConnectOptions; committed(options: ConnectOptions): void } {
  let latest = first;
  return {
    options: { ...first, token: () => credential(latest.token) },
    committed(options) {
      latest = options;
    },
  };
}
