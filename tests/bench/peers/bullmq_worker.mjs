// BullMQ's worker. PEER_REDIS, PEER_CONCURRENCY.
// SPDX-License-Identifier: Apache-2.0
import { Worker } from "bullmq";
import { connection, QUEUE } from "./bullmq_redis.mjs";
import { price } from "./price.mjs";

const worker = new Worker(QUEUE, async (job) => price(job.data), {
  connection: connection(),
  concurrency: Number(process.env.PEER_CONCURRENCY),
});
worker.on("error", (error) => console.error(error.message));
await worker.waitUntilReady();
