"use server";

import { randomUUID } from "node:crypto";
import { redirect } from "next/navigation";
import { after } from "next/server";
import { pipeline } from "@/lib/channels";
import { writePost } from "@/lib/post";
import { sluice } from "@/lib/sluice";

/** Starts a run, and shows its page. */
export async function startPost() {
  const runId = randomUUID();
  after(() => writePost(runId)); // or hand it to your queue
  redirect(`/posts/${runId}`);
}

/** Issues a token with which a page can read one run. A real application checks here who is signed in. */
export async function getRealtimeToken(runId: string) {
  return sluice().token({ channel: pipeline({ runId }), topics: ["status", "draft"] });
}
