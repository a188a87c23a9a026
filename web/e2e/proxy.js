// A TCP proxy that stands for the network between a browser and the server:
// it can be cut or blocked, and it counts the requests that pass.

import { EventEmitter, once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * @typedef {object} Request
 * @property {string} line such as "GET /v1/subscribe?… HTTP/1.1"
 * @property {Record<string, string>} headers by lower-case name
 */

/**
 * @param {number} target port on the loopback address
 * @returns {Promise<Proxy>}
 */
export async function startProxy(target) {
  const proxy = new Proxy(target);
  proxy.server.listen(0, "127.0.0.1");
  await once(proxy.server, "listening");
  return proxy;
}

/** Emits "request" with each {@link Request} when its head has passed. */
class Proxy extends EventEmitter {
  /** @type {Request[]} */
  requests = [];
  /** How many bytes have gone to the browser. */
  received = 0;
  #pairs = new Set();
  #blocked = false;
  #holdAfter = Infinity; // bytes to the browser that the next connection lets through

  constructor(target) {
    super();
    this.server = createServer((client) => {
      if (this.#blocked) reset(client);
      else this.#join(client, connect(target, "127.0.0.1"));
    });
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** Returns the requests for a stream so far. */
  get subscriptions() {
    return this.requests.filter(({ line }) => line.startsWith("GET /v1/subscribe"));
  }

  /** Breaks all connections that are open now. New ones are let through. */
  cut() {
    for (const pair of this.#pairs) for (const socket of pair) reset(socket);
  }

  /** Breaks all connections, and new ones too until {@link unblock}. */
  block() {
    this.#blocked = true;
    this.cut();
  }

  unblock() {
    this.#blocked = false;
  }

  /** Holds the next connection up once so many bytes have gone to the browser. */
  holdNextAfter(bytes) {
    this.#holdAfter = bytes;
  }

  /** Resolves with the next request for a stream. */
  nextSubscription(timeoutMs = 120_000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no request for a stream came in time")), timeoutMs);
      const take = (request) => {
        if (!request.line.startsWith("GET /v1/subscribe")) return;
        clearTimeout(timer);
        this.off("request", take);
        resolve(request);
      };
      this.on("request", take);
    });
  }

  async stop() {
    this.cut();
    this.server.close();
    await once(this.server, "close");
  }

  #join(client, server) {
    const pair = [client, server];
    this.#pairs.add(pair);
    let left = this.#holdAfter;
    this.#holdAfter = Infinity;
    let head = "";
    client.on("data", (bytes) => {
      head = this.#count(head + bytes.toString("latin1"));
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      const passed = bytes.subarray(0, Math.max(0, left));
      left -= bytes.length;
      this.received += passed.length;
      if (passed.length) client.write(passed);
    });
    for (const [socket, other] of [pair, [server, client]]) {
      socket.on("end", () => other.end());
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }

  /** Takes whole request heads off the text. Bodies in between do no harm. */
  #count(text) {
    for (let end; (end = text.indexOf("\r\n\r\n")) >= 0; text = text.slice(end + 4)) {
      const [line, ...fields] = text.slice(0, end).split("\r\n");
      const headers = Object.fromEntries(fields.map(split));
      const request = { line: line.slice(Math.max(0, line.search(/(GET|POST|PUT|DELETE|OPTIONS) \//))), headers };
      this.requests.push(request);
      this.emit("request", request);
    }
    return text;
  }
}

/** Breaks a connection. One that is ending is not reset: Node.js 20 would not let go of it, and never exit. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Takes a header field apart. */
function split(field) {
  const colon = field.indexOf(":");
  return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
}
