// A server of events as people write it: a set of responses for each channel, and a write to
// each of them. Run it with an address: node sse.js 127.0.0.1:8080
import { createServer } from 'node:http';

const channels = new Map();

const server = createServer((req, res) => {
  const [, verb, name] = req.url.split('/');
  const channel = decodeURIComponent(name ?? '');
  if (req.method === 'GET' && verb === 'sub') {
    subscribe(channel, req, res);
  } else if (req.method === 'POST' && verb === 'pub') {
    publish(channel, req, res);
  } else {
    res.statusCode = 404;
    res.end();
  }
});

function subscribe(channel, req, res) {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache',
    Connection: 'keep-alive',
  });
  res.flushHeaders();
  if (!channels.has(channel)) channels.set(channel, new Set());
  const readers = channels.get(channel);
  readers.add(res);
  req.on('close', () => readers.delete(res));
}

function publish(channel, req, res) {
  let body = '';
  req.setEncoding('utf8');
  req.on('data', (piece) => (body += piece));
  req.on('end', () => {
    for (const reader of channels.get(channel) ?? []) reader.write(`data: ${body}\n\n`);
    res.statusCode = 201;
    res.end();
  });
}

const [host, port] = process.argv[2].split(':');
server.listen(Number(port), host);
