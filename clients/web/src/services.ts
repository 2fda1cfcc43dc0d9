// The two services as the page sees them, and what their failures mean to people.

import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { PostService } from "../gen/microblog/post/v1/post_service_pb.ts";
import { UserService } from "../gen/microblog/user/v1/user_service_pb.ts";

/** Where the services are. */
export interface Addresses {
  users: string;
  posts: string;
}

export interface Services {
  users: Client<typeof UserService>;
  posts: Client<typeof PostService>;
}

/** How long a call with a single answer may take, in milliseconds. */
export const PATIENCE = 10_000;

/** How often a write is sent that fails for the load of the moment. */
const ATTEMPTS = 4;

export function connect(addresses: Addresses): Services {
  const transport = (baseUrl: string) => createGrpcWebTransport({ baseUrl });
  return {
    users: createClient(UserService, transport(addresses.users)),
    posts: createClient(PostService, transport(addresses.posts)),
  };
}

/** A failure as the page shows it. */
export interface Refusal {
  /** The stable reason, or the name of the code where there is none. */
  reason: string;
  /** What is said to people. */
  text: string;
  /** The path of the field that is wrong, such as `user.nickname`, if it is one. */
  field?: string;
  /** Whether the same may work a little later. */
  passing: boolean;
}

/** What `error` means, told by its ErrorInfo: messages are for people and may change. */
export function refusal(error: unknown): Refusal {
  const failure = ConnectError.from(error);
  const info = failure.findDetails(ErrorInfoSchema)[0];
  const reason = info?.reason ?? Code[failure.code] ?? "UNKNOWN";
  switch (reason) {
    case "NICKNAME_TAKEN": {
      const nickname = info?.metadata["nickname"] ?? "";
      const text = `The nickname “${nickname}” is taken. Choose another.`;
      return { reason, text, field: "user.nickname", passing: false };
    }
    case "EMAIL_TAKEN":
      return {
        reason,
        text: "There is an account with this email address already.",
        field: "user.email",
        passing: false,
      };
    case "AUTHOR_NOT_FOUND":
      return { reason, text: "Your account is gone. Sign up again.", passing: false };
    case "INVALID_FIELD": {
      const wrong = failure.findDetails(BadRequestSchema)[0]?.fieldViolations[0];
      const text = wrong?.description ?? failure.rawMessage;
      return { reason, text: sentence(text), field: wrong?.field, passing: false };
    }
    case "NOT_READY":
    case "DATABASE_BUSY":
    case "OVERLOADED":
    case "STORAGE_FULL":
    case "SHUTTING_DOWN":
    case "USER_SERVICE_UNAVAILABLE":
      return { reason, text: "The service is busy. Try again in a moment.", passing: true };
  }
  if (!info) {
    // No answer of the service: it is not there, or it does not answer this page.
    return { reason, text: "The service cannot be reached.", passing: true };
  }
  return { reason, text: sentence(failure.rawMessage), passing: false };
}

/**
 * A write, sent again while it fails for the load of the moment. `send` gets a request id,
 * the same each time: what was written, though its answer was lost, is not written twice.
 */
export async function write<T>(send: (requestId: string) => Promise<T>): Promise<T> {
  const requestId = uuid();
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(requestId);
    } catch (error) {
      if (attempt === ATTEMPTS || !refusal(error).passing) throw error;
      await pause(100 * 2 ** attempt);
    }
  }
}

/** Half as long again at the most, so that not all come back at once. */
export function pause(milliseconds: number): Promise<void> {
  const time = milliseconds * (1 + Math.random() / 2);
  return new Promise((resolve) => setTimeout(resolve, time));
}

/** `crypto.randomUUID` is there only on HTTPS and on this machine. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
