// The clients of both services, and the texts of their errors for people.

import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { PostService } from "../gen/microblog/post/v1/post_service_pb.ts";
import { UserService } from "../gen/microblog/user/v1/user_service_pb.ts";

/** The URLs of the services. */
export interface Addresses {
  users: string;
  posts: string;
}

export interface Services {
  users: Client<typeof UserService>;
  posts: Client<typeof PostService>;
}

/** The timeout of a unary call, in milliseconds. */
export const CALL_TIMEOUT_MS = 10_000;

/** The maximum number of attempts of a write that fails with a transient error. */
const MAX_ATTEMPTS = 4;

export function connect(addresses: Addresses): Services {
  const transport = (baseUrl: string) => createGrpcWebTransport({ baseUrl });
  return {
    users: createClient(UserService, transport(addresses.users)),
    posts: createClient(PostService, transport(addresses.posts)),
  };
}

/** An error as the page shows it. */
export interface CallError {
  /** The stable reason or, if it is missing, the name of the code. */
  reason: string;
  /** The text for people. */
  text: string;
  /** The path of the invalid field, such as `user.nickname`, if a field is the cause. */
  field?: string;
  /** Set if a retry may succeed. */
  transient: boolean;
}

/** Explains an error by the reason in its ErrorInfo. Its message is for people and may change. */
export function explain(error: unknown): CallError {
  const failure = ConnectError.from(error);
  const info = failure.findDetails(ErrorInfoSchema)[0];
  const reason = info?.reason ?? Code[failure.code] ?? "UNKNOWN";
  switch (reason) {
    case "NICKNAME_TAKEN": {
      const nickname = info?.metadata["nickname"] ?? "";
      const text = `The nickname “${nickname}” is taken. Choose another.`;
      return { reason, text, field: "user.nickname", transient: false };
    }
    case "EMAIL_TAKEN":
      return {
        reason,
        text: "There is an account with this email address already.",
        field: "user.email",
        transient: false,
      };
    case "AUTHOR_NOT_FOUND":
      return { reason, text: "Your account is gone. Sign up again.", transient: false };
    case "INVALID_FIELD": {
      const violation = failure.findDetails(BadRequestSchema)[0]?.fieldViolations[0];
      const text = violation?.description ?? failure.rawMessage;
      return { reason, text: sentence(text), field: violation?.field, transient: false };
    }
    case "NOT_READY":
    case "DATABASE_BUSY":
    case "DATABASE_REPLACED":
    case "OVERLOADED":
    case "MEMORY_LIMIT":
    case "STORAGE_FULL":
    case "SHUTTING_DOWN":
    case "USER_SERVICE_UNAVAILABLE":
      return { reason, text: "The service is busy. Try again in a moment.", transient: true };
  }
  if (!info) {
    // The error is not from the service: it is unreachable, or it rejects the origin of this page.
    return { reason, text: "The service cannot be reached.", transient: true };
  }
  return { reason, text: sentence(failure.rawMessage), transient: false };
}

/**
 * Sends a write, and retries it while it fails with a transient error. Every attempt has the same
 * request id, so that a write whose response was lost is not executed twice.
 */
export async function write<T>(send: (requestId: string) => Promise<T>): Promise<T> {
  const requestId = uuid();
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(requestId);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !explain(error).transient) throw error;
      await pause(100 * 2 ** attempt);
    }
  }
}

/** Waits 1 to 1.5 times as long, at random, so that clients do not all return together. */
export function pause(milliseconds: number): Promise<void> {
  const time = milliseconds * (1 + Math.random() / 2);
  return new Promise((resolve) => setTimeout(resolve, time));
}

/** Generates a UUID. `crypto.randomUUID` exists only for HTTPS and localhost. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function sentence(text: string): string {
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
