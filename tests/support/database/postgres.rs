//! A temporary PostgreSQL database, on a server that the tests start or that `TEST_POSTGRES_URL`
//! names.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use chassis::database::settings::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The URL of the server, in the processes that [`run_tests_again`] starts.
const SERVER: &str = "TEST_DATABASE_SERVER";

/// The roles of the services, and a login that is a member of all of them. A server that is used
/// before has them.
const ROLES: &str = "do $$ begin
        create role user_owner; create role post_owner;
        create role user_service; create role post_service;
        create role microblog login createdb password 'microblog'
            in role user_owner, post_owner, user_service, post_service;
    exception when duplicate_object or unique_violation then null; end $$";

/// Functions and defaults for the scripts of tests, which are written for SQLite.
const DIALECT: &str = "
    create or replace function hex(uuid) returns text language sql
        return upper(encode(uuid_send($1), 'hex'));
    create or replace function hex(bytea) returns text language sql
        return upper(encode($1, 'hex'));
    create or replace function next_id() returns bigint language plpgsql as $$
        declare last bigint;
        begin update post_head set id = id + 1 returning id into last; return last; end $$;
    alter table posts alter column id set default next_id();";

/// Continues the ids and the times after rows that a test has inserted.
const HEADS: &str = "
    update user_head set id = greatest(id, (select max(users.id) from users)),
        time = greatest(time, (select max(create_time) from users));
    update post_head set id = greatest(id, (select max(posts.id) from posts)),
        time = greatest(time, (select max(create_time) from posts));";

/// Returns the URL of the server for the databases of this process, or `None` if they are SQLite
/// databases.
pub fn server() -> Option<String> {
    env::var(SERVER).ok()
}

/// Runs the tests of this executable again, in another process, on PostgreSQL. Prints one line instead
/// if the machine has no server. `TEST_POSTGRES_URL=required` makes that a failure.
pub fn run_tests_again() {
    if server().is_some() {
        return;
    }
    let setting = env::var("TEST_POSTGRES_URL").ok();
    let started = match setting.as_deref() {
        None | Some("required") => Server::start(),
        Some(_) => None,
    };
    let url = match (&started, setting) {
        (Some(server), _) => server.url(),
        (None, Some(url)) if url != "required" => url,
        (None, Some(_)) => panic!("PostgreSQL is not installed"),
        (None, None) => {
            // Not `println`, whose output is shown for failed tests only.
            let skipped =
                "skipped: PostgreSQL is not installed, and TEST_POSTGRES_URL is not set\n";
            io::stderr().write_all(skipped.as_bytes()).unwrap();
            return;
        }
    };
    administrate(&url, ROLES);
    let again = Command::new(env::current_exe().unwrap())
        .env(SERVER, &url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let prefix = prefix(again.id());
    let again = again.wait_with_output().unwrap();
    if started.is_none() {
        drop_databases(&url, &prefix);
    }
    print!("{}", String::from_utf8_lossy(&again.stdout));
    eprint!("{}", String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success(), "tests failed on PostgreSQL");
}

/// Returns the start of the names of the databases of a process.
fn prefix(process: u32) -> String {
    format!("test_{process}_")
}

/// Executes a script on the server, and returns the texts that it selects.
fn administrate(url: &str, script: &str) -> Vec<String> {
    let executed = async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection);
        rows.await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(executed)
}

fn drop_databases(url: &str, prefix: &str) {
    let names =
        format!("select datname::text from pg_database where starts_with(datname, '{prefix}')");
    for name in administrate(url, &names) {
        administrate(url, &format!("drop database {name} with (force)"));
    }
}

/// A server in a temporary directory, which listens on a Unix socket only. It is stopped on drop.
struct Server {
    programs: PathBuf,
    folder: TempDir,
}

impl Server {
    /// Starts a server, if its programs are installed.
    fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = TempDir::new().unwrap();
        // PostgreSQL refuses to run as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Self { programs, folder };
        server.run(
            "initdb",
            &[
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
        );
        let socket = server.folder.path().display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{socket}' -c fsync=off \
             -c max_connections=500 -c autovacuum=off"
        );
        let log = server.folder.path().join("log");
        server.run(
            "pg_ctl",
            &[
                "start",
                "--wait",
                "--log",
                log.to_str().unwrap(),
                "--options",
                &options,
            ],
        );
        Some(server)
    }

    fn url(&self) -> String {
        let socket = self.folder.path().to_str().unwrap();
        format!("postgres://postgres@localhost/postgres?host={socket}")
    }

    /// Runs a program on the directory of the server, as an unprivileged user.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                .arg(self.programs.join(program));
            command
        } else {
            Command::new(self.programs.join(program))
        };
        let data = self.folder.path().join("data");
        let output = command
            .args(arguments)
            .arg("--pgdata")
            .arg(data)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(output.unwrap().success(), "{program} failed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "--mode=immediate"]);
    }
}

/// Returns the directory of the programs of the newest installed server.
fn programs() -> Option<PathBuf> {
    let packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let packages = packages.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let mut packages: Vec<_> = packages.collect();
    packages.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = env::split_paths(&path).collect();
    let mut folders = packages.into_iter().rev().chain(path);
    folders
        .find(|folder: &PathBuf| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}

/// A database with a random name.
#[derive(Debug)]
pub(super) struct PostgresDatabase {
    url: DatabaseUrl,
    name: String,
    server: Box<PgConnectOptions>,
    prepared: OnceCell<()>,
}

impl PostgresDatabase {
    pub(super) fn new(server: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);

        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("{}{number}", prefix(std::process::id()));
        let options: PgConnectOptions = server.parse().unwrap();
        let query = server.split_once('?').map_or("", |(_, query)| query);
        let host = format!("{}:{}", options.get_host(), options.get_port());
        // The system creates the database when it starts.
        let url = format!("postgres://microblog:microblog@{host}/{name}?{query}");
        Self {
            url: url.parse().unwrap(),
            name,
            server: Box::new(options),
            prepared: OnceCell::new(),
        }
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    pub(super) async fn execute(&self, script: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        let heads = sqlx::raw_sql(HEADS).execute(&mut connection).await;
        heads.unwrap();
        connection.close().await.unwrap();
    }

    pub(super) async fn query(&self, query: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows
    }

    pub(super) async fn lock(&self) -> PgConnection {
        let mut connection = self.connection().await;
        let lock = "begin; lock table users, user_head, posts, post_head in exclusive mode";
        sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
        connection
    }

    /// Connects as the administrator of the server.
    async fn connection(&self) -> PgConnection {
        let options = PgConnectOptions::clone(&self.server).database(&self.name);
        let prepare = async {
            let mut connection = PgConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(DIALECT)
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        };
        self.prepared.get_or_init(|| prepare).await;
        PgConnection::connect_with(&options).await.unwrap()
    }
}
