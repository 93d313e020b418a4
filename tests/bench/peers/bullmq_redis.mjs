// Connections to BullMQ's Redis, as its documentation wants them in production.
// SPDX-License-Identifier: Apache-2.0
import { Redis } from "ioredis";

export const QUEUE = "orders";

export function connection() {
  const [host, port] = process.env.PEER_REDIS.split(":");
  return new Redis({ host, port: Number(port), maxRetriesPerRequest: null, enableAutoPipelining: process.env.PEER_PIPELINES === "1" });
}
