// `npm start`: serves the page on this machine, for services that are already running.

import { servePages } from "./pages.ts";

const addresses = {
  users: process.env["USER_SERVICE_URL"] ?? "http://127.0.0.1:50051",
  posts: process.env["POST_SERVICE_URL"] ?? "http://127.0.0.1:50052",
};
const { origin } = await servePages(Number(process.env["PORT"] ?? 8080), () => addresses);
console.log(`The page is at ${origin}

  users  ${addresses.users}
  posts  ${addresses.posts}

Start both services with CORS_ALLOWED_ORIGINS=${origin}`);
