//go:build debian

package main

import "google.golang.org/grpc"

// connect creates a channel with the grpc-go of Debian 12, which is from 2020. That version does
// not retry a call that finds no connection, so calls wait for one, within their deadline.
func connect(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	wait := grpc.WithDefaultCallOptions(grpc.WaitForReady(true))
	return grpc.Dial(address, append(options, grpc.WithInsecure(), wait)...)
}
