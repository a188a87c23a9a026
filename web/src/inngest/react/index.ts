"use client";
/**
 * The hook of `inngest/react` for pages whose server is Sluice.
 *
 * @module
 */
export type { ConnectionStatus as UseRealtimeConnectionStatus, RunStatus as UseRealtimeRunStatus } from "../../react/state.js";
export { useRealtime, type UseRealtimeOptions, type UseRealtimeResult } from "./realtime.js";
export type { ClientSubscriptionToken } from "./token.js";
