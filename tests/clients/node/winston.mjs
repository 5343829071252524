// Logs through winston and winston-loki, which pushes snappy protobuf: winston.mjs URL COUNT.
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const winston = require("winston");
const LokiTransport = require("winston-loki");
const [url, count] = process.argv.slice(2);
const loki = new LokiTransport({
  host: url,
  labels: { app: "node-winston" },
  json: false,
  interval: 1,
  onConnectionError: (error) => { console.error(error); process.exit(1); },
});
const logger = winston.createLogger({ transports: [loki] });
for (let number = 0; number < Number(count); number += 1) logger.warn(`winston line ${number}`);
await loki.flush();
process.exit(0);
