import assert from "node:assert/strict";
import { test } from "vitest";
import { fragmentOf, settingsOf } from "../../dashboard/debugger/settings.js";

test("settingsOf reads a link", () => {
  assert.deepEqual(settingsOf("#token=a.b-c_d&channel=user%3A7&channel=a%2Fb&topic=x&replay=all"), {
    credential: "a.b-c_d",
    channels: ["user:7", "a/b"],
    topics: ["x"],
    replay: "all",
  });
  assert.equal(settingsOf("#key=a+b/c=")?.credential, "a+b/c=");
});

test("settingsOf leaves other fragments alone", () => {
  for (const hash of ["", "#", "#stream", "#tokens=1"]) assert.equal(settingsOf(hash), null, hash);
});

test("the credential is not written into a link", () => {
  const settings = settingsOf("#token=secret&channel=a%2Fb:c&topic=x&topic=y&replay=10")!;
  assert.equal(fragmentOf(settings), "#channel=a%2Fb%3Ac&topic=x&topic=y&replay=10");
});

test("nothing to say is no fragment", () => {
  assert.equal(fragmentOf({ credential: "x", channels: [], topics: [], replay: "none" }), "");
});
