// BullMQ behind Fastify, with the part of Errand's HTTP interface that the load needs: a job is submitted, and a long poll
// is answered by the event of its completion, never by polling Redis. PEER_PORT, PEER_REDIS.
// SPDX-License-Identifier: Apache-2.0
import Fastify from "fastify";
import { Job, Queue, QueueEvents } from "bullmq";
import { connection, QUEUE } from "./bullmq_redis.mjs";

const RETRIES = { attempts: 3, backoff: { type: "exponential", delay: 100 } };
const KEPT_S = 3600;

const queue = new Queue(QUEUE, { connection: connection() });
const events = new QueueEvents(QUEUE, { connection: connection() });
const waiting = new Map(); // by job id: functions that take the outcome

function tell(id, outcome) {
  const takers = waiting.get(id);
  waiting.delete(id);
  for (const take of takers ?? []) take(outcome);
}
events.on("completed", ({ jobId, returnvalue }) => tell(jobId, { state: "succeeded", result: returnvalue }));
events.on("failed", ({ jobId, failedReason }) => tell(jobId, { state: "failed", error: failedReason }));

function awaited(id, waitMs) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => tell(id, { state: "queued" }), waitMs);
    const take = (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    waiting.set(id, [...(waiting.get(id) ?? []), take]);
  });
}

async function known(id) {
  const job = await Job.fromId(queue, id);
  if (!job) return { state: "unknown" };
  if (!job.finishedOn) return null;
  return job.failedReason ? { state: "failed", error: job.failedReason } : { state: "succeeded", result: job.returnvalue };
}

const submission = {
  type: "object",
  required: ["type", "payload"],
  properties: { type: { type: "string", maxLength: 64 }, payload: { type: "object" } },
};
const server = Fastify({ logger: false });
server.post("/v1/jobs", { schema: { body: submission } }, async (request, reply) => {
  const { type, payload } = request.body;
  const job = await queue.add(type, payload, { ...RETRIES, removeOnComplete: { age: KEPT_S } });
  reply.code(202);
  return { id: job.id, type, queue: QUEUE, state: "queued", attempt: 0, created_at: new Date(job.timestamp).toISOString(),
           links: { self: `/v1/jobs/${job.id}` } };
});
server.get("/v1/jobs/:id", async (request, reply) => {
  const { id } = request.params;
  // Waits first and looks then, so that a completion between the two is not missed.
  const outcome = awaited(id, 1000 * Number(request.query.wait ?? 0));
  const now = await known(id);
  if (now) tell(id, now);
  const told = await outcome;
  if (told.state === "unknown") reply.code(404);
  return { id, ...told };
});
server.get("/livez", async () => ({ status: "ok" }));
await events.waitUntilReady();
await server.listen({ host: "127.0.0.1", port: Number(process.env.PEER_PORT), backlog: 4096 });
