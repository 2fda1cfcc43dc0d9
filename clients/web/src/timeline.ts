// The posts, newest first, as they are written: a page of those that are there, and then a
// stream that is taken up again wherever it broke.

import { Code, ConnectError } from "@connectrpc/connect";

import { Author_State, type Post } from "../gen/microblog/post/v1/post_service_pb.ts";
import { PATIENCE, pause, refusal, type Services } from "./services.ts";

/** How many posts stand on the page at the most: the oldest leave it. */
const KEPT = 200;

/** How many of those that are there already are shown. */
const FIRST_PAGE = 50;

/** How long to wait before a stream is taken up again, in milliseconds: at first, at most. */
const [BACK_OFF, LONGEST_BACK_OFF] = [500, 10_000];

/** Follows the posts for as long as the page is there. */
export async function follow(
  services: Services,
  list: HTMLOListElement,
  tell: (state: string, live: boolean) => void,
): Promise<never> {
  let last: bigint | undefined;
  let wait = BACK_OFF;
  for (;;) {
    try {
      last ??= await firstPage(services, list);
      const stream = services.posts.watchPosts(
        { afterId: last },
        { onHeader: () => tell("Live", true) },
      );
      for await (const { post } of stream) {
        if (!post) continue;
        show(list, post);
        last = post.id;
        wait = BACK_OFF;
      }
    } catch (error) {
      // A deadline or a drain ends streams as well: neither is worth an alarm.
      const ended = ConnectError.from(error).code === Code.DeadlineExceeded;
      if (!ended) tell(`${refusal(error).text} Connecting again…`, false);
    }
    await pause(wait);
    wait = Math.min(2 * wait, LONGEST_BACK_OFF);
  }
}

/** Shows the newest posts; gives the id of the last of them, or 0. */
async function firstPage(services: Services, list: HTMLOListElement): Promise<bigint> {
  const request = { pageSize: FIRST_PAGE };
  const { posts } = await services.posts.listPosts(request, { timeoutMs: PATIENCE });
  list.replaceChildren();
  for (const post of posts.toReversed()) show(list, post);
  return posts[0]?.id ?? 0n;
}

/** Puts a post on top. What its author wrote is text, and never markup. */
function show(list: HTMLOListElement, post: Post) {
  const item = document.createElement("li");
  const article = document.createElement("article");
  const head = document.createElement("header");
  const author = document.createElement("strong");
  const time = document.createElement("time");
  const body = document.createElement("p");
  author.textContent = nameOf(post);
  if (post.createTime) {
    const at = new Date(Number(post.createTime.seconds) * 1000);
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleString();
  }
  body.textContent = post.body;
  head.append(author, time);
  article.append(head, body);
  item.append(article);
  item.dataset["post"] = post.id.toString();
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild?.remove();
}

/** Who wrote it, as far as that is known now. */
function nameOf(post: Post): string {
  const author = post.author;
  if (author?.state === Author_State.DELETED) return "somebody who is gone";
  return author?.nickname || `user ${post.authorId}`;
}
