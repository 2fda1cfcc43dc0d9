//! The processes that are compared in one run, each with a database of its own.

use std::{fs, net::SocketAddr};

use bytes::Bytes;

use crate::{
    bench::Bench,
    calls::{Call, Service},
    children::Server,
    echo, raw,
    system::{Contender, Pair},
};

/// The services, the naive pair and the echo. Their databases begin as copies of the same.
#[derive(Debug)]
pub struct Testbed {
    system: Pair,
    naive: Pair,
    echo: Server,
}

impl Testbed {
    /// Makes the databases, and starts everything.
    pub async fn start(bench: &Bench, calls: &[Call]) -> Self {
        let system = bench.pair(&bench.variant).await;
        let naive = Pair::naive(&bench.database(bench.posts).await);
        let answers = bench.folder().join("answers");
        fs::create_dir_all(&answers).unwrap();
        for (number, call) in (u64::MAX / 1000..).zip(calls) {
            let address = system.address(call.service);
            let answer = answer(call, address, number).await;
            answer.map_or_else(
                |wrong| panic!("{} of the services: {wrong}", call.name),
                |answer| fs::write(answers.join(echo::file_of(call.path)), answer).unwrap(),
            );
            if let Err(wrong) = self::answer(call, naive.address(call.service), number).await {
                panic!("{} of the naive pair: {wrong}", call.name);
            }
        }
        let threads = bench.variant.threads.to_string();
        let answers = answers.to_str().unwrap();
        let echo = Server::start(&["echo", "--answers", answers, "--threads", &threads]);
        Self {
            system,
            naive,
            echo,
        }
    }

    /// Where a contender serves a service.
    pub fn address(&self, contender: Contender, service: Service) -> SocketAddr {
        match contender {
            Contender::Echo => self.echo.address,
            Contender::Naive => self.naive.address(service),
            Contender::System => self.system.address(service),
        }
    }

    /// What the services warned of.
    pub fn warnings(&self) -> Vec<String> {
        self.system.warnings()
    }

    /// The processes that work for its calls.
    pub fn processes(&self, contender: Contender, service: Service) -> Vec<u32> {
        match contender {
            Contender::Echo => vec![self.echo.id()],
            Contender::Naive => self.naive.processes(service),
            Contender::System => self.system.processes(service),
        }
    }
}

/// What a server answers to one call, if it is what it has to be.
async fn answer(call: &Call, address: SocketAddr, number: u64) -> Result<Bytes, String> {
    let message = (call.requests)(number).slice(5..);
    let answer = raw::call(address, call.path, message).await;
    let answer = answer.map_err(|status| status.to_string())?;
    (call.check)(&answer)?;
    Ok(answer)
}
