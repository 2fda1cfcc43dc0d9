// Calls several replicas of the user service over one channel, and counts the failed calls.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { createClientFactory } from "nice-grpc";

import { UserServiceDefinition } from "../gen/microblog/user/v1/user_service.js";
import { channelTo } from "./channel.js";

const rounds = 6;
const calls = 50;

// @grpc/grpc-js sends the first address as the authority.
const addresses = process.env["USER_SERVICES"] ?? "127.0.0.1:50051,127.0.0.1:50061";
const channel = channelTo(`ipv4:${addresses}`);
const users = createClientFactory().create(UserServiceDefinition, channel);
for (let round = 0; round < rounds; round++) {
  let failed = 0;
  for (let call = 0; call < calls; call++) {
    const nickname = `caller-${round}-${call}`;
    const user = { nickname, email: `${nickname}@example.com` };
    try {
      await users.createUser({ user, requestId: randomUUID() });
    } catch (error) {
      failed++;
      console.error(error);
    }
    await sleep(20);
  }
  console.log(`${calls} calls, ${failed} failed`);
}
channel.close();
