import { describe, expectTypeOf, it } from "vitest";
import { channel, staticSchema, type SluiceError } from "../src/index.js";
import { followPresence, type Presence } from "../src/presence/index.js";
import { usePresence } from "../src/presence/react/index.js";

const rooms = channel({ name: ({ id }: { id: string }) => `room:${id}`, topics: { said: { schema: staticSchema<string>() } } });

describe("presence", () => {
  it("is of one channel, by its definition or its name", () => {
    const { getSnapshot } = followPresence({ channel: rooms({ id: "1" }) });
    expectTypeOf(getSnapshot()).toEqualTypeOf<Presence>();
    expectTypeOf(usePresence("room:1")).toEqualTypeOf<Presence>();
    expectTypeOf(usePresence("room:1").subjects).toEqualTypeOf<readonly string[]>();
    expectTypeOf(usePresence("room:1").error).toEqualTypeOf<SluiceError | null>();
    usePresence(rooms({ id: "1" }), { enabled: false, token: () => "t" });
    // @ts-expect-error -- which channel?
    followPresence({});
    // @ts-expect-error -- presence has no messages to parse
    usePresence("room:1", { parse: JSON.parse });
  });
});
