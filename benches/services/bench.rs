//! The parts that all measurements of a run share: the plan, the seeded databases and the request
//! numbers.

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
    system::{ServicePair, Variant},
};

/// A run of the bench.
#[derive(Debug)]
pub struct Bench {
    folder: PathBuf,
    /// The default plan.
    pub plan: Plan,
    /// Number of posts in a database at the start.
    pub posts: u64,
    /// The default variant of the services.
    pub variant: Variant,
    /// The next request number. No number is used twice.
    pub numbers: Rc<Cell<u64>>,
    seeds: RefCell<HashMap<u64, PathBuf>>,
    databases: Cell<u32>,
}

impl Bench {
    /// Creates a run with its databases in `folder`.
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

    /// Creates a database with this number of posts.
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

    /// Returns the directory for other files of a measurement.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the services on a new database of the default size.
    pub async fn pair(&self, variant: &Variant) -> ServicePair {
        ServicePair::services(&self.database(self.posts).await, variant)
    }

    /// Returns a call by its name.
    pub fn call(&self, name: &str) -> Call {
        let mut all = calls::all(self.posts).into_iter();
        all.find(|call| call.name == name).unwrap()
    }

    /// Returns the plan with slices of at most 400 ms, for measurements with many loads.
    pub fn shorter(&self) -> Plan {
        let slice = Slice {
            measured: self.plan.slice.measured.min(Duration::from_millis(400)),
            ..self.plan.slice
        };
        Plan { slice, ..self.plan }
    }

    /// Runs the loads in the rounds of a plan, and returns the measurements by load and round.
    ///
    /// # Panics
    ///
    /// If a call fails or a response is wrong: a failure may be faster than a success.
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
