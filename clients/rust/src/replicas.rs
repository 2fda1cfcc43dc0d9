//! Calls several replicas of the user service over one channel, and counts the failed calls.
//!
//! tonic sends calls to each endpoint of a channel, also to one that is down. The channel therefore
//! has only the endpoints whose servers report that they are serving.

use std::{env, error::Error, time::Duration};

use tokio::{sync::mpsc::Sender, time::sleep};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, channel::Change},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;

use crate::{
    USER_SERVICE,
    service_config::ServiceConfig,
    user::v1::{CreateUserRequest, User, user_service_client::UserServiceClient},
};

const ROUNDS: usize = 6;
const CALLS: usize = 50;

/// The time after which a server that is down is asked again.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

type Changes = Sender<Change<String, Endpoint>>;

/// Makes the calls, and prints the number of failed ones after each round.
pub async fn call(config: &ServiceConfig) -> Result<(), Box<dyn Error>> {
    let addresses = env::var("USER_SERVICES");
    let addresses = addresses
        .as_deref()
        .unwrap_or("127.0.0.1:50051,127.0.0.1:50061");
    let users = UserServiceClient::new(balanced(addresses.split(','))?);
    for round in 0..ROUNDS {
        let mut failed = 0;
        for call in 0..CALLS {
            let nickname = format!("caller-{round}-{call}");
            if let Err(status) = create(config, &users, nickname).await {
                failed += 1;
                eprintln!("{status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        println!("{CALLS} calls, {failed} failed");
    }
    Ok(())
}

async fn create(
    config: &ServiceConfig,
    users: &UserServiceClient<Channel>,
    nickname: String,
) -> Result<(), Status> {
    let request = CreateUserRequest {
        user: Some(User {
            email: format!("{nickname}@example.com"),
            nickname,
            ..User::default()
        }),
        request_id: Uuid::new_v4().to_string(),
        ..CreateUserRequest::default()
    };
    let create = async |r| users.clone().create_user(r).await;
    let method = (USER_SERVICE, "CreateUser");
    config.call(method, request, create).await.map(|_| ())
}

/// Returns a channel over the addresses. Calls wait while none of their servers is serving.
fn balanced<'a>(addresses: impl Iterator<Item = &'a str>) -> Result<Channel, Box<dyn Error>> {
    let (channel, changes) = Channel::balance_channel(16);
    for address in addresses {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        tokio::spawn(follow(address.to_owned(), endpoint, changes.clone()));
    }
    Ok(channel)
}

/// Inserts an endpoint while its server is serving, and removes it otherwise.
async fn follow(address: String, endpoint: Endpoint, changes: Changes) {
    let mut health = HealthClient::new(endpoint.connect_lazy());
    loop {
        let request = Request::new(HealthCheckRequest::default());
        if let Ok(response) = health.watch(request).await {
            let mut statuses = response.into_inner();
            while let Ok(Some(response)) = statuses.message().await {
                let change = if response.status() == ServingStatus::Serving {
                    Change::Insert(address.clone(), endpoint.clone())
                } else {
                    Change::Remove(address.clone())
                };
                if changes.send(change).await.is_err() {
                    return;
                }
            }
            if changes.send(Change::Remove(address.clone())).await.is_err() {
                return;
            }
        }
        sleep(RECONNECT_DELAY).await;
    }
}
