"use server";
import { getClientSubscriptionToken } from "inngest/react";
import { contentPipeline } from "./channels.js";
import { inngest } from "./client.js";

export async function getRealtimeToken(runId: string) {
  return getClientSubscriptionToken(inngest, { channel: contentPipeline({ runId }), topics: ["status", "tokens"] });
}
