//! SIGKILL at any point of an upgrade that rebuilds a large table: the database has the state before
//! or after the upgrade, and the next run completes it.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs,
    hash::BuildHasher,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{POSTS, Tree};
use crate::{ProgramOutput, execute, query_texts};

/// The number of posts in the rebuilt table.
const ROWS: u32 = 200_000;
/// The number of killed upgrades.
const ROUNDS: u32 = 100;
/// The number of concurrent rounds.
const WORKERS: u32 = 2;

/// The state that a killed upgrade must leave as before or as after.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// The whole schema.
    schema: String,
    /// The rows of the tables, and the AUTOINCREMENT sequences.
    content: Vec<String>,
}

const CONTENT: &str = "
    select 'users ' || count(*) || ' ' || sum(id) from users
    union all
    select 'posts ' || count(*) || ' ' || sum(id) || ' ' || sum(length(body)) from posts
    union all
    select name || ' ' || seq from sqlite_sequence where name not like '\\_%' escape '\\'
    union all
    select 'version ' || max(version) from _sqlx_migrations
    order by 1";

/// The phase in which an upgrade was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KillPhase {
    /// Before the backup.
    Before,
    /// Between the backup and the commit.
    During,
    /// After the commit.
    After,
}

/// The initial state of all rounds, and the expected states.
struct Beginning {
    tree: Tree,
    before: State,
    after: State,
}

impl Tree {
    async fn state(&self) -> State {
        let mut connection = self.dir.connect().await;
        assert_eq!(
            query_texts(&mut connection, "pragma integrity_check").await,
            ["ok"]
        );
        let orphans = "select \"table\" from pragma_foreign_key_check";
        assert_eq!(query_texts(&mut connection, orphans).await, [""; 0]);
        let content = query_texts(&mut connection, CONTENT).await;
        sqlx::Connection::close(connection).await.unwrap();
        State {
            schema: self.done(&["dump"]),
            content,
        }
    }

    /// Returns a copy of the closed database and the migrations.
    fn copy(&self) -> Self {
        let copy = Self::new();
        fs::copy(self.dir.path(), copy.dir.path()).unwrap();
        for service in [super::USERS, POSTS] {
            for name in self.migrations(service) {
                let file = Path::new(service).join("migrations").join(name);
                fs::copy(self.folder().join(&file), copy.folder().join(&file)).unwrap();
            }
        }
        copy
    }

    fn marks(&self) -> (bool, bool) {
        let names = self.backups();
        let has = |part: &str| names.iter().any(|name| name.contains(part));
        (!names.is_empty(), has("partial"))
    }
}

impl Beginning {
    /// Creates 200,000 posts, of which the newest are deleted, and two pending migrations: one adds
    /// a column to users, the other one rebuilds posts.
    async fn new() -> Self {
        let tree = Tree::upgraded();
        let mut connection = tree.dir.connect().await;
        tree.add_rows(1_000).await;
        execute(
            &mut connection,
            &format!(
                "begin;
                 insert into posts (body, create_time, update_time, revision, user_id)
                 with recursive n (i) as (values (1) union all select i + 1 from n where i < {ROWS})
                 select 'post ' || i, i, i, 1, 1 + i % 1000 from n;
                 delete from posts where id > {ROWS};
                 commit;"
            ),
        )
        .await;
        sqlx::Connection::close(connection).await.unwrap();
        tree.declare_column("bio text not null default ''");
        tree.edit(POSTS, "between 1 and 140", "between 1 and 280");
        tree.done(&["migrate", "longer"]);
        let before = tree.state().await;

        let whole = tree.copy();
        assert_eq!(whole.run(&["upgrade"]).code, 0);
        let after = whole.state().await;

        assert_ne!(before, after);
        assert_eq!(before.content[1], after.content[1]);
        Self {
            tree,
            before,
            after,
        }
    }

    /// Kills an upgrade, checks the state, and runs it again. Returns the phase, and the duration of
    /// the second run if it was a complete upgrade.
    async fn round(&self, delay: Duration) -> (KillPhase, Option<Duration>) {
        let tree = self.tree.copy();

        let mut child = tree.program(&["upgrade"]).spawn().unwrap();
        std::thread::sleep(delay);
        // The process may have ended.
        let _ = child.kill();
        let run = child.wait_with_output().unwrap();

        let (began, _) = tree.marks();
        let found = tree.state().await;
        let when = match () {
            () if found == self.after => KillPhase::After,
            () if began => KillPhase::During,
            () => KillPhase::Before,
        };
        assert!(
            found == self.after || found == self.before,
            "after {delay:?}: {found:?}"
        );
        assert!(!run.status.success() || when == KillPhase::After, "{run:?}");

        let repeated = Instant::now();
        let again: ProgramOutput = tree.program(&["upgrade"]).output().unwrap().into();
        let whole = (when != KillPhase::After).then(|| repeated.elapsed());
        assert_eq!(again.code, 0, "{again:?}");
        assert_eq!(again.last_line(), "Current database version: 4");
        // A completed upgrade was checked above.
        let done = when == KillPhase::After || tree.state().await == self.after;
        assert!(done, "after {delay:?}, again");
        let (_, partial) = tree.marks();
        assert!(!partial, "{:?}", tree.backups());
        let listing = tree.json(&["backups"], 0);
        let backups = listing["result"]["backups"].as_array().unwrap();
        assert!(when != KillPhase::During || !backups.is_empty());
        for backup in backups {
            assert_eq!(backup["state"], "verified", "{backup}");
            assert_eq!(backup["version"], 2, "{backup}");
        }
        (when, whole)
    }
}

/// Measures a complete upgrade.
fn measure(tree: &Tree) -> Duration {
    let copy = tree.copy();
    let begun = Instant::now();
    assert_eq!(copy.run(&["upgrade"]).code, 0);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_upgrade_is_atomic_and_can_be_repeated() {
    let begun = Instant::now();
    let beginning = Arc::new(Beginning::new().await);
    let prepared = begun.elapsed();

    let workers = (0..WORKERS).map(|worker| {
        let beginning = beginning.clone();
        tokio::spawn(async move {
            let mut whole = measure(&beginning.tree);
            let mut ends = BTreeMap::<KillPhase, u32>::new();
            for round in 0..ROUNDS / WORKERS {
                // A random time in this round's share of the whole duration, and slightly beyond
                // the end, since the duration varies with the load of the machine.
                let random = u32::try_from(RandomState::new().hash_one(worker) % 1_000).unwrap();
                let part = whole * 11 / 10 / (ROUNDS / WORKERS);
                let delay = part * round + part * random / 1_000;
                let (when, took) = beginning.round(delay).await;
                *ends.entry(when).or_default() += 1;
                whole = took.unwrap_or(whole);
            }
            (whole, ends)
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut ends = BTreeMap::<KillPhase, u32>::new();
    for worker in workers {
        let (whole, found) = worker.await.unwrap();
        println!("a whole upgrade takes {whole:?}; killed: {found:?}");
        for (when, rounds) in found {
            *ends.entry(when).or_default() += rounds;
        }
    }

    println!(
        "killed: {ends:?}; prepared in {prepared:?}, all in {:?}",
        begun.elapsed()
    );
    assert_eq!(ends.values().sum::<u32>(), ROUNDS);
    assert!(ends[&KillPhase::During] > ROUNDS / 4, "{ends:?}");
}
