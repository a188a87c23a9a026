"use client";
/**
 * Sluice for React 18 and later: `useRealtime` for a whole subscription, `useChannelState` for the
 * latest value of a topic, and `RealtimeProvider` for a connection that hooks share.
 *
 * @module
 */
export { useChannelState, type ChannelStateOptions } from "./channelstate.js";
export { RealtimeProvider, type RealtimeProviderProps } from "./provider.js";
export { useRealtime, type Realtime } from "./realtime.js";
export type { RealtimeOptions } from "./settings.js";
export type { ConnectionStatus, Messages, PauseReason, RunStatus, Standing } from "./state.js";
