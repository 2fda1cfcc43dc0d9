//! Starts processes of the bench: this program in another role. They are killed when the bench
//! ends.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Upper bound of the time until a process serves.
const STARTUP_TIMEOUT: Duration = Duration::from_mins(1);

/// The text before the address in the line that reports that a process serves.
const ADDRESS: &str = r#""address":""#;

/// A serving process. It is killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Time from the start until it served.
    pub took: Duration,
    lines: mpsc::Receiver<String>,
}

/// Returns the command of this program in a role.
pub fn program(role: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().args(role);
    command
}

impl Server {
    /// Starts this program in a role, and waits until it serves.
    pub fn start(role: &[&str]) -> Self {
        Self::spawn(program(role))
    }

    /// Starts a program, and waits until it serves.
    pub fn spawn(mut command: Command) -> Self {
        let start = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: SocketAddr::from(([0; 4], 0)),
            took: Duration::ZERO,
            lines: receiver,
        };
        let stdout = server.child.stdout.take().unwrap();
        // Reads to the end: a full pipe would block the process.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut lines = Vec::new();
        loop {
            let Ok(line) = server.lines.recv_timeout(STARTUP_TIMEOUT) else {
                panic!("{command:?} does not serve: {lines:#?}");
            };
            if line.contains(r#""message":"serving""#) {
                let (_, rest) = line.split_once(ADDRESS).unwrap();
                server.took = start.elapsed();
                server.address = rest.split('"').next().unwrap().parse().unwrap();
                return server;
            }
            lines.push(line);
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the warnings since the last call of this function: the first line of each kind.
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

    /// Closes its standard input, waits until it exits, and returns its last line.
    pub fn close_and_wait(mut self) -> Option<String> {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        self.lines.iter().last()
    }

    /// Sends SIGTERM and waits until the process has drained.
    pub fn terminate(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let _ = self.child.wait();
    }

    /// Returns the URL of its address.
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

/// Makes the kernel kill this process when its parent ends in any way.
pub fn die_with_parent() {
    let signal = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(signal)).unwrap();
}

/// Reports to the parent process that this process serves, in the log format of the services.
pub fn report_serving(address: SocketAddr) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, r#"{{"message":"serving",{ADDRESS}{address}"}}"#).unwrap();
    stdout.flush().unwrap();
}
