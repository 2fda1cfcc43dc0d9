//go:build debian

package main

import "google.golang.org/grpc"

// connect does the same with the grpc-go that Debian 12 has, which is of 2020. It retries no
// call for which there was no connection yet: so such a call waits for one, within its deadline.
func connect(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	wait := grpc.WithDefaultCallOptions(grpc.WaitForReady(true))
	return grpc.Dial(address, append(options, grpc.WithInsecure(), wait)...)
}
