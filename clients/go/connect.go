//go:build !debian

package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// connect creates a channel, which connects on the first call.
func connect(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	return grpc.NewClient(address, append(options, plain)...)
}
