import "server-only"; // it has the API key
import { createServer, type SluiceServer } from "@sluicehq/sluice/server";

let server: SluiceServer | undefined;

/** Returns the client of Sluice. It is made when it is first needed, since `next build` has no key. */
export function sluice(): SluiceServer {
  return (server ??= createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! }));
}
