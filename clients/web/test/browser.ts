// Tests the page in a real browser against the real services.
//
//   node dist/test.mjs PROGRAMS CHROMIUM

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium, type BrowserContext, type Page } from "playwright-core";

import { servePages } from "../server/pages.ts";
import { TestSystem, type Service } from "./services.ts";

const [programs, executablePath] = process.argv.slice(2);
if (!programs || !executablePath) throw new Error("usage: test.mjs PROGRAMS CHROMIUM");

/** The timeout of every step on the page, in milliseconds. */
const TIMEOUT_MS = 15_000;

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const ANY = "127.0.0.1:0";

/** The fixture of the tests. */
interface Fixture {
  system: TestSystem;
  browser: BrowserContext;
  origin: string;
  users: Service;
  posts: Service;
  /** The page that posts, and another page. */
  writer: Page;
  reader: Page;
  /** The errors that the browser logged. */
  errors: string[];
}

/** Opens a page. */
async function open(fixture: Pick<Fixture, "browser" | "errors">, origin: string): Promise<Page> {
  const page = await fixture.browser.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on("pageerror", (error) => fixture.errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") fixture.errors.push(message.text());
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

/** Waits until the newest post on a page has exactly this text. */
async function newest(page: Page, body: string) {
  const paragraph = page.getByRole("log").locator("li").first().locator("p");
  await paragraph.getByText(body, { exact: true }).waitFor();
}

/** Waits for an error with this reason. Returns its text, and the ids of the invalid fields. */
async function rejected(page: Page, reason: string) {
  const alert = page.locator(`[role=alert][data-reason="${reason}"]:visible`);
  await alert.waitFor();
  const invalid = page.locator("[aria-invalid=true]:visible");
  const names = await invalid.evaluateAll((inputs) => inputs.map((input) => input.id));
  return { text: await alert.textContent(), invalid: names };
}

/** Returns the accessibility rules that a page violates. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: typeof import("axe-core") }).axe;
    return (await axe.run()).violations;
  });
  return found.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" ")}`);
}

const TESTS: Record<string, (fixture: Fixture) => Promise<void>> = {
  "a user signs up": async ({ writer }) => {
    await signUp(writer, "susan", "susan@example.com");
    await writer.getByText("You write as susan.").waitFor();
  },

  "a new post appears on another page": async ({ writer, reader }) => {
    await post(writer, "my first post!");
    await newest(reader, "my first post!");
    await newest(writer, "my first post!");
    assert.equal(await writer.getByLabel("What is new?").inputValue(), "");
    assert.equal(await reader.getByRole("log").locator("li strong").innerText(), "susan");
  },

  "markup in a post is shown as text": async ({ writer, reader }) => {
    const body = `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">`;
    await post(writer, body);
    await newest(reader, body);
    assert.equal(await reader.getByRole("log").locator("script, img").count(), 0);
    assert.equal(await reader.evaluate("window.hacked"), undefined);
  },

  "a taken nickname is rejected at its field": async ({ reader }) => {
    await signUp(reader, "SUSAN", "other@example.com");
    const { text, invalid } = await rejected(reader, "NICKNAME_TAKEN");
    assert.equal(text, "The nickname “SUSAN” is taken. Choose another.");
    assert.deepEqual(invalid, ["nickname"]);
  },

  "an invalid email address is rejected at its field": async ({ reader }) => {
    await signUp(reader, "john", "nowhere");
    assert.deepEqual((await rejected(reader, "INVALID_FIELD")).invalid, ["email"]);
  },

  "a post that is too long is rejected and stays editable": async ({ writer }) => {
    const body = "x".repeat(141);
    await post(writer, body);
    assert.deepEqual((await rejected(writer, "INVALID_FIELD")).invalid, ["body"]);
    assert.equal(await writer.getByText("1 too many").count(), 1);
    assert.equal(await writer.getByLabel("What is new?").inputValue(), body);
  },

  "the page is accessible and usable by keyboard": async ({ writer, reader }) => {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const page of [writer, reader]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await violations(page), []);
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

  "the browser logs no error": async ({ errors }) => {
    assert.deepEqual(errors, []);
  },

  "an interrupted timeline misses no post": async (fixture) => {
    const { system, posts, origin, users, writer, reader } = fixture;
    await system.end(posts);
    await reader.getByText("Connecting again…").waitFor();
    const listen = new URL(posts.url).host;
    const settings = { POST_SERVICE_LISTEN: listen, USER_SERVICE_URL: users.url };
    // The page may reconnect before or after this post.
    fixture.posts = await system.start("post-service", { ...settings, CORS_ALLOWED_ORIGINS: origin });
    await post(writer, "while you were away");
    await newest(reader, "while you were away");
    await live(reader);
    const bodies = await reader.getByRole("log").locator("li p").allInnerTexts();
    assert.equal(bodies.length, 4, bodies.join("\n"));
  },

  "a page of a disallowed origin gets no response": async (fixture) => {
    const addresses = { users: fixture.users.url, posts: fixture.posts.url };
    const other = await servePages(0, () => addresses);
    try {
      const page = await open(fixture, other.origin);
      await page.getByText("The service cannot be reached.").waitFor();
      await signUp(page, "mallory", "mallory@example.com");
      await rejected(page, "Unknown");
      assert.equal(await page.getByRole("log").locator("li").count(), 0);
    } finally {
      other.server.close();
    }
    await fixture.writer.reload();
    await signUp(fixture.writer, "mallory", "mallory@example.com");
    await fixture.writer.getByText("You write as mallory.").waitFor();
  },
};

async function setUp(system: TestSystem, browser: BrowserContext): Promise<Fixture> {
  let addresses = { users: "", posts: "" };
  const { origin } = await servePages(0, () => addresses);
  const web = { CORS_ALLOWED_ORIGINS: origin };
  const users = await system.start("user-service", { ...web, USER_SERVICE_LISTEN: ANY });
  const posts = await system.start("post-service", {
    ...web,
    POST_SERVICE_LISTEN: ANY,
    USER_SERVICE_URL: users.url,
  });
  addresses = { users: users.url, posts: posts.url };
  const errors: string[] = [];
  const [writer, reader] = [
    await open({ browser, errors }, origin),
    await open({ browser, errors }, origin),
  ];
  await Promise.all([live(writer), live(reader)]);
  return { system, browser, origin, users, posts, writer, reader, errors };
}

async function main(): Promise<number> {
  const profile = mkdtempSync(join(tmpdir(), "microblog-chromium-"));
  const system = new TestSystem(programs!);
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
    const all = await setUp(system, browser);
    for (const [name, test] of Object.entries(TESTS)) {
      try {
        await test(all);
        console.log(`passed  ${name}`);
      } catch (error) {
        failed += 1;
        console.error(`FAILED  ${name}\n${error instanceof Error ? error.stack : error}`);
      }
    }
  } finally {
    await browser.close();
    system.close();
    rmSync(profile, { recursive: true, force: true });
  }
  console.log(`${Object.keys(TESTS).length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exit(await main());
