// Logs through pino and its Loki transport: pino.mjs URL COUNT.
import { createRequire } from "node:module";

// The packages live in the cache folder that is the working directory.
const require = createRequire(`${process.cwd()}/`);
const pino = require("pino");
const [url, count] = process.argv.slice(2);
const transport = pino.transport({
  target: require.resolve("pino-loki"),
  options: { host: url, labels: { app: "node-pino" }, batching: { interval: 1 }, silenceErrors: false },
});
const logger = pino(transport);
for (let number = 0; number < Number(count); number += 1) logger.error({ number }, `pino line ${number}`);
logger.flush(() => transport.end());
