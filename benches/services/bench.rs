//! What all measurements of a run share: how long they are, the databases they begin with,
//! and the numbers of the requests.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use crate::{
    calls::{self, Call},
    load::{Load, Measured, Slice},
    rounds::{self, Plan},
    seed,
    system::{Pair, Variant},
};

/// A run of the bench.
#[derive(Debug)]
pub struct Bench {
    folder: PathBuf,
    /// The usual plan.
    pub plan: Plan,
    /// How many posts there are at first.
    pub posts: u64,
    /// How the services are started, if no measurement says otherwise.
    pub variant: Variant,
    /// No request has a number twice.
    pub numbers: Rc<Cell<u64>>,
    seeds: RefCell<HashMap<u64, PathBuf>>,
    databases: Cell<u32>,
}

impl Bench {
    /// A run whose databases stand in `folder`.
    pub fn new(folder: &Path, plan: Plan, posts: u64, variant: Variant) -> Self {
        Self {
            folder: folder.to_owned(),
            plan,
            posts,
            variant,
            numbers: Rc::default(),
            seeds: RefCell::default(),
            databases: Cell::default(),
        }
    }

    /// A fresh database with so many posts.
    pub async fn database(&self, posts: u64) -> PathBuf {
        let known = self.seeds.borrow().get(&posts).cloned();
        let seed = if let Some(seed) = known {
            seed
        } else {
            let seed = self.folder.join(format!("seed-{posts}.db"));
            seed::fill(&seed, posts).await;
            self.seeds.borrow_mut().insert(posts, seed.clone());
            seed
        };
        self.databases.set(self.databases.get() + 1);
        let folder = self.folder.join(self.databases.get().to_string());
        fs::create_dir(&folder).unwrap();
        let database = folder.join("microblog.db");
        fs::copy(seed, &database).unwrap();
        database
    }

    /// A folder for what else a measurement needs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The services, on a fresh database of the usual size.
    pub async fn pair(&self, variant: &Variant) -> Pair {
        Pair::services(&self.database(self.posts).await, variant)
    }

    /// A call by its name.
    pub fn call(&self, name: &str) -> Call {
        let mut all = calls::all(self.posts).into_iter();
        all.find(|call| call.name == name).unwrap()
    }

    /// The plan with rounds that are shorter, for measurements that have many.
    pub fn shorter(&self) -> Plan {
        let slice = Slice {
            measured: self.plan.slice.measured.min(Duration::from_millis(400)),
            ..self.plan.slice
        };
        Plan { slice, ..self.plan }
    }

    /// What the loads measured in the rounds of a plan.
    ///
    /// # Panics
    ///
    /// If a call was refused, or an answer is wrong: a failure may be faster than what was asked.
    pub async fn interleave(&self, loads: &[Load], plan: Plan) -> Vec<Vec<Measured>> {
        let measured = rounds::interleave(loads, plan.slice, plan.rounds, &self.numbers).await;
        for (load, rounds) in loads.iter().zip(&measured) {
            let failed: u64 = rounds.iter().map(Measured::failed).sum();
            let wrong = rounds.iter().find_map(|one| one.wrong.1.as_ref());
            assert_eq!(failed, 0, "calls of {} failed: {wrong:?}", load.path);
        }
        measured
    }
}
