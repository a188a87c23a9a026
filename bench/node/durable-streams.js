// The server of the package @durable-streams/server, with its store in memory. Run it with an
// address: node durable-streams.js 127.0.0.1:8080
import { DurableStreamTestServer } from '@durable-streams/server';

const [host, port] = process.argv[2].split(':');
await new DurableStreamTestServer({ host, port: Number(port) }).start();
