// The story of the microblog, told by a client in Go.
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
	_ "google.golang.org/grpc/health" // It makes the channel ask for the health of its server.
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	postv1 "microblog.example/gen/go/microblog/post/v1"
	userv1 "microblog.example/gen/go/microblog/user/v1"
)

// Retries, deadlines and health checking: the library does what stands there.
const serviceConfig = "../service-config.json"

// No stream is waited on for ever: a network that swallows everything looks like a quiet
// evening. Minutes in earnest; so short here that the story goes on.
const streamTimeout = 3 * time.Second

// How a stream ends that can be opened again.
var broken = []codes.Code{codes.Unavailable, codes.DeadlineExceeded}

type microblog struct {
	users userv1.UserServiceClient
	posts postv1.PostServiceClient
}

// reason is why the server refused, as it stands in the contract; empty if it was not the server.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}

// signUp creates a user, or finds the one who is there already.
func (m *microblog) signUp(ctx context.Context, nickname, email string) (*userv1.User, error) {
	created, err := m.users.CreateUser(ctx, &userv1.CreateUserRequest{
		User: &userv1.User{Nickname: nickname, Email: email},
		// With an id of its own, the library may send the request again: it is done once.
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

// write writes a post. Whoever saw no answer calls it again with the same request id.
func (m *microblog) write(
	ctx context.Context, author *userv1.User, body, requestID string,
) (*postv1.Post, error) {
	response, err := m.posts.CreatePost(ctx, &postv1.CreatePostRequest{
		Post:      &postv1.Post{AuthorId: author.Id, Body: body},
		RequestId: requestID,
	})
	return response.GetPost(), err
}

// follow shows what was and is written after a post, until the stream breaks or the post until
// was shown, which 0 is not. It returns the last one's id, to go on from there.
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

// tell tells the story.
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

// latest lists the latest posts, with their authors.
func (m *microblog) latest(ctx context.Context) error {
	fmt.Println("the latest posts:")
	list, err := m.posts.ListPosts(ctx, &postv1.ListPostsRequest{PageSize: 2})
	for _, post := range list.GetPosts() {
		when := post.CreateTime.AsTime().Format("2006-01-02T15:04:05Z")
		fmt.Printf("- %s, %s: %s\n", post.Author.GetNickname(), when, post.Body)
	}
	return err
}

// live follows the posts after one, and writes another while the stream is broken.
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
	fmt.Printf("%s wrote meanwhile: %s\n", author.Nickname, third.Body)
	for last != third.Id {
		time.Sleep(100 * time.Millisecond) // As long as nobody answers, it asks again and again.
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
		// A server that restarts is back within moments: look for it sooner than after a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
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
