"""The tutorial client of the microblog in Python."""

import os
import sys
import time
import uuid
from datetime import timezone
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from microblog.post.v1.post_service_pb2 import (
    CreatePostRequest,
    ListPostsRequest,
    Post,
    WatchPostsRequest,
)
from microblog.post.v1.post_service_pb2_grpc import PostServiceStub
from microblog.user.v1.user_service_pb2 import CreateUserRequest, LookupUserRequest, User
from microblog.user.v1.user_service_pb2_grpc import UserServiceStub

# The configuration of retries, deadlines and health checking, which the library executes.
SERVICE_CONFIG = Path(__file__).parent.parent / "service-config.json"

OPTIONS = [
    ("grpc.service_config", SERVICE_CONFIG.read_text()),
    # A restarting server is back quickly: reconnect sooner than after the default of 1 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
]

# The deadline of a stream. Without one, a client cannot tell a broken network from a feed without
# new posts. A real client uses minutes; this one is short so that the tutorial continues.
STREAM_SECONDS = 3

# The codes after which a stream is opened again.
BROKEN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def reason(error: grpc.RpcError) -> str | None:
    """Returns the error reason of the contract, or None if the error is not from the server."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return None


def sign_up(users: UserServiceStub, nickname: str, email: str) -> User:
    """Creates a user, or looks up the existing one."""
    # With an idempotency key the library may retry the request: it is executed once.
    request = CreateUserRequest(
        user=User(nickname=nickname, email=email), request_id=str(uuid.uuid4())
    )
    try:
        user = users.CreateUser(request).user
        print(f"{user.nickname} signed up")
    except grpc.RpcError as error:
        why = reason(error)
        if why not in ("NICKNAME_TAKEN", "EMAIL_TAKEN"):
            raise
        user = users.LookupUser(LookupUserRequest(nickname=nickname)).user
        print(f"{nickname} is refused ({why}): there is {user.nickname}")
    return user


def write(posts: PostServiceStub, author: User, body: str, request_id: str) -> Post:
    """Creates a post. A caller that got no response calls it again with the same request id."""
    post = Post(author_id=author.id, body=body)
    return posts.CreatePost(CreatePostRequest(post=post, request_id=request_id)).post


def follow(posts: PostServiceStub, after_id: int, until: int | None = None) -> int:
    """Prints the posts after `after_id`, until the stream breaks or the post with the id `until`
    was printed. Returns the last id, from which the next call continues."""
    request = WatchPostsRequest(after_id=after_id)
    stream = posts.WatchPosts(request, timeout=STREAM_SECONDS)
    try:
        for response in stream:
            post = response.post
            after_id = post.id
            print(f"> {post.author.nickname}: {post.body}")
            if post.id == until:
                stream.cancel()
                break
    except grpc.RpcError as error:
        if error.code() not in BROKEN:
            raise
        print(f"the stream broke: {error.code().name}", file=sys.stderr)
    return after_id


def tell(users: UserServiceStub, posts: PostServiceStub) -> None:
    """Runs the tutorial."""
    john = sign_up(users, "john", "john@example.com")
    susan = sign_up(users, "susan", "susan@example.com")
    sign_up(users, "John", "another.john@example.com")

    request_id = str(uuid.uuid4())
    first = write(posts, john, "my first post!", request_id)
    print(f"john wrote: {first.body}")
    again = write(posts, john, "my first post!", request_id)
    print(f"sent again, with its request id: {'the same' if again == first else 'another'} post")
    second = write(posts, susan, "hello, john", str(uuid.uuid4()))
    print(f"susan wrote: {second.body}")

    print("the latest posts:")
    for post in posts.ListPosts(ListPostsRequest(page_size=2)).posts:
        when = post.create_time.ToDatetime(timezone.utc)
        print(f"- {post.author.nickname}, {when:%Y-%m-%dT%H:%M:%SZ}: {post.body}")

    print("following:")
    last = follow(posts, first.id - 1)
    print("the stream broke")
    third = write(posts, john, "is anybody there?", str(uuid.uuid4()))
    print(f"john wrote another post: {third.body}")
    while last != third.id:
        time.sleep(0.1)  # Retries until the server is back.
        last = follow(posts, last, until=third.id)
    print("nothing was missed")


def main() -> None:
    # Flush each line, even to a pipe.
    sys.stdout.reconfigure(line_buffering=True)
    users = os.environ.get("USER_SERVICE", "127.0.0.1:50051")
    posts = os.environ.get("POST_SERVICE", "127.0.0.1:50052")
    with (
        grpc.insecure_channel(users, OPTIONS) as to_users,
        grpc.insecure_channel(posts, OPTIONS) as to_posts,
    ):
        tell(UserServiceStub(to_users), PostServiceStub(to_posts))


if __name__ == "__main__":
    main()
