// Presence with the real server. It needs the binary: SLUICE_BIN=../sluice npx vitest run test/presence.real.test.ts

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startSluice } from "../e2e/sluice.js";
import { subscribe } from "../src/index.js";
import { followPresence } from "../src/presence/index.js";
import { createServer, type SluiceServer } from "../src/server/index.js";
import { holds } from "./support/patience.js";

const there = !!process.env.SLUICE_BIN;
if (!there) console.warn("test/presence.real.test.ts is skipped: SLUICE_BIN does not name the server's binary");

describe.skipIf(!there)("the real server", () => {
  let server: Awaited<ReturnType<typeof startSluice>>;
  let sluice: SluiceServer;

  beforeAll(async () => {
    server = await startSluice();
    sluice = createServer({ url: server.url, apiKey: server.apiKey });
  });
  afterAll(() => server.stop());

  const tokenOf = async (sub: string, presence: boolean) => (await sluice.token({ channel: "room:1", sub, presence })).token;
  const enter = async (sub: string) =>
    subscribe({ url: server.url, token: await tokenOf(sub, false), channel: "room:1", onMessage: () => undefined });

  test("who follows a channel is told who comes and goes, and not of a reload", async () => {
    const left: string[] = [];
    const following = followPresence({
      url: server.url,
      token: await tokenOf("watcher", true),
      channel: "room:1",
      onChange: (_, change) => void left.push(...change.left),
    });
    const is = (...subjects: string[]) =>
      holds(() => following.getSnapshot().status === "open" && String(following.getSnapshot().subjects) === String(subjects));
    await is();
    const ann = await enter("ann");
    await is("ann");
    let bob = await enter("bob");
    await is("ann", "bob");
    for (let round = 0; round < 3; round++) {
      bob.close();
      bob = await enter("bob");
      await holds(() => bob.getSnapshot().status === "open");
    }
    ann.close();
    await is("bob");
    expect(left).toEqual(["ann"]);
    expect(following.getSnapshot().count).toBe(1);
    bob.close();
    following.close();
  });

  test("a token that may read everything may not see who reads", async () => {
    const following = followPresence({ url: server.url, token: await tokenOf("eve", false), channel: "room:1" });
    await holds(() => following.getSnapshot().status === "error");
    expect(following.getSnapshot().error).toMatchObject({ code: "forbidden", status: 403 });
  });
});
