//! How long a service takes from its start until it serves, with the database there.

use crate::{bench::Bench, children::Server, figure::Figure, rounds::median};

/// How often each is started: it takes little time.
const STARTS: usize = 15;

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let database = bench.database(bench.posts).await;
    let (mut users, mut posts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let user_service = Server::of(bench.variant.users(&database));
        let url = user_service.url();
        let post_service = Server::of(bench.variant.posts(&database, &url));
        users.push(user_service.took);
        posts.push(post_service.took);
    }
    [("user", users), ("post", posts)]
        .map(|(name, times)| {
            let millis = times.iter().map(|time| time.as_secs_f64() * 1000.0);
            let about = format!("{name}-service, from start to SERVING");
            Figure::at_most(20.0, about, median(millis), "ms")
        })
        .to_vec()
}
