//! Starts the contenders of one run, each with its own database.

use std::{fs, net::SocketAddr};

use bytes::Bytes;

use crate::{
    bench::Bench,
    calls::{Call, Service},
    echo,
    processes::Server,
    raw,
    system::{Contender, ServicePair},
};

/// The services, the baseline and the echo. Their databases are copies of one seed.
#[derive(Debug)]
pub struct Testbed {
    system: ServicePair,
    baseline: ServicePair,
    echo: Server,
}

impl Testbed {
    /// Creates the databases and starts all contenders. Panics if their responses are wrong.
    pub async fn start(bench: &Bench, calls: &[Call]) -> Self {
        let system = bench.pair(&bench.variant).await;
        let baseline = ServicePair::baseline(&bench.database(bench.posts).await);
        let responses = bench.folder().join("responses");
        fs::create_dir_all(&responses).unwrap();
        for (number, call) in (u64::MAX / 1000..).zip(calls) {
            let address = system.address(call.service);
            let response = response(call, address, number).await;
            response.map_or_else(
                |wrong| panic!("{} of the services: {wrong}", call.name),
                |body| fs::write(responses.join(echo::file_name(call.path)), body).unwrap(),
            );
            let address = baseline.address(call.service);
            if let Err(wrong) = self::response(call, address, number).await {
                panic!("{} of the baseline: {wrong}", call.name);
            }
        }
        let threads = bench.variant.threads.to_string();
        let responses = responses.to_str().unwrap();
        let echo = Server::start(&["echo", "--responses", responses, "--threads", &threads]);
        Self {
            system,
            baseline,
            echo,
        }
    }

    /// Returns the address of a contender's service.
    pub fn address(&self, contender: Contender, service: Service) -> SocketAddr {
        match contender {
            Contender::Echo => self.echo.address,
            Contender::Baseline => self.baseline.address(service),
            Contender::System => self.system.address(service),
        }
    }

    /// Returns the new warnings of the services.
    pub fn warnings(&self) -> Vec<String> {
        self.system.warnings()
    }

    /// Returns the processes that take part in the calls of a service.
    pub fn processes(&self, contender: Contender, service: Service) -> Vec<u32> {
        match contender {
            Contender::Echo => vec![self.echo.id()],
            Contender::Baseline => self.baseline.processes(service),
            Contender::System => self.system.processes(service),
        }
    }
}

/// Makes one call and checks its response.
async fn response(call: &Call, address: SocketAddr, number: u64) -> Result<Bytes, String> {
    let message = (call.requests)(number).slice(5..);
    let response = raw::call(address, call.path, message).await;
    let response = response.map_err(|status| status.to_string())?;
    (call.check)(&response)?;
    Ok(response)
}
