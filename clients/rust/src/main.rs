//! The tutorial client of the microblog in Rust.

mod replicas;
mod service_config;

use std::{env, error::Error, time::Duration};

use service_config::{ServiceConfig, code};
use tokio::time::{sleep, timeout};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    post::v1::{
        CreatePostRequest, ListPostsRequest, Post, WatchPostsRequest,
        post_service_client::PostServiceClient,
    },
    user::v1::{
        CreateUserRequest, LookupUserRequest, User, lookup_user_request::Key,
        user_service_client::UserServiceClient,
    },
};

#[expect(clippy::pedantic, reason = "generated code")]
mod user {
    pub mod v1 {
        tonic::include_proto!("microblog.user.v1");
    }
}
#[expect(clippy::pedantic, reason = "generated code")]
mod post {
    pub mod v1 {
        tonic::include_proto!("microblog.post.v1");
    }
}

/// The configuration of deadlines, retries and health checking.
const SERVICE_CONFIG: &str = include_str!("../../service-config.json");

const USER_SERVICE: &str = "microblog.user.v1.UserService";
const POST_SERVICE: &str = "microblog.post.v1.PostService";

/// The deadline of a stream. Without one, a client cannot tell a broken network from a feed without
/// new posts. A real client uses minutes; this one is short so that the tutorial continues.
const STREAM_DEADLINE: Duration = Duration::from_secs(3);

/// The longest time until a server reports that it is serving.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The clients of both services, with their configuration.
struct Microblog {
    config: ServiceConfig,
    users: UserServiceClient<Channel>,
    posts: PostServiceClient<Channel>,
}

impl Microblog {
    async fn connect(users: &str, posts: &str) -> Result<Self, Box<dyn Error>> {
        let config: ServiceConfig = serde_json::from_str(SERVICE_CONFIG)?;
        Ok(Self {
            users: UserServiceClient::new(serving(&config, users).await?),
            posts: PostServiceClient::new(serving(&config, posts).await?),
            config,
        })
    }

    /// Creates a user, or looks up the existing one.
    async fn sign_up(&self, nickname: &str, email: &str) -> Result<User, Status> {
        let request = CreateUserRequest {
            user: Some(User {
                nickname: nickname.into(),
                email: email.into(),
                ..User::default()
            }),
            // With an idempotency key the request may be retried: it is executed once.
            request_id: Uuid::new_v4().to_string(),
            ..CreateUserRequest::default()
        };
        let create = async |r| self.users.clone().create_user(r).await;
        let created = self
            .config
            .call((USER_SERVICE, "CreateUser"), request, create);
        match created.await {
            Ok(response) => {
                let user = response.user.unwrap_or_default();
                println!("{} signed up", user.nickname);
                Ok(user)
            }
            Err(status) => match reason(&status).as_deref() {
                Some(why @ ("NICKNAME_TAKEN" | "EMAIL_TAKEN")) => {
                    let user = self.look_up(nickname).await?;
                    println!("{nickname} is refused ({why}): there is {}", user.nickname);
                    Ok(user)
                }
                _ => Err(status),
            },
        }
    }

    async fn look_up(&self, nickname: &str) -> Result<User, Status> {
        let key = Some(Key::Nickname(nickname.into()));
        let look_up = async |r| self.users.clone().lookup_user(r).await;
        let method = (USER_SERVICE, "LookupUser");
        let found = self.config.call(method, LookupUserRequest { key }, look_up);
        Ok(found.await?.user.unwrap_or_default())
    }

    /// Creates a post. A caller that got no response calls it again with the same request id.
    async fn write(&self, author: &User, body: &str, request_id: Uuid) -> Result<Post, Status> {
        let request = CreatePostRequest {
            post: Some(Post {
                author_id: author.id,
                body: body.into(),
                ..Post::default()
            }),
            request_id: request_id.to_string(),
            ..CreatePostRequest::default()
        };
        let create = async |r| self.posts.clone().create_post(r).await;
        let created = self
            .config
            .call((POST_SERVICE, "CreatePost"), request, create);
        Ok(created.await?.post.unwrap_or_default())
    }

    async fn latest(&self, page_size: i32) -> Result<Vec<Post>, Status> {
        let request = ListPostsRequest {
            page_size,
            ..ListPostsRequest::default()
        };
        let list = async |r| self.posts.clone().list_posts(r).await;
        let listed = self.config.call((POST_SERVICE, "ListPosts"), request, list);
        Ok(listed.await?.posts)
    }

    /// Prints the posts after `after_id`, until the stream breaks or the post with the id `until` was
    /// printed. Returns the last id, from which the next call continues.
    async fn follow(&self, after_id: i64, until: Option<i64>) -> Result<i64, Status> {
        let mut last = after_id;
        // The timeout of tonic covers only the response headers.
        let shown = timeout(STREAM_DEADLINE, self.show(&mut last, until)).await;
        match shown.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(
                "the deadline of the stream has passed",
            ))
        }) {
            Err(status) if !code(&status).is_empty() => {
                eprintln!("the stream broke: {}", code(&status));
                Ok(last)
            }
            ended => ended.map(|()| last),
        }
    }

    async fn show(&self, last: &mut i64, until: Option<i64>) -> Result<(), Status> {
        let mut request = Request::new(WatchPostsRequest {
            after_id: Some(*last),
            ..WatchPostsRequest::default()
        });
        request.set_timeout(STREAM_DEADLINE);
        let mut stream = self.posts.clone().watch_posts(request).await?.into_inner();
        while let Some(response) = stream.message().await? {
            let post = response.post.unwrap_or_default();
            *last = post.id;
            println!("> {}: {}", author(&post), post.body);
            if until == Some(post.id) {
                break;
            }
        }
        Ok(())
    }

    /// Runs the tutorial.
    async fn tell(&self) -> Result<(), Status> {
        let john = self.sign_up("john", "john@example.com").await?;
        let susan = self.sign_up("susan", "susan@example.com").await?;
        self.sign_up("John", "another.john@example.com").await?;

        let request_id = Uuid::new_v4();
        let first = self.write(&john, "my first post!", request_id).await?;
        println!("john wrote: {}", first.body);
        let again = self.write(&john, "my first post!", request_id).await?;
        let which = if again == first {
            "the same"
        } else {
            "another"
        };
        println!("sent again, with its request id: {which} post");
        let second = self.write(&susan, "hello, john", Uuid::new_v4()).await?;
        println!("susan wrote: {}", second.body);

        println!("the latest posts:");
        for post in self.latest(2).await? {
            let mut when = post.create_time.unwrap_or_default();
            when.nanos = 0;
            println!("- {}, {when}: {}", author(&post), post.body);
        }

        println!("following:");
        let mut last = self.follow(first.id - 1, None).await?;
        println!("the stream broke");
        let third = self
            .write(&john, "is anybody there?", Uuid::new_v4())
            .await?;
        println!("john wrote another post: {}", third.body);
        while last != third.id {
            // Retries until the server is back.
            sleep(Duration::from_millis(100)).await;
            last = self.follow(last, Some(third.id)).await?;
        }
        println!("nothing was missed");
        Ok(())
    }
}

/// Returns the error reason of the contract, or `None` if the error is not from the server.
fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

fn author(post: &Post) -> &str {
    post.author.as_ref().map_or("", |author| &author.nickname)
}

/// Returns a channel to a server once that reports that it is serving.
async fn serving(config: &ServiceConfig, address: &str) -> Result<Channel, Box<dyn Error>> {
    timeout(START_LIMIT, healthy(config, address))
        .await
        .map_err(|_| format!("{address} is not serving in time"))?
}

async fn healthy(config: &ServiceConfig, address: &str) -> Result<Channel, Box<dyn Error>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let service = config.health_check_config.service_name.clone();
    let watch = async |r| HealthClient::new(channel.clone()).watch(r).await;
    let method = ("grpc.health.v1.Health", "Watch");
    let mut health = config
        .call(method, HealthCheckRequest { service }, watch)
        .await?;
    while let Some(response) = health.message().await? {
        if response.status() == ServingStatus::Serving {
            return Ok(channel);
        }
    }
    Err(format!("{address} is not serving").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("replicas") {
        return replicas::call(&serde_json::from_str(SERVICE_CONFIG)?).await;
    }
    let users = env::var("USER_SERVICE").unwrap_or_else(|_| "127.0.0.1:50051".into());
    let posts = env::var("POST_SERVICE").unwrap_or_else(|_| "127.0.0.1:50052".into());
    Microblog::connect(&users, &posts).await?.tell().await?;
    Ok(())
}
