"use client";
/**
 * Sluice in React 18 and later: `useRealtime` for all that there is to know of a subscription,
 * `useChannelState` for the latest value of a topic, and `RealtimeProvider` for the connection
 * that the hooks below it share.
 *
 * @module
 */
export { useChannelState, type ChannelStateOptions } from "./channelstate.js";
export { RealtimeProvider, type RealtimeProviderProps } from "./provider.js";
export { useRealtime, type Realtime } from "./realtime.js";
export type { RealtimeOptions } from "./settings.js";
export type { ConnectionStatus, Messages, PauseReason, RunStatus, Standing } from "./state.js";
