//! The commands in a copy of the services' folders: output, exit codes and files.

mod backups;
mod check;
mod faults;
mod inspect;
mod json;
mod killed;
mod migrate;
mod schemas;
mod terminal;
mod tutorial;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{ProgramOutput, TestDir};

const USERS: &str = "user-service";
const POSTS: &str = "post-service";

/// The last lines of the declarations of `users` and `posts`.
const END_OF_USERS: &str = "    revision integer not null check (revision >= 1)\n) strict;";
const END_OF_POSTS: &str = "references users (id) on delete restrict\n) strict;";

/// A copy of the services' folders, and the path of a database that does not exist yet.
struct Tree {
    dir: TestDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self::empty();
        for service in [USERS, POSTS] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(service);
            let into = tree.folder().join(service);
            for part in ["schema.sql", "released.json"] {
                fs::copy(from.join(part), into.join(part)).unwrap();
            }
            for part in ["migrations", ".sqlx"] {
                for entry in fs::read_dir(from.join(part)).unwrap() {
                    let entry = entry.unwrap();
                    fs::copy(entry.path(), into.join(part).join(entry.file_name())).unwrap();
                }
            }
        }
        tree
    }

    /// Returns two services without declarations and migrations.
    fn empty() -> Self {
        let tree = Self {
            dir: TestDir::new(),
        };
        for service in [USERS, POSTS] {
            let service = tree.folder().join(service);
            for part in ["migrations", ".sqlx"] {
                fs::create_dir_all(service.join(part)).unwrap();
            }
            fs::write(service.join("schema.sql"), "").unwrap();
            let released = r#"{"version": 0, "statements": []}"#;
            fs::write(service.join("released.json"), released).unwrap();
        }
        tree
    }

    /// Returns a tree with a database at the newest version.
    fn upgraded() -> Self {
        let tree = Self::new();
        tree.done(&["upgrade"]);
        tree
    }

    fn folder(&self) -> PathBuf {
        self.dir.0.path().join("tree")
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.dir.program(arguments);
        command.arg("--project").arg(self.folder());
        command
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        self.program(arguments).output().unwrap().into()
    }

    /// Runs a command that must succeed without output on stderr.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        assert_eq!(run.stderr, "", "{arguments:?}");
        run.stdout
    }

    /// Runs a command that must fail with this code and one line.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let run = self.run(arguments);
        run.assert_refused(code);
        run.stderr
    }

    /// Returns the JSON object of a command, and checks its exit code.
    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let run = self.run(&arguments);
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        run.object()
    }

    /// Returns the path of a service's `schema.sql`.
    fn schema(&self, service: &str) -> PathBuf {
        self.folder().join(service).join("schema.sql")
    }

    /// Replaces a text in a declaration.
    #[track_caller]
    fn edit(&self, service: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.schema(service)).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old}");
        fs::write(self.schema(service), text.replace(old, new)).unwrap();
    }

    /// Adds a declaration.
    fn declare(&self, service: &str, declaration: &str) {
        let mut text = fs::read_to_string(self.schema(service)).unwrap();
        text.push_str(declaration);
        fs::write(self.schema(service), text).unwrap();
    }

    /// Declares another column of `users`.
    #[track_caller]
    fn declare_column(&self, column: &str) {
        let (last, end) = END_OF_USERS.split_once('\n').unwrap();
        self.edit(
            USERS,
            END_OF_USERS,
            &format!("{last},\n    {column}\n{end}"),
        );
    }

    /// Adds a handwritten migration.
    fn add(&self, service: &str, name: &str, up: &str, down: &str) {
        let folder = self.folder().join(service).join("migrations");
        fs::write(folder.join(format!("{name}.up.sql")), up).unwrap();
        fs::write(folder.join(format!("{name}.down.sql")), down).unwrap();
    }

    /// Reads a file of a migration.
    fn migration(&self, service: &str, name: &str) -> String {
        let folder = self.folder().join(service).join("migrations");
        fs::read_to_string(folder.join(name)).unwrap()
    }

    /// Returns the file names of a service's migrations.
    fn migrations(&self, service: &str) -> Vec<String> {
        names(&self.folder().join(service).join("migrations"))
    }

    /// Returns the file names in the backup folder.
    fn backups(&self) -> Vec<String> {
        names(&self.dir.0.path().join("backups"))
    }

    /// Returns the path of the newest backup.
    fn newest_backup(&self) -> PathBuf {
        let mut names = self.backups();
        names.retain(|name| Path::new(name).extension().is_some_and(|end| end == "db"));
        let newest = names.pop().unwrap();
        self.dir.0.path().join("backups").join(newest)
    }

    /// Adds `rows` users and as many posts.
    async fn add_rows(&self, rows: u32) {
        self.dir
            .execute(&format!(
                "begin;
                 insert into users (nickname, nickname_key, email, email_key, role,
                                    create_time, update_time, revision)
                 with recursive n (i) as (values (1) union all select i + 1 from n where i < {rows})
                 select 'user' || i, 'user' || i, 'user' || i || '@example.com',
                        'user' || i || '@example.com', 0, i, i, 1
                 from n;
                 insert into posts (body, create_time, update_time, revision, user_id)
                 select 'post of ' || nickname, id, id, 1, id from users;
                 commit;"
            ))
            .await;
    }

    /// Returns the numbers of users and posts.
    async fn counts(&self) -> String {
        let counts = "select (select count(*) from users) || ' ' || (select count(*) from posts)";
        self.dir.query(counts).await.remove(0)
    }
}

impl ProgramOutput {
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
    }

    /// Returns the JSON object on stdout, and asserts that stderr is empty.
    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.stderr, "", "{self:?}");
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        let object: Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(object["exit_code"], self.code, "{object}");
        let told = ["result", "error"].map(|key| object.get(key).is_some());
        assert!(told[0] != told[1], "{object}");
        assert_eq!(object.as_object().unwrap().len(), 3, "{object}");
        object
    }
}

/// Returns the sorted names in a folder; none for a missing folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Replaces times, durations and sizes, which differ in each run.
fn without_times(text: &str, tree: &Tree) -> String {
    let text = text.replace(&tree.dir.0.path().display().to_string(), "");
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            let is_time = digits >= 14 && word.contains('T');
            // Keep numbers of migrations such as 0001, which are equal in each run.
            let number = !word.is_empty() && digits == word.len() && !word.starts_with("00");
            match word {
                _ if is_time && word.contains("microblog-") => "BACKUP",
                _ if is_time => "TIME",
                _ if number && (line.ends_with(" ms") || line.starts_with("Backed up")) => "N",
                _ => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
