// The page: a form to sign up, a form to post, and the timeline.

import {
  CALL_TIMEOUT_MS,
  connect,
  explain,
  write,
  type Addresses,
  type CallError,
  type Services,
} from "./services.ts";
import { follow } from "./timeline.ts";

/** The signed-up user. */
interface Account {
  id: bigint;
  nickname: string;
}

/** The maximum length of a post, in Unicode code points. */
const MAX_BODY_LENGTH = 140;

const signUp = element("sign-up", HTMLFormElement);
const compose = element("compose", HTMLFormElement);
const body = element("body", HTMLTextAreaElement);
const left = element("left", HTMLElement);
const who = element("who", HTMLElement);
let account: Account | undefined;

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`missing ${kind.name} #${id}`);
  return found;
}

/** Shows an error in a form, and marks the invalid field. */
function showError(form: HTMLFormElement, error: CallError | undefined) {
  const alert = form.querySelector<HTMLElement>("[role=alert]")!;
  alert.textContent = error?.text ?? "";
  alert.dataset["reason"] = error?.reason ?? "";
  for (const input of form.querySelectorAll<HTMLElement>("[data-field]")) {
    const invalid = error?.field !== undefined && input.dataset["field"] === error.field;
    input.setAttribute("aria-invalid", String(invalid));
    if (invalid) input.focus();
  }
}

/** Calls `send` when the form is submitted, unless a call is running. */
function onSubmit(form: HTMLFormElement, send: () => Promise<void>) {
  const button = form.querySelector("button")!;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await send();
      showError(form, undefined);
    } catch (error) {
      showError(form, explain(error));
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

function input(form: HTMLFormElement, name: string): string {
  return String(new FormData(form).get(name) ?? "");
}

function start(services: Services) {
  onSubmit(signUp, async () => {
    const user = { nickname: input(signUp, "nickname"), email: input(signUp, "email") };
    const response = await write((requestId) =>
      services.users.createUser({ user, requestId }, { timeoutMs: CALL_TIMEOUT_MS }),
    );
    account = { id: response.user!.id, nickname: response.user!.nickname };
    who.textContent = `You write as ${account.nickname}.`;
    signUp.hidden = true;
    compose.hidden = false;
    body.focus();
  });
  onSubmit(compose, async () => {
    if (!account) return;
    const post = { authorId: account.id, body: input(compose, "body") };
    await write((requestId) =>
      services.posts.createPost({ post, requestId }, { timeoutMs: CALL_TIMEOUT_MS }),
    );
    body.value = "";
    count();
  });
  const state = element("state", HTMLElement);
  void follow(services, element("timeline", HTMLOListElement), (text, live) => {
    state.textContent = text;
    state.dataset["live"] = String(live);
  });
}

/** Shows the number of remaining characters. The service checks the length, too. */
function count() {
  const rest = MAX_BODY_LENGTH - Array.from(body.value.normalize("NFC")).length;
  left.textContent = rest < 0 ? `${-rest} too many` : `${rest} left`;
  left.dataset["over"] = String(rest < 0);
}

body.addEventListener("input", count);
count();
const addresses = (await (await fetch("config.json")).json()) as Addresses;
start(connect(addresses));
