//! A property test of pagination while users are created, updated and deleted: in every order, a
//! page continues the list, and no unchanged user is missed or returned twice.

use std::{cmp::Ordering, collections::BTreeMap};

use proptest::{
    prelude::*,
    sample::{Index, subsequence},
    test_runner::TestRunner,
};
use proto::user::v1::{
    ListUsersRequest, PurgeUsersRequest, Role, User, purge_users_request::Selection,
    user_mutation::Mutation,
};

use super::{commit, delete, update, user};
use crate::support::System;

/// The default number of cases. `PROPTEST_CASES` overrides it.
const CASES: u32 = 64;

/// A list, and the events between its pages.
#[derive(Clone, Debug)]
struct Case {
    users: Vec<Draft>,
    order: Vec<(&'static str, bool)>,
    role: Role,
    count: bool,
    /// The size of each page, and the events after it. Further pages repeat these sizes without
    /// events, since a list with events might never end.
    pages: Vec<(i32, Vec<Event>)>,
}

/// The prefixes of a nickname and an address, and a role. A unique suffix completes them.
#[derive(Clone, Debug)]
struct Draft(String, String, Role);

#[derive(Clone, Debug)]
enum Event {
    Insert(Draft),
    Delete(Index),
    Change(Index, Draft),
}

/// Letters of both cases and of different lengths in UTF-8.
const NAME: &str = "[a-cA-CéÉωΩд😀]{1,2}";

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![3 => Just(Role::User), 1 => Just(Role::Admin)]
}

fn draft() -> impl Strategy<Value = Draft> {
    (NAME, "[a-cA-CéÉωΩд]{1,2}", role())
        .prop_map(|(nickname, email, role)| Draft(nickname, email, role))
}

fn order() -> impl Strategy<Value = Vec<(&'static str, bool)>> {
    subsequence(vec!["id", "nickname", "email", "create_time"], 0..=4)
        .prop_shuffle()
        .prop_flat_map(|fields| {
            let directions = prop::collection::vec(any::<bool>(), fields.len());
            (Just(fields), directions)
        })
        .prop_map(|(fields, directions)| fields.into_iter().zip(directions).collect())
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        draft().prop_map(Event::Insert),
        any::<Index>().prop_map(Event::Delete),
        (any::<Index>(), draft()).prop_map(|(index, draft)| Event::Change(index, draft)),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let page = (1..8_i32, prop::collection::vec(event(), 0..4));
    (
        prop::collection::vec(draft(), 0..30),
        order(),
        prop_oneof![Just(Role::Unspecified), role()],
        any::<bool>(),
        prop::collection::vec(page, 1..6),
    )
        .prop_map(|(users, order, role, count, pages)| Case {
            users,
            order,
            role,
            count,
            pages,
        })
}

/// The expected state: the users by id, and the next unique suffix.
#[derive(Default)]
struct Model {
    users: BTreeMap<i64, User>,
    next: usize,
}

impl Model {
    fn named(&mut self, Draft(nickname, email, role): Draft) -> User {
        let number = self.next;
        self.next += 1;
        User {
            role: role.into(),
            ..user(
                &format!("{nickname}{number}"),
                &format!("{email}{number}@example.com"),
            )
        }
    }

    /// Returns the mutations that the events mean for the existing users.
    fn mutations(&mut self, events: Vec<Event>) -> Vec<(i64, Mutation)> {
        let mut ids: Vec<_> = self.users.keys().copied().collect();
        let mut mutations = Vec::new();
        for event in events {
            mutations.push(match event {
                Event::Insert(draft) => (0, Mutation::Create(self.named(draft))),
                Event::Delete(_) | Event::Change(..) if ids.is_empty() => continue,
                Event::Delete(index) => {
                    let id = ids.remove(index.index(ids.len()));
                    (id, Mutation::Delete(delete(id)))
                }
                Event::Change(index, draft) => {
                    let id = ids[index.index(ids.len())];
                    let changed = User {
                        id,
                        ..self.named(draft)
                    };
                    (id, Mutation::Update(update(changed, &["*"])))
                }
            });
        }
        mutations
    }

    /// Applies events to the system and to the expected state. Returns the ids of the users that
    /// they touched.
    async fn happen(&mut self, system: &System, events: Vec<Event>) -> Vec<i64> {
        let mutations = self.mutations(events);
        if mutations.is_empty() {
            return Vec::new();
        }
        let (ids, mutations): (Vec<_>, Vec<_>) = mutations.into_iter().unzip();
        let results = system.commit(commit(mutations)).await.unwrap();
        for (id, result) in ids.iter().zip(results) {
            match result {
                Some(user) => self.users.insert(user.id, user),
                None => self.users.remove(id),
            };
        }
        ids
    }

    /// Returns the users of the list, in its order.
    fn listed(&self, case: &Case) -> Vec<&User> {
        let mut listed: Vec<_> = self
            .users
            .values()
            .filter(|user| case.role == Role::Unspecified || user.role() == case.role)
            .collect();
        listed.sort_by(|one, other| compare(&case.order, one, other));
        listed
    }
}

/// Compares users in the order of a list, as the contract defines it.
fn compare(order: &[(&str, bool)], one: &User, other: &User) -> Ordering {
    let by = |&(field, descending): &(&str, bool)| {
        let ascending = match field {
            "nickname" => lower(&one.nickname).cmp(&lower(&other.nickname)),
            "email" => lower(&one.email).cmp(&lower(&other.email)),
            "create_time" => time(one).cmp(&time(other)),
            _ => one.id.cmp(&other.id),
        };
        if descending {
            ascending.reverse()
        } else {
            ascending
        }
    };
    order
        .iter()
        .map(by)
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| one.id.cmp(&other.id))
}

/// Returns the comparison form of a text of the letters above.
fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn time(user: &User) -> (i64, i32) {
    let time = user.create_time.unwrap();
    (time.seconds, time.nanos)
}

async fn check(system: &System, case: Case) -> Result<(), TestCaseError> {
    let purge = PurgeUsersRequest {
        selection: Some(Selection::All(true)),
        force: true,
    };
    system.users().purge_users(purge).await.unwrap();
    let mut model = Model::default();
    let first = case.users.iter().cloned().map(Event::Insert).collect();
    model.happen(system, first).await;

    let mut still: Vec<_> = model.listed(&case).iter().map(|user| user.id).collect();
    let mut seen: Vec<User> = Vec::new();
    let mut page_token = String::new();
    let names = case.order.iter().map(|&(field, descending)| {
        let direction = if descending { " desc" } else { "" };
        format!("{field}{direction}")
    });
    let order_by = names.collect::<Vec<_>>().join(", ");
    let rest = case.pages.iter().map(|(page_size, _)| (page_size, &[][..]));
    let eventful = case
        .pages
        .iter()
        .map(|(size, events)| (size, events.as_slice()));
    for (page_size, events) in eventful.chain(rest.cycle()) {
        let page = system
            .list(ListUsersRequest {
                page_size: *page_size,
                page_token,
                order_by: order_by.clone(),
                role: case.role.into(),
                return_total_size: case.count,
            })
            .await
            .unwrap();

        let listed = model.listed(&case);
        let size = usize::try_from(*page_size).unwrap();
        // The values of the first field are unique. A user that shares its value with the last
        // user seen is that user, updated since, and is not listed again.
        let decisive = &case.order[..case.order.len().min(1)];
        let comes_next = |user: &&&User| {
            let last = seen.last();
            last.is_none_or(|last| compare(decisive, last, user).is_lt())
        };
        let next: Vec<_> = listed.iter().filter(comes_next).copied().collect();
        prop_assert!(page.users.iter().eq(next.iter().take(size).copied()));
        prop_assert_eq!(page.next_page_token.is_empty(), next.len() <= size);
        let total = case.count.then(|| i64::try_from(listed.len()).unwrap());
        prop_assert_eq!(page.total_size, total);

        seen.extend(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        let touched = model.happen(system, events.to_vec()).await;
        still.retain(|id| !touched.contains(id));
    }

    for id in still {
        prop_assert_eq!(seen.iter().filter(|user| user.id == id).count(), 1);
    }
    Ok(())
}

#[test]
fn a_page_continues_the_list_despite_concurrent_changes() {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let system = runtime.block_on(System::start());

    TestRunner::new(config)
        .run(&case(), |case| runtime.block_on(check(&system, case)))
        .unwrap();

    runtime.block_on(system.stop());
}
