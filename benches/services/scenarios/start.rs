//! Measures the time from the start of a service until it serves, on an existing database.

use crate::{bench::Bench, figure::Figure, processes::Server, rounds::median};

/// Number of starts of each service.
const STARTS: usize = 15;

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let database = bench.database(bench.posts).await;
    let (mut users, mut posts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let user_service = Server::spawn(bench.variant.users(&database));
        let url = user_service.url();
        let post_service = Server::spawn(bench.variant.posts(&database, &url));
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
