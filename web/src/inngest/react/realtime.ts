import { useMemo, useState } from "react";
import { useRealtime as useSluice } from "../../react/realtime.js";
import type { RealtimeOptions } from "../../react/settings.js";
import type { ConnectionStatus, PauseReason, RunStatus, Standing } from "../../react/state.js";
import { createRenaming, type ByTopic, type ChannelInput, type MessageOf } from "./message.js";
import { answerOf, type ClientSubscriptionToken, type SubscriptionToken } from "./token.js";

type Topics = readonly string[] | undefined;

/** The options that are Sluice's under the same name. */
type Shared =
  | "key"
  | "enabled"
  | "bufferInterval"
  | "validate"
  | "historyLimit"
  | "reconnect"
  | "reconnectMinMs"
  | "reconnectMaxMs"
  | "pauseOnHidden"
  | "autoCloseOnTerminal"
  | "replay"
  | "fetch";

/** The options of the hook of Inngest's SDK, and `replay` and `fetch`. */
export interface UseRealtimeOptions<C extends ChannelInput = ChannelInput, T extends Topics = Topics> extends Pick<
  RealtimeOptions<string>,
  Shared
> {
  channel?: C | undefined;
  topics?: T;
  token?:
    | ClientSubscriptionToken
    | SubscriptionToken<ChannelInput, readonly string[]>
    | (() => Promise<string | ClientSubscriptionToken | SubscriptionToken<ChannelInput, readonly string[]>>)
    | undefined;
  /** The address of the Sluice server. Default: the one in the token, or else the page's origin. */
  apiBaseUrl?: string | undefined;
}

export interface UseRealtimeResult<C extends ChannelInput = ChannelInput, T extends Topics = Topics> extends Pick<
  Standing,
  "isPaused" | "result" | "error" | "gaps"
> {
  readonly connectionStatus: ConnectionStatus;
  readonly pauseReason: PauseReason;
  /** `running` as soon as it is connected, unless the server knows better. */
  readonly runStatus: RunStatus;
  readonly messages: {
    readonly byTopic: ByTopic<C, T>;
    readonly all: MessageOf<C, T>[];
    readonly last: MessageOf<C, T> | null;
    readonly delta: MessageOf<C, T>[];
  };
  readonly reset: () => void;
}

/**
 * The hook `useRealtime` of `inngest/react`, with a Sluice server: it takes the same options and returns
 * the same fields.
 */
export function useRealtime<const C extends ChannelInput = ChannelInput, const T extends Topics = Topics>(
  options: UseRealtimeOptions<C, T>,
): UseRealtimeResult<C, T> {
  const { apiBaseUrl: url, token, ...rest } = options;
  const { channel, topics } = (typeof token === "object" ? token : {}) as Partial<SubscriptionToken<ChannelInput, readonly string[]>>;
  const live = useSluice<ChannelInput, string>({
    ...rest,
    channel: rest.channel ?? channel,
    topics: rest.topics ?? topics,
    url,
    token: token && (async () => answerOf(typeof token === "function" ? await token() : token)),
  });
  const [renaming] = useState(createRenaming);
  const isRunning = useLatched(live.connectionStatus);
  return useMemo(() => {
    const { messages } = live;
    const fields = {
      get byTopic() {
        return renaming.byTopic(messages.byTopic);
      },
      get all() {
        return renaming.list(messages.all);
      },
      get last() {
        return messages.last && renaming.message(messages.last);
      },
      get delta() {
        return renaming.list(messages.delta);
      },
    };
    return Object.defineProperties(
      {},
      {
        ...Object.getOwnPropertyDescriptors(live),
        messages: { value: fields, enumerable: true },
        runStatus: { get: () => (isRunning && live.runStatus === "unknown" ? "running" : live.runStatus), enumerable: true },
      },
    ) as UseRealtimeResult<C, T>;
  }, [live, renaming, isRunning]);
}

/** Reports whether a subscription has been open. A new one begins with `idle`. */
function useLatched(status: ConnectionStatus): boolean {
  const [opened, setOpened] = useState(false);
  const now = status === "open" || (opened && status !== "idle");
  if (now !== opened) setOpened(now);
  return now;
}
