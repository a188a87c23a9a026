// The web server of an example: its routes, and its page.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { createServer as createVite } from "vite";
import { SluiceError } from "@sluicehq/sluice/server";

const EXAMPLES = fileURLToPath(new URL("..", import.meta.url));

/** What the module `server.ts` of an example exports. */
export interface Example {
  /** By method and path: `POST /token`. The server answers with the returned value as JSON. */
  readonly routes: Routes;
}

/** The body is what its JSON says. */
export type Routes = Readonly<Record<string, (query: URLSearchParams, body: unknown) => unknown>>;

/** Serves an example on a port (0: any free one) and returns the address of its page. */
export async function serve({ routes }: Example, name: string, port: number): Promise<string> {
  const server = createServer();
  const vite = await createVite({
    configFile: false,
    root: EXAMPLES,
    appType: "mpa",
    optimizeDeps: { entries: `${name}/index.html` },
    cacheDir: `node_modules/.vite/${name}`,
    logLevel: "warn",
    // The package is a link to ../web, so its files are outside of this folder, and there may be
    // another React beside them; a page must have only one. An installed package needs neither line.
    server: { middlewareMode: true, hmr: { server }, fs: { allow: [".", "../web/dist"] } },
    resolve: { dedupe: ["react", "react-dom"] },
  });
  server.on("request", (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const route = routes[`${request.method} ${pathname}`];
    if (route) void answer(request, response, (body) => route(searchParams, body));
    else vite.middlewares(request, response);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}/`;
}

/** Answers with what a route returns, or with its error. */
async function answer(request: IncomingMessage, response: ServerResponse, route: (body: unknown) => unknown): Promise<void> {
  try {
    const body = await text(request);
    send(response, 200, await route(body && JSON.parse(body)));
  } catch (error) {
    if (error instanceof SluiceError) return send(response, 502, { code: error.code, message: error.message });
    console.error(error);
    send(response, 500, { message: String(error) });
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" }).end(JSON.stringify(value ?? null));
}
