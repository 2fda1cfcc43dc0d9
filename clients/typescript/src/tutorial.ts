// The tutorial client of the microblog in TypeScript.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { status } from "@grpc/grpc-js";
import { ClientError, createClientFactory } from "nice-grpc";
import { type DeadlineOptions, deadlineMiddleware } from "nice-grpc-client-middleware-deadline";
import { ErrorInfo, RichClientError, errorDetailsClientMiddleware } from "nice-grpc-error-details";

import {
  type Post,
  type PostServiceClient,
  PostServiceDefinition,
} from "../gen/microblog/post/v1/post_service.js";
import {
  type User,
  type UserServiceClient,
  UserServiceDefinition,
} from "../gen/microblog/user/v1/user_service.js";
import { channelTo } from "./channel.js";

// The deadline of a stream. Without one, a client cannot tell a broken network from a feed without
// new posts. A real client uses minutes; this one is short so that the tutorial continues.
const streamMs = 3_000;

// The codes after which a stream is opened again.
const broken = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];

type Users = UserServiceClient<DeadlineOptions>;
type Posts = PostServiceClient<DeadlineOptions>;

/** Returns the error reason of the contract, or undefined if the error is not from the server. */
function reason(error: unknown): string | undefined {
  if (!(error instanceof RichClientError)) return undefined;
  const info = error.extra.find((detail) => detail.$type === ErrorInfo.$type);
  return (info as ErrorInfo | undefined)?.reason;
}

/** Creates a user, or looks up the existing one. */
async function signUp(users: Users, nickname: string, email: string): Promise<User> {
  try {
    // With an idempotency key the library may retry the request: it is executed once.
    const created = await users.createUser({ user: { nickname, email }, requestId: randomUUID() });
    const user = created.user!;
    console.log(`${user.nickname} signed up`);
    return user;
  } catch (error) {
    const why = reason(error);
    if (why !== "NICKNAME_TAKEN" && why !== "EMAIL_TAKEN") throw error;
    const { user } = await users.lookupUser({ nickname });
    console.log(`${nickname} is refused (${why}): there is ${user!.nickname}`);
    return user!;
  }
}

/** Creates a post. A caller that got no response calls it again with the same request id. */
async function write(posts: Posts, author: User, body: string, requestId: string): Promise<Post> {
  const { post } = await posts.createPost({ post: { authorId: author.id, body }, requestId });
  return post!;
}

/**
 * Prints the posts after `afterId`, until the stream breaks or the post with the id `until` was
 * printed. Returns the last id, from which the next call continues.
 */
async function follow(posts: Posts, afterId: bigint, until?: bigint): Promise<bigint> {
  try {
    for await (const { post } of posts.watchPosts({ afterId }, { deadline: streamMs })) {
      afterId = post!.id;
      console.log(`> ${post!.author?.nickname}: ${post!.body}`);
      if (afterId === until) break;
    }
  } catch (error) {
    if (!(error instanceof ClientError) || !broken.includes(error.code)) throw error;
    console.error(`the stream broke: ${status[error.code]}`);
  }
  return afterId;
}

/** Runs the tutorial. */
async function tell(users: Users, posts: Posts): Promise<void> {
  const john = await signUp(users, "john", "john@example.com");
  const susan = await signUp(users, "susan", "susan@example.com");
  await signUp(users, "John", "another.john@example.com");

  const requestId = randomUUID();
  const first = await write(posts, john, "my first post!", requestId);
  console.log(`john wrote: ${first.body}`);
  const again = await write(posts, john, "my first post!", requestId);
  const which = again.id === first.id ? "the same" : "another";
  console.log(`sent again, with its request id: ${which} post`);
  const second = await write(posts, susan, "hello, john", randomUUID());
  console.log(`susan wrote: ${second.body}`);

  console.log("the latest posts:");
  const latest = await posts.listPosts({ pageSize: 2 });
  for (const { author, body, createTime } of latest.posts) {
    const when = createTime!.toISOString().replace(/\.\d+/, "");
    console.log(`- ${author?.nickname}, ${when}: ${body}`);
  }

  console.log("following:");
  let last = await follow(posts, first.id - 1n);
  console.log("the stream broke");
  const third = await write(posts, john, "is anybody there?", randomUUID());
  console.log(`john wrote another post: ${third.body}`);
  while (last !== third.id) {
    await sleep(100); // Retries until the server is back.
    last = await follow(posts, last, third.id);
  }
  console.log("nothing was missed");
}

const toUsers = channelTo(process.env["USER_SERVICE"] ?? "127.0.0.1:50051");
const toPosts = channelTo(process.env["POST_SERVICE"] ?? "127.0.0.1:50052");
const clients = createClientFactory().use(deadlineMiddleware).use(errorDetailsClientMiddleware);
try {
  await tell(
    clients.create(UserServiceDefinition, toUsers),
    clients.create(PostServiceDefinition, toPosts),
  );
} finally {
  toUsers.close();
  toPosts.close();
}
