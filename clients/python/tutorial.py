"""The story of the microblog, told by a client in Python."""

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

# Retries, deadlines and health checking: the library does what stands there.
SERVICE_CONFIG = Path(__file__).parent.parent / "service-config.json"

OPTIONS = [
    ("grpc.service_config", SERVICE_CONFIG.read_text()),
    # A server that restarts is back within moments: look for it sooner than after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
]

# No stream is waited on for ever: a network that swallows everything looks like a quiet
# evening. Minutes in earnest; so short here that the story goes on.
STREAM_SECONDS = 3

# How a stream ends that can be opened again.
BROKEN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def reason(error: grpc.RpcError) -> str | None:
    """Why the server refused, as it stands in the contract; None if it was not the server."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return None


def sign_up(users: UserServiceStub, nickname: str, email: str) -> User:
    """Creates a user, or finds the one who is there already."""
    # With an id of its own, the library may send the request again: it is done once.
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
    """Writes a post. Whoever saw no answer calls it again with the same request id."""
    post = Post(author_id=author.id, body=body)
    return posts.CreatePost(CreatePostRequest(post=post, request_id=request_id)).post


def follow(posts: PostServiceStub, after_id: int, until: int | None = None) -> int:
    """Shows what was and is written after a post, until the stream breaks or the post `until`
    was shown. Returns the last one's id, to go on from there."""
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
    """The story."""
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
    print(f"john wrote meanwhile: {third.body}")
    while last != third.id:
        time.sleep(0.1)  # As long as nobody answers, it asks again and again.
        last = follow(posts, last, until=third.id)
    print("nothing was missed")


def main() -> None:
    # Lines as they are written, to a pipe too.
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
