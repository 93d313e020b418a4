// The job as a Restate service. PEER_PORT; RESTATE_LOGGING=ERROR, else two lines are logged for each job.
// SPDX-License-Identifier: Apache-2.0
import * as restate from "@restatedev/restate-sdk";
import { price } from "./price.mjs";

const orders = restate.service({ name: "orders", handlers: { price: async (context, order) => price(order) } });
await restate.serve({ services: [orders], port: Number(process.env.PEER_PORT) });
