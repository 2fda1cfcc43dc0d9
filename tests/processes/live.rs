//! Migrations and restores while both services are used: nobody notices but by waiting.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use proto::{
    post::v1::{ListPostsRequest, post_service_client::PostServiceClient},
    user::v1::{ListUsersRequest, user_service_client::UserServiceClient},
};
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

use crate::{
    assert_sound, assert_stored, create_post, create_user, post_service, posts_at,
    process::{Place, run, soon},
    program, user_service, users_at,
};

/// How many rows the tables have that are made anew.
const ROWS: u32 = 20_000;

/// How long a write may wait for another process, as the services have it by default.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// What a caller does all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    CreateUsers,
    CreatePosts,
    ListUsers,
    ListPosts,
}

/// Who makes one call after the other.
struct Caller {
    habit: Habit,
    /// What the texts begin with that it writes.
    prefix: String,
    users: UserServiceClient<Channel>,
    posts: PostServiceClient<Channel>,
}

/// What callers saw.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    longest: Duration,
    users: Vec<(i64, String)>,
    posts: Vec<(i64, String)>,
}

impl Caller {
    /// Goes on until `end`; the first failure ends it at once.
    async fn run(mut self, end: Arc<AtomicBool>) -> Result<Seen, Status> {
        let mut seen = Seen::default();
        while !end.load(Ordering::Relaxed) {
            let began = Instant::now();
            self.call(&mut seen).await?;
            seen.longest = seen.longest.max(began.elapsed());
            seen.calls += 1;
        }
        Ok(seen)
    }

    async fn call(&mut self, seen: &mut Seen) -> Result<(), Status> {
        let text = format!("{}-{}", self.prefix, seen.calls);
        match self.habit {
            Habit::CreateUsers => {
                let user = create_user(&mut self.users, &text).await?;
                seen.users.push((user.id, user.nickname));
            }
            Habit::CreatePosts => {
                let post = create_post(&mut self.posts, 1, &text).await?;
                seen.posts.push((post.id, post.body));
            }
            Habit::ListUsers => {
                let page = self.users.list_users(ListUsersRequest::default()).await?;
                assert!(!page.into_inner().users.is_empty());
            }
            Habit::ListPosts => {
                let page = self.posts.list_posts(ListPostsRequest::default()).await?;
                assert!(!page.into_inner().posts.is_empty());
            }
        }
        Ok(())
    }
}

/// Does `work` while callers of each habit go on, none of whom may see a failure.
async fn beside<T>(
    (users, posts): (SocketAddr, SocketAddr),
    name: &str,
    work: impl Future<Output = T>,
) -> (T, Seen) {
    let end = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for habit in [
        Habit::CreateUsers,
        Habit::CreatePosts,
        Habit::ListUsers,
        Habit::ListPosts,
    ] {
        for n in 0..2 {
            let caller = Caller {
                habit,
                prefix: format!("{name}-{n}"),
                users: users_at(users),
                posts: posts_at(posts),
            };
            callers.spawn(caller.run(Arc::clone(&end)));
        }
    }
    let done = work.await;
    end.store(true, Ordering::Relaxed);
    let mut all = Seen::default();
    for seen in soon(callers.join_all()).await {
        let seen = seen.unwrap_or_else(|status| panic!("{name}: a call failed: {status:?}"));
        all.calls += seen.calls;
        all.longest = all.longest.max(seen.longest);
        all.users.extend(seen.users);
        all.posts.extend(seen.posts);
    }
    (done, all)
}

/// A copy of the services' folders, in which both tables are declared otherwise: users
/// and posts have to be made anew, and posts get a column.
fn changed_project(folder: &Path) {
    for (service, old, new) in [
        (
            "user-service",
            "check (role in (0, 1))",
            "check (role in (0, 1, 2))",
        ),
        (
            "post-service",
            "check (length(body) between 1 and 140),",
            "check (length(body) between 1 and 280),\n    place text not null default '',",
        ),
    ] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(service);
        let into = folder.join(service);
        for part in ["migrations", ".sqlx"] {
            fs::create_dir_all(into.join(part)).unwrap();
            for entry in fs::read_dir(from.join(part)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), into.join(part).join(entry.file_name())).unwrap();
            }
        }
        fs::copy(from.join("released.json"), into.join("released.json")).unwrap();
        let schema = fs::read_to_string(from.join("schema.sql")).unwrap();
        assert!(schema.contains(old), "{service} declares something else");
        fs::write(into.join("schema.sql"), schema.replace(old, new)).unwrap();
    }
}

/// Runs the migrator on the changed project, which is in the folder of the database.
async fn migrate(place: &Place, arguments: &[&str]) {
    let mut command = place.command(program("migrator"), arguments);
    command.args(["--project", "."]);
    let run = soon(run(command)).await;
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
}

async fn fill(place: &Place) {
    let script = format!(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < {ROWS})
         insert into users (nickname, nickname_key, email, email_key, role, create_time, update_time, revision)
         select 'old' || i, 'old' || i, i || '@example.org', i || '@example.org', 0, i, i, 1
         from n;
         with recursive n (i) as (select 1 union all select i + 1 from n where i < {ROWS})
         insert into posts (body, create_time, update_time, revision, user_id)
         select 'old ' || i, i, i, 1, i
         from n;"
    );
    place.execute(&script).await;
}

#[tokio::test]
async fn no_call_fails_through_an_upgrade_a_downgrade_and_a_restore() {
    let place = Place::migrated().await;
    fill(&place).await;
    changed_project(&place.folder());
    migrate(&place, &["migrate", "longer"]).await;
    migrate(&place, &["backup", "before.db"]).await;
    let mut users = user_service(&place);
    let users_address = users.serving().await;
    let mut posts = post_service(&place, users_address, &[]);
    let both = (users_address, posts.serving().await);

    let mut kept = Seen::default();
    for (name, arguments) in [
        ("upgrade", &["upgrade"][..]),
        (
            "downgrade",
            &["downgrade", "--to", "2", "--allow-data-loss"],
        ),
        ("again", &["upgrade", "--no-backup"]),
    ] {
        let ((), seen) = beside(both, name, migrate(&place, arguments)).await;
        println!(
            "{name}: {} calls, the longest {:?}",
            seen.calls, seen.longest
        );
        assert!(seen.longest < WRITE_WAIT, "{name}: {seen:?}");
        kept.users.extend(seen.users);
        kept.posts.extend(seen.posts);
    }
    assert!(kept.users.len() > 10 && kept.posts.len() > 10, "{kept:?}");
    assert_stored(&place, "users", "nickname", &kept.users).await;
    assert_stored(&place, "posts", "body", &kept.posts).await;

    let restore = migrate(&place, &["restore", "before.db"]);
    let ((), seen) = beside(both, "restore", restore).await;
    println!(
        "restore: {} calls, the longest {:?}",
        seen.calls, seen.longest
    );
    assert!(seen.longest < WRITE_WAIT, "{seen:?}");
    let ((), after) = beside(both, "after", migrate(&place, &["diff"])).await;

    // What came after the backup is gone, and what came after the restore is there.
    let old = place
        .query("select count(*) || '' from users where nickname like 'upgrade-%'")
        .await;
    assert_eq!(old, ["0"]);
    assert_stored(&place, "users", "nickname", &after.users).await;
    assert_stored(&place, "posts", "body", &after.posts).await;
    assert_sound(&place).await;
}
