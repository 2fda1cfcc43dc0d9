//! Processes of the bench: this program again, in another role, killed when it ends.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Longer than any process takes to serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// The text before the address in the line with which a process says that it serves.
const ADDRESS: &str = r#""address":""#;

/// A process that serves, and is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    /// How long it took until it did.
    pub took: Duration,
    lines: mpsc::Receiver<String>,
}

/// This program in a role, yet to be started.
pub fn program(role: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().args(role);
    command
}

impl Server {
    /// Starts this program in a role, and waits until it serves.
    pub fn start(role: &[&str]) -> Self {
        Self::of(program(role))
    }

    /// Starts a program, and waits until it serves.
    pub fn of(mut command: Command) -> Self {
        let began = Instant::now();
        let (sender, lines) = mpsc::channel();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: SocketAddr::from(([0; 4], 0)),
            took: Duration::ZERO,
            lines,
        };
        let stdout = server.child.stdout.take().unwrap();
        // It reads to the end, so that the process never waits for its log to be read.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = Vec::new();
        loop {
            let Ok(line) = server.lines.recv_timeout(PATIENCE) else {
                panic!("{command:?} does not serve: {said:#?}");
            };
            if line.contains(r#""message":"serving""#) {
                let (_, rest) = line.split_once(ADDRESS).unwrap();
                server.took = began.elapsed();
                server.address = rest.split('"').next().unwrap().parse().unwrap();
                return server;
            }
            said.push(line);
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it warned of since it was asked last: the first line of each kind.
    pub fn warnings(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        let mut is_new = |line: &String| {
            let part = |key| line.split_once(key)?.1.split('"').next().map(str::to_owned);
            let kind = (part(r#""reason":""#), part(r#""message":""#));
            let new = !kinds.contains(&kind);
            kinds.push(kind);
            new
        };
        let lines = self.lines.try_iter();
        lines
            .filter(|line| {
                line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)
            })
            .filter(|line| !line.contains(r#""rpc.status_code":"OK""#) && is_new(line))
            .collect()
    }

    /// Closes its standard input, as which it ends by itself; gives what it said last.
    pub fn last_words(mut self) -> Option<String> {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        self.lines.iter().last()
    }

    /// Has it end in order, as a service does on SIGTERM.
    pub fn terminate(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let _ = self.child.wait();
    }

    /// Where it serves, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has this process killed when the one that started it ends, however it does.
pub fn die_with_parent() {
    let signal = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(signal)).unwrap();
}

/// Says to the process that started this one that it serves, as the services say it.
pub fn say_serving(address: SocketAddr) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, r#"{{"message":"serving",{ADDRESS}{address}"}}"#).unwrap();
    stdout.flush().unwrap();
}
