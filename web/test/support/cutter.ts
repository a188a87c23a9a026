// A TCP proxy that does to long requests what networks do.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** What becomes of one connection. */
export interface Fate {
  /** How many bytes of requests get through. Then the connection breaks. Default: all. */
  readonly up?: number;
  /** How many bytes of answers get through. Then the connection breaks. Default: all. */
  readonly down?: number;
  /** How many bytes of requests get through before the others have to wait. Default: all. */
  readonly hold?: number;
}

export interface Cutter {
  readonly url: string;
  /** How many connections have been broken. */
  readonly cuts: number;
  /** Lets through what waits. */
  release(): void;
  /** Breaks all connections, and new ones, too, until they are unblocked. */
  block(): void;
  unblock(): void;
  stop(): Promise<void>;
}

/** Starts a proxy to a port of this machine. It asks for the fate of each connection when that begins. */
export async function startCutter(port: number, fateOf: () => Fate = () => ({})): Promise<Cutter> {
  const connections = new Set<readonly [Socket, Socket]>();
  const waiting: (() => void)[] = [];
  let cuts = 0;
  let blocked = false;

  function cut(connection: readonly [Socket, Socket]): void {
    if (connections.delete(connection)) cuts++;
    connection.forEach(reset);
  }

  const server = createServer((client) => {
    if (blocked) return reset(client);
    const connection = [client, connect(port, "127.0.0.1")] as const;
    connections.add(connection);
    const { up = Infinity, down = Infinity, hold = Infinity } = fateOf();
    const end = (): void => cut(connection);
    pass(connection[0], connection[1], { limit: up, end, hold, wait: (go) => waiting.push(go) });
    pass(connection[1], connection[0], { limit: down, end, hold: Infinity, wait: () => undefined });
    client.on("close", () => connections.delete(connection));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  function block(): void {
    blocked = true;
    connections.forEach(cut);
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
    release: () => waiting.splice(0).forEach((go) => go()),
    block,
    unblock: () => (blocked = false),
    async stop() {
      block();
      server.close();
      await once(server, "close");
    },
  };
}

interface Way {
  readonly limit: number;
  /** Is called when that has passed. */
  readonly end: () => void;
  readonly hold: number;
  /** Is given the function that lets through what is held. */
  readonly wait: (go: () => void) => void;
}

/** Passes on what one side sends. */
function pass(from: Socket, to: Socket, { limit, end, hold, wait }: Way): void {
  let passed = 0;
  from.on("data", (bytes) => {
    from.pause();
    const on = (): void => {
      const part = bytes.subarray(0, limit - passed);
      passed += part.length;
      to.write(part, () => (passed < limit ? from.resume() : end()));
    };
    if (passed <= hold && passed + bytes.length > hold) wait(on);
    else on();
  });
  from.on("end", () => to.end());
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroy());
}

/** Breaks a connection. One that is ending is not reset: Node.js 20 would not let go of it, and never exit. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
