"""Calls several replicas of the user service over one channel, and counts the failed calls."""

import os
import sys
import time
import uuid

import grpc
from microblog.user.v1.user_service_pb2 import CreateUserRequest, User
from microblog.user.v1.user_service_pb2_grpc import UserServiceStub
from tutorial import OPTIONS

ROUNDS = 6
CALLS = 50


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)
    addresses = os.environ.get("USER_SERVICES", "127.0.0.1:50051,127.0.0.1:50061")
    # Without this option, grpcio sends the list as the authority, which every server rejects.
    options = [*OPTIONS, ("grpc.default_authority", "user-service")]
    with grpc.insecure_channel(f"ipv4:{addresses}", options) as channel:
        users = UserServiceStub(channel)
        for round_ in range(ROUNDS):
            failed = 0
            for call in range(CALLS):
                name = f"caller-{round_}-{call}"
                user = User(nickname=name, email=f"{name}@example.com")
                try:
                    users.CreateUser(CreateUserRequest(user=user, request_id=str(uuid.uuid4())))
                except grpc.RpcError as error:
                    failed += 1
                    print(error, file=sys.stderr)
                time.sleep(0.02)
            print(f"{CALLS} calls, {failed} failed")


if __name__ == "__main__":
    main()
