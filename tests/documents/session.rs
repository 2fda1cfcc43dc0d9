//! A session at a terminal: the examples of one document, one after the other, in a copy of
//! the source tree, with the real programs.
//!
//! What is typed is changed in four ways: the services listen on other ports, programs are
//! those that are built already, a build does nothing, and the migrator is told the tree
//! that `cargo run` would compile into it.

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
};

use crate::{
    blocks::{Block, blocks},
    plan::{self, Begin, How},
    process::{Process, TestDir, run},
    same::without_chance,
    tools,
    tree::{read, root},
    writing,
};

/// What of the source tree an example can see.
const TREE: [&str; 5] = [
    "Cargo.toml",
    "proto",
    "user-service",
    "post-service",
    "migrator",
];

/// Where the documents say that the services are.
const ADDRESSES: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50052"];

/// Runs the examples of a document, and compares what they print with what stands there.
pub async fn check(document: &str) {
    let tools = match tools::folders() {
        Ok(tools) => tools,
        Err(why) => {
            // Not by `eprintln!`, which a test that succeeds says in silence.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: the examples of {document} are not run, since {why}"
            );
            return;
        }
    };
    let text = read(document);
    let blocks = blocks(&text);
    let mut blocks = blocks.iter();
    let mut session = Session::begin(Begin::Empty, &tools).await;
    let mut differences = String::new();
    let mut written: Vec<((usize, usize), Vec<String>)> = Vec::new();
    for part in plan::of(document) {
        if part.begin != Begin::Same {
            session = Session::begin(part.begin, &tools).await;
        }
        for how in part.blocks {
            let block = blocks.next().unwrap();
            for outcome in session.block(block, *how).await {
                if outcome.differs() {
                    let _ = writeln!(differences, "{document}:{}{outcome}", outcome.place.0);
                    written.push((outcome.place, outcome.printed));
                }
            }
        }
    }

    if writing() {
        write(document, &text, written);
        return;
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Puts what was printed where something else stands.
fn write(document: &str, text: &str, written: Vec<((usize, usize), Vec<String>)>) {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for ((begin, end), printed) in written.into_iter().rev() {
        lines.splice(begin..end, printed);
    }
    fs::write(root().join(document), lines.join("\n") + "\n").unwrap();
}

/// What came of one command.
struct Outcome {
    /// What was typed.
    text: String,
    /// The lines of the document that its output takes.
    place: (usize, usize),
    /// What stands there.
    expected: Vec<String>,
    /// What came.
    printed: Vec<String>,
    succeeded: bool,
}

impl Outcome {
    fn differs(&self) -> bool {
        if self.expected.is_empty() {
            return !self.succeeded;
        }
        let same = |lines: &[String]| without_chance(&lines.join("\n"));
        same(&self.expected) != same(&self.printed)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (expected, printed) = (self.expected.join("\n"), self.printed.join("\n"));
        write!(
            f,
            "\n$ {}\nis to print\n{expected}\nand prints\n{printed}\n",
            self.text
        )
    }
}

/// A folder, and what runs in it.
struct Session {
    dir: TestDir,
    /// Where programs are found, and what Python imports.
    path: OsString,
    python: OsString,
    /// Where the services are, if they are.
    addresses: [Option<SocketAddr>; 2],
    running: Vec<Process>,
}

impl Session {
    async fn begin(begin: Begin, tools: &[PathBuf]) -> Self {
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
            running: Vec::new(),
        };
        for name in TREE {
            copy(&root().join(name), &session.dir.path().join(name));
        }
        match begin {
            Begin::Empty | Begin::Same => {}
            Begin::Migrated => assert!(session.run("migrator upgrade").await.1),
            Begin::Running => {
                session.system().await;
            }
        }
        session
    }

    /// Does what is planned for a block.
    async fn block(&mut self, block: &Block, how: How) -> Vec<Outcome> {
        match how {
            How::Elsewhere(_) | How::Not(_) => Vec::new(),
            How::Put(file, before) => {
                let file = self.dir.path().join(file);
                let text = fs::read_to_string(&file).unwrap();
                assert!(text.contains(before), "no `{before}` in {}", file.display());
                let put = block.lines.join("\n") + "\n" + before;
                fs::write(file, text.replacen(before, &put, 1)).unwrap();
                Vec::new()
            }
            How::Banner => {
                let printed = self.running.last().unwrap().stdout_lines();
                vec![Outcome {
                    text: "cargo run".to_owned(),
                    place: (block.line, block.line + block.lines.len()),
                    expected: block.lines.clone(),
                    printed: printed
                        .iter()
                        .map(|line| self.as_documented(line))
                        .collect(),
                    succeeded: true,
                }]
            }
            How::Run => {
                let mut outcomes = Vec::new();
                for command in block.commands() {
                    let (printed, succeeded) = self.typed(&command.text).await;
                    outcomes.push(Outcome {
                        text: command.text,
                        place: command.place,
                        expected: command.output,
                        printed,
                        succeeded,
                    });
                }
                outcomes
            }
        }
    }

    /// What a command prints, and whether it succeeds. What is to run on goes on.
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
        let said = system.stdout_lines().join("\n");
        for (index, name) in ["UserService", "PostService"].into_iter().enumerate() {
            let (_, rest) = said.split_once(&format!("  {name}  ")).unwrap();
            let address = rest.lines().next().unwrap();
            self.addresses[index] = Some(address.parse().unwrap());
        }
        self.running.push(system);
        for service in ["user-service", "post-service"] {
            while !self.run(&format!("{service} healthcheck")).await.1 {}
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
        // A stream has no end: a look at its beginning.
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

    /// A line with the addresses that the documents have.
    fn as_documented(&self, line: &str) -> String {
        let mut line = line.trim_end().to_owned();
        for (documented, address) in ADDRESSES.into_iter().zip(self.addresses) {
            if let Some(address) = address {
                line = line.replace(&address.to_string(), documented);
            }
        }
        line
    }

    /// A program in the folder of the session, that finds the others and the services.
    fn command(&self, program: &str, arguments: &[&str]) -> process::Command {
        let mut command = self.dir.command(program, arguments);
        command
            .env_remove("DATABASE_URL")
            .env_remove("LOG_FORMAT")
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

/// Copies a file, or a folder with all that is in it.
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
