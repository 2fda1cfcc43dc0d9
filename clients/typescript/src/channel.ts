// The channels of the clients.

import { readFileSync } from "node:fs";

import { type Channel, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { createChannel } from "nice-grpc";

// The configuration of retries and deadlines, which the library executes. @grpc/grpc-js does not
// check health: a call to a draining server fails with UNAVAILABLE, and is retried.
const serviceConfig = new URL("../../../service-config.json", import.meta.url);

const options: ChannelOptions = {
  "grpc.service_config": readFileSync(serviceConfig, "utf8"),
  // A restarting server is back quickly: reconnect sooner than after the default of 1 s.
  "grpc.initial_reconnect_backoff_ms": 100,
};

/** Returns a channel to a target, which connects on the first call. */
export function channelTo(target: string): Channel {
  return createChannel(target, credentials.createInsecure(), options);
}
