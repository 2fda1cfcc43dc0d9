//! Clients that try to exhaust a service that may use 256 MiB, as in `docker-compose.yml`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{Either, join_all, select};
use h2::{
    SendStream,
    client::{Builder, Connection, ResponseFuture},
};
use http::Request;
use proto::user::v1::ListUsersRequest;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use crate::{
    process::{Process, TestDir, within_timeout},
    program, users_at,
};

const MEMORY_BYTES: usize = 256 << 20;

/// The calls of each measurement. The 99th percentile excludes 4 of them.
const CALLS: usize = 400;

/// The longest time that attackers wait for the responses, before they close their connections and
/// attack again.
const ROUND: Duration = Duration::from_millis(200);

/// A memory cgroup. Dropping this removes it, after its processes ended.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a memory cgroup of version 1 or 2 near the one of this process. Returns `None` if that
    /// is not possible.
    fn new(name: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let path = Path::new(path.trim_start_matches('/'));
            match controllers {
                "memory" => Self::version_1(&Path::new("/sys/fs/cgroup/memory").join(path), name),
                // A cgroup with processes has no limited children. Its siblings may be limited.
                "" => ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                    .iter()
                    .flat_map(|root| [Some(path), path.parent()].map(|path| (root, path)))
                    .find_map(|(root, path)| Self::version_2(&Path::new(root).join(path?), name)),
                _ => None,
            }
        })
    }

    fn version_1(parent: &Path, name: &str) -> Option<Self> {
        let group = Self::child(parent, name)?;
        group.write("memory.limit_in_bytes")?;
        // The kernel counts the buffers of sockets apart, and only if they have a limit.
        group.write("memory.kmem.tcp.limit_in_bytes")?;
        Some(group)
    }

    fn version_2(parent: &Path, name: &str) -> Option<Self> {
        // It may be enabled already. Otherwise the child has no such file.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        let group = Self::child(parent, name)?;
        group.write("memory.max")?;
        Some(group)
    }

    fn child(parent: &Path, name: &str) -> Option<Self> {
        let path = parent.join(format!("microblog-{name}-{}", id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    /// Writes the limit to a file that exists.
    fn write(&self, file: &str) -> Option<()> {
        let path = self.0.join(file);
        (path.exists() && fs::write(path, MEMORY_BYTES.to_string()).is_ok()).then_some(())
    }

    /// Returns the most bytes that the processes had, including the buffers of their sockets.
    fn peak(&self) -> usize {
        let files = [
            "memory.max_usage_in_bytes",
            "memory.kmem.tcp.max_usage_in_bytes",
            "memory.peak",
        ];
        let read = files
            .iter()
            .filter_map(|file| fs::read_to_string(self.0.join(file)).ok());
        read.map(|bytes| bytes.trim().parse::<usize>().unwrap())
            .sum()
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
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The calls of an attacking connection.
#[derive(Clone)]
struct Attack {
    path: &'static str,
    /// The flow-control window of each response.
    window: u32,
    /// The part of the request that is sent.
    part: Bytes,
    /// The request ends after the part.
    complete: bool,
    /// The client stops to read from the socket after its first response.
    deaf: bool,
}

/// An attacking connection, which stays open until this is dropped.
struct Attacking {
    streams: Vec<(ResponseFuture, SendStream<Bytes>)>,
    unread: Option<Connection<TcpStream, Bytes>>,
}

impl Attack {
    /// Opens a connection, and starts 64 calls. Returns `None` if the service ends the connection.
    async fn start(self, address: SocketAddr) -> Option<Attacking> {
        let socket = TcpSocket::new_v4().ok()?;
        if self.deaf {
            socket.set_recv_buffer_size(4096).ok()?;
        }
        let stream = socket.connect(address).await.ok()?;
        let mut builder = Builder::new();
        builder
            .initial_window_size(self.window)
            .initial_connection_window_size(self.window.max(65_535));
        let (mut sender, connection) = builder.handshake(stream).await.ok()?;
        let mut streams = Vec::new();
        let mut unread = None;
        let start = async {
            for _ in 0..64 {
                sender = sender.clone().ready().await.ok()?;
                let request = Request::post(format!("http://{address}{}", self.path))
                    .header("content-type", "application/grpc")
                    .body(())
                    .unwrap();
                let (response, mut body) = sender.send_request(request, false).ok()?;
                body.send_data(self.part.clone(), self.complete).ok()?;
                streams.push((response, body));
            }
            if self.deaf {
                let (response, _) = streams.first_mut()?;
                let _ = response.await;
            }
            Some(())
        };
        if self.deaf {
            let start = std::pin::pin!(start);
            match select(start, connection).await {
                Either::Left((started, connection)) => {
                    started?;
                    unread = Some(connection);
                }
                Either::Right(_) => return None,
            }
        } else {
            tokio::spawn(connection);
            start.await?;
        }
        Some(Attacking { streams, unread })
    }
}

/// Returns calls that hold as much as they can.
fn attacks() -> Vec<Attack> {
    let mut large = vec![0; (4 << 20) + 4];
    large[2] = 0x40;
    let large = Bytes::from(large);
    let symbol = b"microblog.user.v1.UserService";
    let length = u8::try_from(symbol.len()).unwrap();
    let reflect = [&[0, 0, 0, 0, length + 2, 0x22, length], &symbol[..]].concat();
    let reflect = Bytes::from(reflect);
    // 4 MiB of repeated fields.
    let repeated = |field: &[u8]| {
        let fields = field.repeat(0x3f_fffe / field.len());
        let length = u32::try_from(fields.len()).unwrap().to_be_bytes();
        Bytes::from([&[0], &length[..], &fields].concat())
    };
    let create = "/microblog.user.v1.UserService/CreateUser";
    let commit = "/microblog.user.v1.UserService/CommitUsers";
    let check = "/grpc.health.v1.Health/Check";
    let watch = "/grpc.health.v1.Health/Watch";
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let attack = |path, window, part, complete| Attack {
        path,
        window,
        part,
        complete,
        deaf: false,
    };
    vec![
        attack(commit, 0, repeated(&[0x0a, 0]), true),
        // Mutations that update with one empty path each.
        attack(
            commit,
            0,
            repeated(&[0x0a, 6, 0x12, 4, 0x12, 2, 0x0a, 0]),
            true,
        ),
        attack(create, 0, large.clone(), false),
        attack(check, 0, large, false),
        attack(reflection, 1, reflect.clone(), false),
        attack(reflection, 1 << 30, reflect.clone(), false),
        attack(watch, 0, Bytes::from_static(&[0; 5]), true),
        attack(create, 0, Bytes::new(), false),
        Attack {
            deaf: true,
            ..attack(reflection, 1 << 30, reflect, false)
        },
    ]
}

/// A thread of attackers. Dropping this ends it.
struct Attackers {
    _stop: tokio::sync::oneshot::Sender<()>,
    started: mpsc::Receiver<()>,
}

impl Attackers {
    /// Starts the attackers. If they `repeat`, they connect and send again and again. Otherwise they
    /// hold what they have.
    fn start(address: SocketAddr, attacks: Vec<Attack>, repeat: bool) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let (start, started) = mpsc::channel();
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let attack = async {
                loop {
                    let attacks = attacks.iter().cloned();
                    let attacks = join_all(attacks.map(|attack| attack.start(address))).await;
                    let _ = start.send(());
                    let mut open: Vec<_> = attacks.into_iter().flatten().collect();
                    let open = open.iter_mut().filter(|attack| attack.unread.is_none());
                    let streams = open.flat_map(|attack| &mut attack.streams);
                    let responses = join_all(streams.map(|(response, _)| response));
                    let limit = if repeat { ROUND } else { Duration::MAX };
                    let _ = tokio::time::timeout(limit, responses).await;
                    if !repeat {
                        std::future::pending::<()>().await;
                    }
                }
            };
            runtime.enable_all().build().unwrap().block_on(async {
                tokio::select! {
                    () = attack => {}
                    _ = &mut stopped => {}
                }
            });
        });
        Self {
            _stop: stop,
            started,
        }
    }

    /// Waits until all calls of the first round are started.
    fn started(self) -> Self {
        self.started.recv_timeout(Duration::from_secs(30)).unwrap();
        self
    }
}

/// Calls the service from one connection. Returns the 99th percentile of the durations.
async fn p99(address: SocketAddr) -> Duration {
    let mut users = users_at(address);
    let mut durations = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        within_timeout(users.list_users(ListUsersRequest::default()))
            .await
            .unwrap();
        durations.push(start.elapsed());
    }
    durations.sort();
    durations[CALLS * 99 / 100 - 1]
}

/// Returns the lowest and the highest of several measurements. Other processes raise some of them.
async fn p99s(address: SocketAddr) -> (Duration, Duration) {
    let (mut lowest, mut highest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..4 {
        let p99 = p99(address).await;
        lowest = lowest.min(p99);
        highest = highest.max(p99);
    }
    (lowest, highest)
}

#[tokio::test]
async fn a_service_with_256_mib_survives_every_mix_of_clients() {
    let Some(group) = Cgroup::new("memory") else {
        println!("skipped: this process can create no memory cgroup");
        return;
    };
    let dir = TestDir::migrated().await;
    let command = dir.command(program("user-service"), &[]);
    let mut service = Process::start(group.command(&command));
    let address = service.serving().await;
    p99(address).await;
    let (quiet, noise) = p99s(address).await;

    // Each attack alone, repeated. Its client takes processors from the service.
    for attack in attacks() {
        let path = attack.path;
        let attackers = Attackers::start(address, vec![attack; 8], true).started();
        let flooded = p99(address).await;
        println!("{path}: p99 {flooded:?}, peak {} MiB", group.peak() >> 20);
        drop(attackers);
    }
    // All attacks together, which hold what they have.
    let all = attacks().into_iter().cycle().take(72).collect();
    let held = Attackers::start(address, all, false).started();
    let mut attacked = vec![p99s(address).await.0];
    let deaf = vec![attacks().remove(8); 400];
    let unread = Attackers::start(address, deaf, false).started();
    attacked.push(p99s(address).await.0);
    drop((held, unread));
    let mut idle = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        // The service may have closed it already.
        let _ = stream.write_all(preface).await;
        idle.push(stream);
    }
    attacked.push(p99s(address).await.0);
    drop(idle);
    let (quiet_after, noise_after) = p99s(address).await;

    let peak = group.peak();
    // Other processes of the machine cause the difference between equal measurements.
    let (lowest, quiet) = (quiet.min(quiet_after), quiet.max(quiet_after));
    let bound = (2 * quiet + noise.max(noise_after)).saturating_sub(lowest);
    println!(
        "p99 {quiet:?} and attacked {attacked:?}, peak {} MiB",
        peak >> 20
    );
    assert!(peak <= MEMORY_BYTES, "{} MiB", peak >> 20);
    assert!(
        attacked.iter().all(|p99| *p99 <= bound),
        "{attacked:?} > {bound:?}"
    );
    service.signal("TERM");
    let run = service.end().await;
    assert_eq!(run.code, Some(0), "{run:?}");
}
