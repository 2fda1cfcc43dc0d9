//! A bare tonic server that returns prepared bytes: the limit of the transport.
//!
//! It has no layer, ignores requests and encodes nothing. Like the services, it distributes
//! connections to single-threaded worker runtimes.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    future::{Ready, ready},
    net::{TcpListener, TcpStream},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use futures::{StreamExt, stream::poll_fn};
use tokio::sync::mpsc;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::Service,
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
    transport::Server,
};

use crate::{processes, raw::Raw};

/// The prepared responses, by the path of the method.
#[derive(Clone, Debug)]
struct Responses(Arc<HashMap<String, Bytes>>);

#[derive(Clone, Debug)]
struct UserEcho(Responses);

#[derive(Clone, Debug)]
struct PostEcho(Responses);

impl NamedService for UserEcho {
    const NAME: &'static str = user_service::NAME;
}

impl NamedService for PostEcho {
    const NAME: &'static str = post_service::NAME;
}

/// Returns this response to any request.
struct Always(Bytes);

impl UnaryService<Bytes> for Always {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl Responses {
    fn call(&self, request: http::Request<Body>) -> ResponseFuture {
        let response = self.0.get(request.uri().path()).cloned();
        Box::pin(async move {
            let Some(response) = response else {
                return Ok(Status::unimplemented("no response for this method").into_http());
            };
            Ok(Grpc::new(Raw).unary(Always(response), request).await)
        })
    }
}

macro_rules! service {
    ($echo:ty) => {
        impl Service<http::Request<Body>> for $echo {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = ResponseFuture;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> ResponseFuture {
                self.0.call(request)
            }
        }
    };
}

service!(UserEcho);
service!(PostEcho);

/// Returns the file name of the response of a method.
pub fn file_name(path: &str) -> String {
    path.trim_start_matches('/').replace('/', "+")
}

/// Serves the responses in `folder` with this number of threads until the process is killed.
pub fn run(folder: &Path, threads: usize) {
    let responses = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let path = entry.file_name().into_string().unwrap().replace('+', "/");
        (
            format!("/{path}"),
            Bytes::from(fs::read(entry.path()).unwrap()),
        )
    });
    let responses = Responses(Arc::new(responses.collect()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    processes::report_serving(listener.local_addr().unwrap());
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let responses = responses.clone();
            thread::spawn(move || serve(responses, receiver));
            sender
        })
        .collect();
    for (stream, next) in listener.incoming().zip(workers.iter().cycle()) {
        next.send(stream.unwrap()).unwrap();
    }
}

/// Serves the connections of one worker.
fn serve(responses: Responses, mut connections: mpsc::UnboundedReceiver<TcpStream>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let incoming = poll_fn(|cx| connections.poll_recv(cx)).map(|stream: TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            tokio::net::TcpStream::from_std(stream)
        });
        let routes = Routes::new(UserEcho(responses.clone())).add_service(PostEcho(responses));
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    });
}
