// The page: a form to sign up, one to write, and the timeline.

import {
  PATIENCE,
  connect,
  refusal,
  write,
  type Addresses,
  type Refusal,
  type Services,
} from "./services.ts";
import { follow } from "./timeline.ts";

/** Who writes here. */
interface Account {
  id: bigint;
  nickname: string;
}

/** Unicode code points in a post. */
const LONGEST_BODY = 140;

const signUp = element("sign-up", HTMLFormElement);
const compose = element("compose", HTMLFormElement);
const body = element("body", HTMLTextAreaElement);
const left = element("left", HTMLElement);
const who = element("who", HTMLElement);
let account: Account | undefined;

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`there is no ${kind.name} #${id}`);
  return found;
}

/** Says what went wrong, at the field that it is about, if it is about one. */
function complain(form: HTMLFormElement, wrong: Refusal | undefined) {
  const alert = form.querySelector<HTMLElement>("[role=alert]")!;
  alert.textContent = wrong?.text ?? "";
  alert.dataset["reason"] = wrong?.reason ?? "";
  for (const input of form.querySelectorAll<HTMLElement>("[data-field]")) {
    const blamed = wrong?.field !== undefined && input.dataset["field"] === wrong.field;
    input.setAttribute("aria-invalid", String(blamed));
    if (blamed) input.focus();
  }
}

/** Has `send` done when the form is sent, once at a time. */
function onSubmit(form: HTMLFormElement, send: () => Promise<void>) {
  const button = form.querySelector("button")!;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await send();
      complain(form, undefined);
    } catch (error) {
      complain(form, refusal(error));
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
    const answer = await write((requestId) =>
      services.users.createUser({ user, requestId }, { timeoutMs: PATIENCE }),
    );
    account = { id: answer.user!.id, nickname: answer.user!.nickname };
    who.textContent = `You write as ${account.nickname}.`;
    signUp.hidden = true;
    compose.hidden = false;
    body.focus();
  });
  onSubmit(compose, async () => {
    if (!account) return;
    const post = { authorId: account.id, body: input(compose, "body") };
    await write((requestId) =>
      services.posts.createPost({ post, requestId }, { timeoutMs: PATIENCE }),
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

/** Tells how many more characters fit; the service has the last word. */
function count() {
  const rest = LONGEST_BODY - Array.from(body.value.normalize("NFC")).length;
  left.textContent = rest < 0 ? `${-rest} too many` : `${rest} left`;
  left.dataset["over"] = String(rest < 0);
}

body.addEventListener("input", count);
count();
const addresses = (await (await fetch("config.json")).json()) as Addresses;
start(connect(addresses));
