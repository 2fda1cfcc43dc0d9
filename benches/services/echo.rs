//! A bare tonic server that answers bytes that it was given: the limit of the transport.
//!
//! It has no layer, it looks at no request, and it encodes nothing. Its connections are dealt out
//! to loops of their own, as many as the services have.

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

use crate::{children, raw::Raw};

/// The answers, by the path of the method.
#[derive(Clone, Debug)]
struct Answers(Arc<HashMap<String, Bytes>>);

#[derive(Clone, Debug)]
struct UserEcho(Answers);

#[derive(Clone, Debug)]
struct PostEcho(Answers);

impl NamedService for UserEcho {
    const NAME: &'static str = user_service::NAME;
}

impl NamedService for PostEcho {
    const NAME: &'static str = post_service::NAME;
}

/// One answer, whatever the request.
struct Always(Bytes);

impl UnaryService<Bytes> for Always {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

type Answered = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl Answers {
    fn call(&self, request: http::Request<Body>) -> Answered {
        let answer = self.0.get(request.uri().path()).cloned();
        Box::pin(async move {
            let Some(answer) = answer else {
                return Ok(Status::unimplemented("no answer for it").into_http());
            };
            Ok(Grpc::new(Raw).unary(Always(answer), request).await)
        })
    }
}

macro_rules! service {
    ($echo:ty) => {
        impl Service<http::Request<Body>> for $echo {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Answered;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Answered {
                self.0.call(request)
            }
        }
    };
}

service!(UserEcho);
service!(PostEcho);

/// Where the answer of a method stands, below the folder of all answers.
pub fn file_of(path: &str) -> String {
    path.trim_start_matches('/').replace('/', "+")
}

/// Answers what stands in `folder`, with so many threads, until it is killed.
pub fn run(folder: &Path, threads: usize) {
    let answers = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let path = entry.file_name().into_string().unwrap().replace('+', "/");
        (
            format!("/{path}"),
            Bytes::from(fs::read(entry.path()).unwrap()),
        )
    });
    let answers = Answers(Arc::new(answers.collect()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    children::say_serving(listener.local_addr().unwrap());
    let loops: Vec<_> = (0..threads)
        .map(|_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let answers = answers.clone();
            thread::spawn(move || serve(answers, receiver));
            sender
        })
        .collect();
    for (stream, next) in listener.incoming().zip(loops.iter().cycle()) {
        next.send(stream.unwrap()).unwrap();
    }
}

/// One loop.
fn serve(answers: Answers, mut connections: mpsc::UnboundedReceiver<TcpStream>) {
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
        let routes = Routes::new(UserEcho(answers.clone())).add_service(PostEcho(answers));
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    });
}
