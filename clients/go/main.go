// The tutorial client of the microblog in Go.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health" // Makes the channel check the health of its server.
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	postv1 "microblog.example/gen/go/microblog/post/v1"
	userv1 "microblog.example/gen/go/microblog/user/v1"
)

// The configuration of retries, deadlines and health checking, which the library executes.
const serviceConfig = "../service-config.json"

// The deadline of a stream. Without one, a client cannot tell a broken network from a feed without
// new posts. A real client uses minutes; this one is short so that the tutorial continues.
const streamTimeout = 3 * time.Second

// The codes after which a stream is opened again.
var broken = []codes.Code{codes.Unavailable, codes.DeadlineExceeded}

type microblog struct {
	users userv1.UserServiceClient
	posts postv1.PostServiceClient
}

// reason returns the error reason of the contract, or "" if the error is not from the server.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}

// signUp creates a user, or looks up the existing one.
func (m *microblog) signUp(ctx context.Context, nickname, email string) (*userv1.User, error) {
	created, err := m.users.CreateUser(ctx, &userv1.CreateUserRequest{
		User: &userv1.User{Nickname: nickname, Email: email},
		// With an idempotency key the library may retry the request: it is executed once.
		RequestId: uuid.NewString(),
	})
	if err == nil {
		fmt.Printf("%s signed up\n", created.User.Nickname)
		return created.User, nil
	}
	why := reason(err)
	if why != "NICKNAME_TAKEN" && why != "EMAIL_TAKEN" {
		return nil, err
	}
	found, err := m.users.LookupUser(ctx, &userv1.LookupUserRequest{
		Key: &userv1.LookupUserRequest_Nickname{Nickname: nickname},
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s is refused (%s): there is %s\n", nickname, why, found.User.Nickname)
	return found.User, nil
}

// write creates a post. A caller that got no response calls it again with the same request id.
func (m *microblog) write(
	ctx context.Context, author *userv1.User, body, requestID string,
) (*postv1.Post, error) {
	response, err := m.posts.CreatePost(ctx, &postv1.CreatePostRequest{
		Post:      &postv1.Post{AuthorId: author.Id, Body: body},
		RequestId: requestID,
	})
	return response.GetPost(), err
}

// follow prints the posts after afterID, until the stream breaks or the post with the id until was
// printed; 0 means no such post. It returns the last id, from which the next call continues.
func (m *microblog) follow(ctx context.Context, afterID, until int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	stream, err := m.posts.WatchPosts(ctx, &postv1.WatchPostsRequest{AfterId: &afterID})
	last := afterID
	for err == nil {
		var response *postv1.WatchPostsResponse
		if response, err = stream.Recv(); err != nil {
			break
		}
		last = response.Post.Id
		fmt.Printf("> %s: %s\n", response.Post.Author.GetNickname(), response.Post.Body)
		if last == until {
			return last, nil
		}
	}
	if code := status.Code(err); err == io.EOF || slices.Contains(broken, code) {
		fmt.Fprintf(os.Stderr, "the stream broke: %v\n", code)
		return last, nil
	}
	return last, err
}

// tell runs the tutorial.
func (m *microblog) tell(ctx context.Context) error {
	john, err := m.signUp(ctx, "john", "john@example.com")
	if err != nil {
		return err
	}
	susan, err := m.signUp(ctx, "susan", "susan@example.com")
	if err != nil {
		return err
	}
	if _, err := m.signUp(ctx, "John", "another.john@example.com"); err != nil {
		return err
	}

	requestID := uuid.NewString()
	first, err := m.write(ctx, john, "my first post!", requestID)
	if err != nil {
		return err
	}
	fmt.Printf("john wrote: %s\n", first.Body)
	again, err := m.write(ctx, john, "my first post!", requestID)
	if err != nil {
		return err
	}
	which := "another"
	if proto.Equal(again, first) {
		which = "the same"
	}
	fmt.Printf("sent again, with its request id: %s post\n", which)
	second, err := m.write(ctx, susan, "hello, john", uuid.NewString())
	if err != nil {
		return err
	}
	fmt.Printf("susan wrote: %s\n", second.Body)

	if err := m.latest(ctx); err != nil {
		return err
	}
	return m.live(ctx, john, first.Id-1)
}

// latest prints the latest posts with their authors.
func (m *microblog) latest(ctx context.Context) error {
	fmt.Println("the latest posts:")
	list, err := m.posts.ListPosts(ctx, &postv1.ListPostsRequest{PageSize: 2})
	for _, post := range list.GetPosts() {
		when := post.CreateTime.AsTime().Format("2006-01-02T15:04:05Z")
		fmt.Printf("- %s, %s: %s\n", post.Author.GetNickname(), when, post.Body)
	}
	return err
}

// live follows the posts after afterID, and creates another one while the stream is broken.
func (m *microblog) live(ctx context.Context, author *userv1.User, afterID int64) error {
	fmt.Println("following:")
	last, err := m.follow(ctx, afterID, 0)
	if err != nil {
		return err
	}
	fmt.Println("the stream broke")
	third, err := m.write(ctx, author, "is anybody there?", uuid.NewString())
	if err != nil {
		return err
	}
	fmt.Printf("%s wrote another post: %s\n", author.Nickname, third.Body)
	for last != third.Id {
		time.Sleep(100 * time.Millisecond) // Retries until the server is back.
		if last, err = m.follow(ctx, last, third.Id); err != nil {
			return err
		}
	}
	fmt.Println("nothing was missed")
	return nil
}

func run() error {
	config, err := os.ReadFile(serviceConfig)
	if err != nil {
		return err
	}
	options := []grpc.DialOption{
		grpc.WithDefaultServiceConfig(string(config)),
		// A restarting server is back quickly: reconnect sooner than after the default of 1 s.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if len(os.Args) > 1 && os.Args[1] == "replicas" {
		return replicas(options)
	}
	users, err := connect(address("USER_SERVICE", "127.0.0.1:50051"), options...)
	if err != nil {
		return err
	}
	defer users.Close()
	posts, err := connect(address("POST_SERVICE", "127.0.0.1:50052"), options...)
	if err != nil {
		return err
	}
	defer posts.Close()
	m := microblog{userv1.NewUserServiceClient(users), postv1.NewPostServiceClient(posts)}
	return m.tell(context.Background())
}

func address(variable, otherwise string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
