// The page in a real browser, against the real services: one page writes, another sees it.
//
//   node dist/test.mjs PROGRAMS CHROMIUM

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium, type BrowserContext, type Page } from "playwright-core";

import { servePages } from "../server/pages.ts";
import { Place, type Service } from "./services.ts";

const [programs, executablePath] = process.argv.slice(2);
if (!programs || !executablePath) throw new Error("usage: test.mjs PROGRAMS CHROMIUM");

/** How long anything may take on the page, in milliseconds. */
const PATIENCE = 15_000;

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const ANY = "127.0.0.1:0";

/** All that a check needs. */
interface Stage {
  place: Place;
  browser: BrowserContext;
  origin: string;
  users: Service;
  posts: Service;
  /** The page that writes, and the one that looks on. */
  writer: Page;
  reader: Page;
  /** What the browser complained about. */
  complaints: string[];
}

/** A page that is live. */
async function open(stage: Pick<Stage, "browser" | "complaints">, origin: string): Promise<Page> {
  const page = await stage.browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => stage.complaints.push(String(error)));
  page.on("console", (said) => {
    if (said.type() === "error") stage.complaints.push(said.text());
  });
  await page.goto(origin);
  return page;
}

const live = (page: Page) => page.getByRole("status").getByText("Live").waitFor();

async function signUp(page: Page, nickname: string, email: string) {
  await page.getByLabel("Nickname").fill(nickname);
  await page.getByLabel("Email address").fill(email);
  await page.getByRole("button", { name: "Sign up" }).click();
}

async function post(page: Page, body: string) {
  await page.getByLabel("What is new?").fill(body);
  await page.getByRole("button", { name: "Post" }).click();
}

/** Waits until the newest post of a page has this text, and nothing but it. */
async function newest(page: Page, body: string) {
  const paragraph = page.getByRole("log").locator("li").first().locator("p");
  await paragraph.getByText(body, { exact: true }).waitFor();
}

/** What a page is told of a refusal: its reason, and the field that is blamed. */
async function refused(page: Page, reason: string) {
  const alert = page.locator(`[role=alert][data-reason="${reason}"]:visible`);
  await alert.waitFor();
  const blamed = page.locator("[aria-invalid=true]:visible");
  const names = await blamed.evaluateAll((inputs) => inputs.map((one) => one.id));
  return { text: await alert.textContent(), blamed: names };
}

/** The rules of accessibility that a page breaks. */
async function broken(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: typeof import("axe-core") }).axe;
    return (await axe.run()).violations;
  });
  return found.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" ")}`);
}

const CHECKS: Record<string, (stage: Stage) => Promise<void>> = {
  "somebody signs up": async ({ writer }) => {
    await signUp(writer, "susan", "susan@example.com");
    await writer.getByText("You write as susan.").waitFor();
  },

  "what one page writes, another sees at once": async ({ writer, reader }) => {
    await post(writer, "my first post!");
    await newest(reader, "my first post!");
    await newest(writer, "my first post!");
    assert.equal(await writer.getByLabel("What is new?").inputValue(), "");
    assert.equal(await reader.getByRole("log").locator("li strong").innerText(), "susan");
  },

  "markup that an author writes is shown as text": async ({ writer, reader }) => {
    const body = `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">`;
    await post(writer, body);
    await newest(reader, body);
    assert.equal(await reader.getByRole("log").locator("script, img").count(), 0);
    assert.equal(await reader.evaluate("window.hacked"), undefined);
  },

  "a taken nickname is refused at its field": async ({ reader }) => {
    await signUp(reader, "SUSAN", "other@example.com");
    const { text, blamed } = await refused(reader, "NICKNAME_TAKEN");
    assert.equal(text, "The nickname “SUSAN” is taken. Choose another.");
    assert.deepEqual(blamed, ["nickname"]);
  },

  "an address that is none is refused at its field": async ({ reader }) => {
    await signUp(reader, "john", "nowhere");
    assert.deepEqual((await refused(reader, "INVALID_FIELD")).blamed, ["email"]);
  },

  "a post that is too long is refused, and kept to be shortened": async ({ writer }) => {
    const body = "x".repeat(141);
    await post(writer, body);
    assert.deepEqual((await refused(writer, "INVALID_FIELD")).blamed, ["body"]);
    assert.equal(await writer.getByText("1 too many").count(), 1);
    assert.equal(await writer.getByLabel("What is new?").inputValue(), body);
  },

  "whoever uses it without a mouse or without eyes can": async ({ writer, reader }) => {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const page of [writer, reader]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await broken(page), []);
      }
    }
    await reader.getByLabel("Nickname").fill("john");
    await reader.getByLabel("Email address").fill("john@example.com");
    await reader.getByLabel("Email address").press("Enter");
    await reader.getByLabel("What is new?").waitFor();
    await reader.keyboard.type("by keyboard");
    await reader.keyboard.press("Tab");
    await reader.keyboard.press("Enter");
    await newest(reader, "by keyboard");
  },

  "the browser has nothing to complain about": async ({ complaints }) => {
    assert.deepEqual(complaints, []);
  },

  "a timeline that is cut off misses nothing": async (stage) => {
    const { place, posts, origin, users, writer, reader } = stage;
    await place.end(posts);
    await reader.getByText("Connecting again…").waitFor();
    const listen = new URL(posts.url).host;
    const settings = { POST_SERVICE_LISTEN: listen, USER_SERVICE_URL: users.url };
    // Written to the restarted service, before the page is back or after.
    stage.posts = await place.start("post-service", { ...settings, CORS_ALLOWED_ORIGINS: origin });
    await post(writer, "while you were away");
    await newest(reader, "while you were away");
    await live(reader);
    const bodies = await reader.getByRole("log").locator("li p").allInnerTexts();
    assert.equal(bodies.length, 4, bodies.join("\n"));
  },

  "a page of another origin gets no answer": async (stage) => {
    const addresses = { users: stage.users.url, posts: stage.posts.url };
    const other = await servePages(0, () => addresses);
    try {
      const page = await open(stage, other.origin);
      await page.getByText("The service cannot be reached.").waitFor();
      await signUp(page, "mallory", "mallory@example.com");
      await refused(page, "Unknown");
      assert.equal(await page.getByRole("log").locator("li").count(), 0);
    } finally {
      other.server.close();
    }
    await stage.writer.reload();
    await signUp(stage.writer, "mallory", "mallory@example.com");
    await stage.writer.getByText("You write as mallory.").waitFor();
  },
};

async function stage(place: Place, browser: BrowserContext): Promise<Stage> {
  let addresses = { users: "", posts: "" };
  const { origin } = await servePages(0, () => addresses);
  const web = { CORS_ALLOWED_ORIGINS: origin };
  const users = await place.start("user-service", { ...web, USER_SERVICE_LISTEN: ANY });
  const posts = await place.start("post-service", {
    ...web,
    POST_SERVICE_LISTEN: ANY,
    USER_SERVICE_URL: users.url,
  });
  addresses = { users: users.url, posts: posts.url };
  const complaints: string[] = [];
  const [writer, reader] = [
    await open({ browser, complaints }, origin),
    await open({ browser, complaints }, origin),
  ];
  await Promise.all([live(writer), live(reader)]);
  return { place, browser, origin, users, posts, writer, reader, complaints };
}

async function main(): Promise<number> {
  const profile = mkdtempSync(join(tmpdir(), "microblog-chromium-"));
  const place = new Place(programs!);
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  let failed = 0;
  try {
    const all = await stage(place, browser);
    for (const [name, check] of Object.entries(CHECKS)) {
      try {
        await check(all);
        console.log(`passed  ${name}`);
      } catch (error) {
        failed += 1;
        console.error(`FAILED  ${name}\n${error instanceof Error ? error.stack : error}`);
      }
    }
  } finally {
    await browser.close();
    place.close();
    rmSync(profile, { recursive: true, force: true });
  }
  console.log(`${Object.keys(CHECKS).length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exit(await main());
