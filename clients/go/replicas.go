package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	userv1 "microblog.example/gen/go/microblog/user/v1"
)

const (
	rounds = 6
	calls  = 50
)

// replicas calls several replicas of the user service over one channel, and counts the failed calls.
func replicas(options []grpc.DialOption) error {
	// The last part of the target, user-service, is the authority.
	addresses := manual.NewBuilderWithScheme("replicas")
	state := resolver.State{}
	for _, it := range strings.Split(address("USER_SERVICES", "127.0.0.1:50051,127.0.0.1:50061"), ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: it})
	}
	addresses.InitialState(state)
	channel, err := connect("replicas:///user-service", append(options, grpc.WithResolvers(addresses))...)
	if err != nil {
		return err
	}
	defer channel.Close()
	users := userv1.NewUserServiceClient(channel)
	for round := 0; round < rounds; round++ {
		failed := 0
		for call := 0; call < calls; call++ {
			name := fmt.Sprintf("caller-%d-%d", round, call)
			_, err := users.CreateUser(context.Background(), &userv1.CreateUserRequest{
				User:      &userv1.User{Nickname: name, Email: name + "@example.com"},
				RequestId: uuid.NewString(),
			})
			if err != nil {
				failed++
				fmt.Fprintln(os.Stderr, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Printf("%d calls, %d failed\n", calls, failed)
	}
	return nil
}
