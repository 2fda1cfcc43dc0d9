//! A property test of pagination while posts are created, updated and deleted: in every order, a
//! page continues the list, and no unchanged post is missed or returned twice.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};
use proto::post::v1::{
    ListPostsRequest, Post, PostView, PurgePostsRequest, author::State, post_mutation::Mutation,
    purge_posts_request::Selection,
};

use super::{author, commit, delete, draft, list::ORDERS, rewrite, system_fixture::SystemFixture};

/// The default number of cases. `PROPTEST_CASES` overrides it.
const CASES: u32 = 64;

/// A list, and the events between its pages.
#[derive(Clone, Debug)]
struct Case {
    /// The author of each initial post.
    posts: Vec<Writer>,
    order: (&'static str, bool),
    writer: Option<Writer>,
    basic: bool,
    count: bool,
    /// The size of each page, and the events after it. Further pages repeat these sizes without
    /// events, since a list with events might never end.
    pages: Vec<(i32, Vec<Event>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Susan,
    John,
}

#[derive(Clone, Debug)]
enum Event {
    Insert(Writer),
    Delete(Index),
    Change(Index),
}

fn writer() -> impl Strategy<Value = Writer> {
    prop_oneof![3 => Just(Writer::Susan), 1 => Just(Writer::John)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        writer().prop_map(Event::Insert),
        any::<Index>().prop_map(Event::Delete),
        any::<Index>().prop_map(Event::Change),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let page = (1..8_i32, prop::collection::vec(event(), 0..4));
    (
        prop::collection::vec(writer(), 0..30),
        select(ORDERS.as_slice()),
        prop::option::of(writer()),
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(page, 1..6),
    )
        .prop_map(|(posts, order, writer, basic, count, pages)| Case {
            posts,
            order,
            writer,
            basic,
            count,
            pages,
        })
}

/// The expected state: the posts by id, and the number of posts that were ever created.
#[derive(Default)]
struct Model {
    posts: BTreeMap<i64, Post>,
    next: usize,
}

impl SystemFixture {
    fn id(&self, writer: Writer) -> i64 {
        match writer {
            Writer::Susan => self.susan,
            Writer::John => self.john,
        }
    }

    /// Returns a post in the view of the list.
    fn shown(&self, post: &Post, case: &Case) -> Post {
        let nickname = if post.author_id == self.susan {
            "susan"
        } else {
            "john"
        };
        Post {
            author: Some(author(State::Resolved, nickname)).filter(|_| !case.basic),
            ..post.clone()
        }
    }
}

impl Model {
    /// Returns the mutations that the events mean for the existing posts.
    fn mutations(&mut self, fixture: &SystemFixture, events: Vec<Event>) -> Vec<(i64, Mutation)> {
        let mut ids: Vec<_> = self.posts.keys().copied().collect();
        let mut mutations = Vec::new();
        for event in events {
            self.next += 1;
            let body = format!("post {}", self.next);
            mutations.push(match event {
                Event::Insert(writer) => (0, Mutation::Create(draft(fixture.id(writer), &body))),
                Event::Delete(_) | Event::Change(_) if ids.is_empty() => continue,
                Event::Delete(index) => {
                    let id = ids.remove(index.index(ids.len()));
                    (id, Mutation::Delete(delete(id)))
                }
                Event::Change(index) => {
                    let id = ids[index.index(ids.len())];
                    (id, Mutation::Update(rewrite(id, &body)))
                }
            });
        }
        mutations
    }

    /// Applies events to the system and to the expected state. Returns the ids of the posts that
    /// they touched.
    async fn happen(&mut self, fixture: &SystemFixture, events: Vec<Event>) -> Vec<i64> {
        let mutations = self.mutations(fixture, events);
        if mutations.is_empty() {
            return Vec::new();
        }
        let (ids, mutations): (Vec<_>, Vec<_>) = mutations.into_iter().unzip();
        let results = fixture.posts.commit(commit(mutations)).await.unwrap();
        for (id, result) in ids.iter().zip(results) {
            match result {
                Some(post) => self.posts.insert(post.id, post),
                None => self.posts.remove(id),
            };
        }
        ids
    }

    /// Returns the posts of the list, in its order.
    fn listed(&self, fixture: &SystemFixture, case: &Case) -> Vec<Post> {
        let writer = case.writer.map(|writer| fixture.id(writer));
        let wanted = self
            .posts
            .values()
            .filter(|post| writer.is_none_or(|writer| post.author_id == writer));
        let mut listed: Vec<_> = wanted.map(|post| fixture.shown(post, case)).collect();
        if case.order.1 {
            listed.reverse();
        }
        listed
    }
}

async fn check(fixture: &SystemFixture, case: Case) -> Result<(), TestCaseError> {
    let purge = PurgePostsRequest {
        selection: Some(Selection::All(true)),
        force: true,
    };
    fixture.posts.purge(purge).await.unwrap();
    let mut model = Model::default();
    let first = case.posts.iter().copied().map(Event::Insert).collect();
    model.happen(fixture, first).await;

    let (order_by, newest_first) = case.order;
    let listed = model.listed(fixture, &case);
    let mut still: Vec<_> = listed.iter().map(|post| post.id).collect();
    let mut seen: Vec<i64> = Vec::new();
    let mut page_token = String::new();
    let rest = case.pages.iter().map(|(size, _)| (size, &[][..]));
    let eventful = case
        .pages
        .iter()
        .map(|(size, events)| (size, events.as_slice()));
    for (page_size, events) in eventful.chain(rest.cycle()) {
        let view = if case.basic {
            PostView::Basic
        } else {
            PostView::Full
        };
        let page = fixture
            .posts
            .list(ListPostsRequest {
                page_size: *page_size,
                page_token,
                order_by: order_by.into(),
                author_id: case.writer.map(|writer| fixture.id(writer)),
                view: view.into(),
                return_total_size: case.count,
            })
            .await
            .unwrap();

        let listed = model.listed(fixture, &case);
        let size = usize::try_from(*page_size).unwrap();
        let comes_next = |post: &&Post| {
            let last = seen.last();
            last.is_none_or(|&last| (post.id < last) == newest_first && post.id != last)
        };
        let next: Vec<_> = listed.iter().filter(comes_next).collect();
        prop_assert!(page.posts.iter().eq(next.iter().take(size).copied()));
        prop_assert_eq!(page.next_page_token.is_empty(), next.len() <= size);
        let total = case.count.then(|| i64::try_from(listed.len()).unwrap());
        prop_assert_eq!(page.total_size, total);

        seen.extend(page.posts.iter().map(|post| post.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        let touched = model.happen(fixture, events.to_vec()).await;
        still.retain(|id| !touched.contains(id));
    }

    for id in still {
        prop_assert_eq!(seen.iter().filter(|&&seen| seen == id).count(), 1);
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
    let fixture = runtime.block_on(SystemFixture::start());

    TestRunner::new(config)
        .run(&case(), |case| runtime.block_on(check(&fixture, case)))
        .unwrap();

    runtime.block_on(fixture.system.stop());
}
