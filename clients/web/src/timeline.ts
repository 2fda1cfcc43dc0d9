// The timeline: lists the latest posts, then follows new posts by a stream, which it resumes after
// the last post when it breaks.

import { Code, ConnectError } from "@connectrpc/connect";

import { Author_State, type Post } from "../gen/microblog/post/v1/post_service_pb.ts";
import { CALL_TIMEOUT_MS, pause, explain, type Services } from "./services.ts";

/** The maximum number of posts on the page. Older ones are removed. */
const MAX_POSTS = 200;

/** The number of posts that are listed first. */
const FIRST_PAGE = 50;

/** The first and the longest delay before a stream is resumed, in milliseconds. */
const [BACKOFF_MS, MAX_BACKOFF_MS] = [500, 10_000];

/** Follows the posts until the page is closed. */
export async function follow(
  services: Services,
  list: HTMLOListElement,
  tell: (state: string, live: boolean) => void,
): Promise<never> {
  let last: bigint | undefined;
  let wait = BACKOFF_MS;
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
        wait = BACKOFF_MS;
      }
    } catch (error) {
      // A deadline ends the stream regularly, so it is not shown as an error.
      const ended = ConnectError.from(error).code === Code.DeadlineExceeded;
      if (!ended) tell(`${explain(error).text} Connecting again…`, false);
    }
    await pause(wait);
    wait = Math.min(2 * wait, MAX_BACKOFF_MS);
  }
}

/** Shows the latest posts. Returns the id of the newest one, or 0. */
async function firstPage(services: Services, list: HTMLOListElement): Promise<bigint> {
  const request = { pageSize: FIRST_PAGE };
  const { posts } = await services.posts.listPosts(request, { timeoutMs: CALL_TIMEOUT_MS });
  list.replaceChildren();
  for (const post of posts.toReversed()) show(list, post);
  return posts[0]?.id ?? 0n;
}

/** Inserts a post on top. `textContent` keeps markup in it from being executed. */
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
  while (list.children.length > MAX_POSTS) list.lastElementChild?.remove();
}

/** Returns the name of the author, as far as it was resolved. */
function nameOf(post: Post): string {
  const author = post.author;
  if (author?.state === Author_State.DELETED) return "deleted user";
  return author?.nickname || `user ${post.authorId}`;
}
