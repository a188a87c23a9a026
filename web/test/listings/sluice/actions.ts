"use server";
import { getClientSubscriptionToken } from "@sluicehq/sluice/server";
import { contentPipeline } from "./channels.js";
import { sluice as inngest } from "./client.js";

export async function getRealtimeToken(runId: string) {
  return getClientSubscriptionToken(inngest, { channel: contentPipeline({ runId }), topics: ["status", "tokens"] });
}
