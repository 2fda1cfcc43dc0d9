// Serves the files of the page over HTTP, with a content security policy: the page runs only its own
// script, and calls only the two services.

import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import type { Addresses } from "../src/services.ts";

const FILES = new Map([
  ["/", ["index.html", "text/html; charset=utf-8"]],
  ["/page.css", ["page.css", "text/css; charset=utf-8"]],
  ["/page.js", ["page.js", "text/javascript; charset=utf-8"]],
]);

/** The directory of the built files. */
const DIST = new URL(".", import.meta.url);

function headers(addresses: Addresses) {
  const { users, posts } = addresses;
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src data:",
    `connect-src 'self' ${users} ${posts}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // The browser rejects inserting text as markup.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
  };
}

/** Serves the page on `port`, or on a free port if it is 0. Calls `addresses` for each request. */
export async function servePages(
  port: number,
  addresses: () => Addresses,
): Promise<{ origin: string; server: Server }> {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://page").pathname;
    const common = headers(addresses());
    if (path === "/config.json") {
      response.writeHead(200, { ...common, "content-type": "application/json" });
      response.end(JSON.stringify(addresses()));
      return;
    }
    const [name, type] = FILES.get(path) ?? [];
    if (!name) {
      response.writeHead(404, { ...common, "content-type": "text/plain" });
      response.end("File not found.\n");
      return;
    }
    const file = await readFile(fileURLToPath(new URL(name, DIST)));
    response.writeHead(200, { ...common, "content-type": type });
    response.end(file);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${address.port}`, server };
}
