//! Clients that try to exhaust a service that may use 256 MiB, as in `docker-compose.yml`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{Builder, ResponseFuture},
};
use http::Request;
use proto::user::v1::ListUsersRequest;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    process::{Process, TestDir, within_timeout},
    program, users_at,
};

const MEMORY_BYTES: usize = 256 << 20;

/// A memory cgroup. Dropping this removes it, after its processes ended.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a cgroup of version 1 or 2 below the one of this process. Returns `None` if that is
    /// not possible.
    fn new(name: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let candidates = own.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let (root, limit) = match controllers {
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                "" => ("/sys/fs/cgroup", "memory.max"),
                _ => return None,
            };
            Some((Path::new(root).join(path.trim_start_matches('/')), limit))
        });
        candidates.into_iter().find_map(|(parent, limit)| {
            let group = Self(parent.join(format!("microblog-{name}-{}", id())));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(limit), MEMORY_BYTES.to_string()).ok()?;
            Some(group)
        })
    }

    /// Returns a command that runs `inner` in this cgroup.
    fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.0.join("cgroup.procs"))
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = inner.get_current_dir() {
            command.current_dir(directory);
        }
        let variables = inner.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A killed process stays in its cgroup for a moment.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The streams of an attacking connection, which stays open until this is dropped.
type Attack = Vec<(ResponseFuture, SendStream<Bytes>)>;

/// Opens a connection, and starts calls whose requests are `part` and, if `complete`, end there. The
/// connection reads nothing beyond its window.
async fn attack(
    address: SocketAddr,
    window: u32,
    path: &str,
    part: Bytes,
    complete: bool,
) -> Option<Attack> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut builder = Builder::new();
    builder.initial_window_size(window);
    let (mut sender, connection) = builder.handshake(stream).await.ok()?;
    tokio::spawn(connection);
    let mut streams = Attack::new();
    for _ in 0..64 {
        sender = sender.ready().await.ok()?;
        let request = Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut body) = sender.send_request(request, false).ok()?;
        body.send_data(part.clone(), complete).ok()?;
        streams.push((response, body));
    }
    Some(streams)
}

/// Calls the service 200 times, and returns the 99th percentile of the durations.
async fn p99(address: SocketAddr) -> Duration {
    let mut users = users_at(address);
    let mut durations = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        within_timeout(users.list_users(ListUsersRequest::default()))
            .await
            .unwrap();
        durations.push(start.elapsed());
    }
    durations.sort();
    durations[197]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_256_mib_survives_every_mix_of_clients() {
    let Some(group) = Cgroup::new("memory") else {
        println!("skipped: this process can create no memory cgroup");
        return;
    };
    let dir = TestDir::migrated().await;
    let command = dir.command(program("user-service"), &[]);
    let mut service = Process::start(group.command(&command));
    let address = service.serving().await;
    let quiet = p99(address).await;

    let mut large = vec![0; (4 << 20) + 4];
    large[2] = 0x40;
    let large = Bytes::from(large);
    let symbol = b"microblog.user.v1.UserService";
    let length = u8::try_from(symbol.len()).unwrap();
    let reflect = [&[0, 0, 0, 0, length + 2, 0x22, length], &symbol[..]].concat();
    let reflect = Bytes::from(reflect);
    let create = "/microblog.user.v1.UserService/CreateUser";
    let check = "/grpc.health.v1.Health/Check";
    let watch = "/grpc.health.v1.Health/Watch";
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let empty = Bytes::from_static(&[0; 5]);
    // 2 million empty changes of 2 bytes.
    let changes = [&[0, 0, 0x3f, 0xff, 0xfe][..], &[0x0a, 0].repeat(0x1f_ffff)].concat();
    let changes = Bytes::from(changes);
    let commit = "/microblog.user.v1.UserService/CommitUsers";
    let mut attacks = Vec::new();
    for _ in 0..8 {
        attacks.push(attack(address, 0, commit, changes.clone(), true).await);
        attacks.push(attack(address, 0, create, large.clone(), false).await);
        attacks.push(attack(address, 0, check, large.clone(), false).await);
        attacks.push(attack(address, 1, reflection, reflect.clone(), false).await);
        attacks.push(attack(address, 1 << 30, reflection, reflect.clone(), false).await);
        attacks.push(attack(address, 0, watch, empty.clone(), true).await);
        attacks.push(attack(address, 0, create, Bytes::new(), false).await);
    }
    // The clients send until they are stopped.
    let mut attacked = Duration::ZERO;
    for _ in 0..10 {
        attacked = attacked.max(p99(address).await);
    }
    let mut idle = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        // The service may have closed it already.
        let _ = stream.write_all(preface).await;
        idle.push(stream);
    }
    attacked = attacked.max(p99(address).await);

    println!("p99 {quiet:?} without and {attacked:?} with the attack");
    assert!(
        attacked <= 2 * quiet.max(Duration::from_millis(50)),
        "p99 was {quiet:?} and became {attacked:?}"
    );
    drop((attacks, idle));
    p99(address).await;
    service.signal("TERM");
    let run = service.end().await;
    assert_eq!(run.code, Some(0), "{run:?}");
}
