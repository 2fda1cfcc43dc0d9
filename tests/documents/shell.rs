//! Runs the examples of a document as a shell session, in a copy of the source tree, with the real
//! programs.
//!
//! The commands differ from the document in four ways: services listen on free ports, programs are
//! already built, `cargo build` does nothing, and the migrator gets the path of the copied tree.

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    process,
};

use crate::{
    blocks::{Block, blocks},
    normalize::normalize,
    plan::{self, Execution, Setup},
    process::{Process, TestDir, run, within_timeout},
    tools,
    tree::{read, root},
    updates_documents,
};

/// The parts of the source tree that examples use.
const TREE: [&str; 5] = [
    "Cargo.toml",
    "proto",
    "user-service",
    "post-service",
    "migrator",
];

/// Addresses of the services in the documents.
const ADDRESSES: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50052"];

/// Lines of a document, and their replacement.
type Edit = (Range<usize>, Vec<String>);

/// Runs the examples of a document and compares their outputs with the document.
pub async fn check(document: &str) {
    let tools = match tools::folders() {
        Ok(tools) => tools,
        Err(reason) => {
            // `eprintln!` is captured in a test that succeeds.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: the examples of {document} are not run: {reason}"
            );
            return;
        }
    };
    let text = read(document);
    let blocks = blocks(&text);
    let mut blocks = blocks.iter();
    let mut session = Session::start(Setup::Empty, &tools).await;
    let mut differences = String::new();
    let mut edits: Vec<Edit> = Vec::new();
    for part in plan::of(document) {
        if part.setup != Setup::Same {
            session = Session::start(part.setup, &tools).await;
        }
        for execution in part.blocks {
            let block = blocks.next().unwrap();
            for outcome in session.block(block, *execution).await {
                if outcome.differs() {
                    let line = outcome.output_lines.start;
                    let _ = writeln!(differences, "{document}:{line}{outcome}");
                    edits.push((outcome.output_lines, outcome.printed));
                }
            }
        }
    }

    if updates_documents() {
        update(document, &text, edits);
        return;
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Replaces the outputs in the document that differ.
fn update(document: &str, text: &str, edits: Vec<Edit>) {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (range, printed) in edits.into_iter().rev() {
        lines.splice(range, printed);
    }
    fs::write(root().join(document), lines.join("\n") + "\n").unwrap();
}

/// The result of one command.
struct Outcome {
    /// The command.
    text: String,
    /// Line numbers of its output in the document.
    output_lines: Range<usize>,
    /// The output in the document.
    expected: Vec<String>,
    /// The actual output.
    printed: Vec<String>,
    succeeded: bool,
}

impl Outcome {
    fn differs(&self) -> bool {
        if self.expected.is_empty() {
            return !self.succeeded;
        }
        let normalized = |lines: &[String]| normalize(&lines.join("\n"));
        normalized(&self.expected) != normalized(&self.printed)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (expected, printed) = (self.expected.join("\n"), self.printed.join("\n"));
        write!(
            f,
            "\n$ {}\nexpected output\n{expected}\nactual output\n{printed}\n",
            self.text
        )
    }
}

/// A directory with the programs that run in it.
struct Session {
    dir: TestDir,
    /// The variable `PATH`.
    path: OsString,
    /// The variable `PYTHONPATH`.
    python: OsString,
    /// Addresses of the running services.
    addresses: [Option<SocketAddr>; 2],
    /// The variable `MIGRATOR_PROJECT`, since each command has a shell of its own.
    project: Option<&'static str>,
    running: Vec<Process>,
}

impl Session {
    async fn start(setup: Setup, tools: &[PathBuf]) -> Self {
        let programs = PathBuf::from(env!("CARGO_BIN_EXE_microblog"));
        let programs = programs.parent().unwrap();
        let path = env::var_os("PATH").unwrap();
        let found = tools.iter().map(|folder| folder.join("bin"));
        let found = [programs.to_owned()].into_iter().chain(found);
        let path = env::join_paths(found.chain(env::split_paths(&path)));
        let mut session = Self {
            path: path.unwrap(),
            python: env::join_paths(tools).unwrap(),
            dir: TestDir::new(),
            addresses: [None; 2],
            project: None,
            running: Vec::new(),
        };
        if setup == Setup::Project {
            session.project = Some("notes");
            return session;
        }
        for name in TREE {
            copy(&root().join(name), &session.dir.path().join(name));
        }
        match setup {
            Setup::Empty | Setup::Same | Setup::Project => {}
            Setup::Migrated => assert!(session.run("migrator upgrade").await.1),
            Setup::Running => {
                session.system().await;
            }
        }
        session
    }

    /// Executes a block as planned.
    async fn block(&mut self, block: &Block, execution: Execution) -> Vec<Outcome> {
        match execution {
            Execution::Elsewhere(_) | Execution::Not(_) => Vec::new(),
            Execution::Put(file, before) => {
                let file = self.dir.path().join(file);
                let text = fs::read_to_string(&file).unwrap();
                assert!(text.contains(before), "no `{before}` in {}", file.display());
                let put = block.lines.join("\n") + "\n" + before;
                fs::write(file, text.replacen(before, &put, 1)).unwrap();
                Vec::new()
            }
            Execution::Write(file) => {
                let file = self.dir.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, block.lines.join("\n") + "\n").unwrap();
                Vec::new()
            }
            Execution::Banner => {
                let printed = self.running.last().unwrap().stdout_lines();
                vec![Outcome {
                    text: "cargo run".to_owned(),
                    output_lines: block.line..block.line + block.lines.len(),
                    expected: block.lines.clone(),
                    printed: printed
                        .iter()
                        .map(|line| self.as_documented(line))
                        .collect(),
                    succeeded: true,
                }]
            }
            Execution::Run => {
                let mut outcomes = Vec::new();
                for command in block.commands() {
                    let (printed, succeeded) = self.typed(&command.text).await;
                    outcomes.push(Outcome {
                        text: command.text,
                        output_lines: command.output_lines,
                        expected: command.output,
                        printed,
                        succeeded,
                    });
                }
                outcomes
            }
        }
    }

    /// Executes a typed command. Returns its output and whether it succeeded. Services keep
    /// running.
    async fn typed(&mut self, text: &str) -> (Vec<String>, bool) {
        if text == "cargo run" {
            self.system().await;
            return (Vec::new(), true);
        }
        if text.starts_with("cargo build") {
            return (Vec::new(), true);
        }
        match text.strip_suffix(" &") {
            Some(service) => {
                self.service(service.trim_start_matches("target/release/"))
                    .await;
                (Vec::new(), true)
            }
            None => self.run(text).await,
        }
    }

    /// Starts the whole system, as `cargo run` does.
    async fn system(&mut self) {
        let mut command = self.command("microblog", &[]);
        command.env("LOG_FORMAT", "text");
        let mut system = Process::start(command);
        system.wait_for_line("Ctrl-C ends it.").await;
        let printed = system.stdout_lines().join("\n");
        for (index, name) in ["UserService", "PostService"].into_iter().enumerate() {
            let (_, rest) = printed.split_once(&format!("  {name}  ")).unwrap();
            let address = rest.lines().next().unwrap();
            self.addresses[index] = Some(address.parse().unwrap());
        }
        self.running.push(system);
        for service in ["user-service", "post-service"] {
            let healthcheck = format!("{service} healthcheck");
            within_timeout(async { while !self.run(&healthcheck).await.1 {} }).await;
        }
    }

    /// Starts one service.
    async fn service(&mut self, name: &str) {
        let mut command = self.command(name, &[]);
        command.env("LOG_FORMAT", "json");
        let mut service = Process::start(command);
        let address = service.serving().await;
        self.addresses[usize::from(name == "post-service")] = Some(address);
        self.running.push(service);
    }

    /// Runs a command to its end.
    async fn run(&self, text: &str) -> (Vec<String>, bool) {
        let mut real = text
            .replace("cargo run -q -p migrator --", "migrator --project .")
            .replace("target/release/", "");
        for (documented, address) in ADDRESSES.into_iter().zip(self.addresses) {
            if let Some(address) = address {
                real = real.replace(documented, &address.to_string());
            }
        }
        // A stream has no end: reads only its start.
        let stream = real.contains("/WatchPosts") && !real.starts_with("timeout ");
        if stream {
            real.insert_str(0, "timeout 2 ");
        }
        let ended = run(self.command("bash", &["-c", &format!("exec 2>&1; {real}")])).await;
        let printed: Vec<_> = ended
            .stdout
            .iter()
            .map(|line| self.as_documented(line))
            .collect();
        let succeeded = ended.code == Some(0) || (stream && !printed.is_empty());
        (printed, succeeded)
    }

    /// Replaces the actual addresses in a line by those of the documents.
    fn as_documented(&self, line: &str) -> String {
        let mut line = line.trim_end().to_owned();
        for (documented, address) in ADDRESSES.into_iter().zip(self.addresses) {
            if let Some(address) = address {
                line = line.replace(&address.to_string(), documented);
            }
        }
        line
    }

    /// Returns the command of a program in the directory of the session, with the variables that it
    /// needs to find other programs and the services.
    fn command(&self, program: &str, arguments: &[&str]) -> process::Command {
        let mut command = self.dir.command(program, arguments);
        command
            .env_remove("DATABASE_URL")
            .env_remove("LOG_FORMAT")
            .env_remove("MIGRATOR_PROJECT")
            .envs(self.project.map(|project| ("MIGRATOR_PROJECT", project)))
            .env("PATH", &self.path)
            .env("PYTHONPATH", &self.python)
            .env("HOME", self.dir.path());
        let [users, posts] = self.addresses;
        if let Some(users) = users {
            command.env("USER_SERVICE_LISTEN", users.to_string());
            command.env("USER_SERVICE_URL", format!("http://{users}"));
        }
        if let Some(posts) = posts {
            command.env("POST_SERVICE_LISTEN", posts.to_string());
        }
        command
    }
}

/// Copies a file, or a directory with its content.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
