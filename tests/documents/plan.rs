//! What runs each block of the documents: a block that is not in this list fails a test, so
//! that no example is forgotten in silence.

/// What is done with a block.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// Its commands are run one after the other, and print what stands below each; one with
    /// nothing below it has to succeed.
    Run,
    /// It is what the command in the block before prints, which then goes on.
    Banner,
    /// It is put into a file of the source tree, before this line.
    Put(&'static str, &'static str),
    /// Something else runs it: this file.
    Elsewhere(&'static str),
    /// Nothing runs it, and this is why. The document says so.
    Not(#[expect(dead_code, reason = "it is for who reads the list")] &'static str),
}

/// In what the first block below a heading is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// In what the block before left.
    Same,
    /// In a source tree without a database.
    Empty,
    /// In one with a database of the newest version.
    Migrated,
    /// In one where `cargo run` is running.
    Running,
}

/// The blocks below one heading.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub heading: &'static str,
    pub begin: Begin,
    pub blocks: &'static [How],
}

const fn part(heading: &'static str, begin: Begin, blocks: &'static [How]) -> Part {
    Part {
        heading,
        begin,
        blocks,
    }
}

use self::{Begin::*, How::*};

const README: &[Part] = &[
    part("Run it", Empty, &[Run, Banner, Elsewhere(".ci/run")]),
    part("A first call", Same, &[Run, Run, Run]),
    part("Deploy it", Same, &[Elsewhere("tests/containers/run")]),
    part("Clients", Same, &[Elsewhere("clients/run")]),
    part("From a browser", Same, &[Elsewhere("clients/web/run")]),
    part("The pair, apart", Empty, &[Run]),
    part(
        "Changing the schema",
        Migrated,
        &[
            Put(
                "user-service/schema.sql",
                "    -- Microseconds since the Unix epoch, UTC. It rises",
            ),
            Run,
            Run,
            Run,
        ],
    ),
    part("Working on it", Same, &[Elsewhere(".ci/run")]),
];

/// It takes minutes, and a machine that does nothing else.
const MEASURED: How = Not("it measures, and tells of this machine alone");

const PERFORMANCE: &[Part] = &[
    part("Performance", Same, &[MEASURED]),
    part("The machine", Same, &[MEASURED]),
    part("So that it stays", Same, &[MEASURED]),
];

const TOOLS: &[Part] = &[
    part("By reflection", Running, &[Run, Run]),
    part("By a descriptor set", Same, &[Run, Run]),
    part("By the `.proto` files", Same, &[Run]),
    part("As a browser does", Same, &[Run]),
    part(
        "In a window",
        Same,
        &[Not("grpcui is in no package that could be installed")],
    ),
];

const KUBERNETES: &[Part] = &[
    part("On Kubernetes", Same, &[Not("it takes a cluster")]),
    part(
        "The manifest",
        Same,
        &[Elsewhere("tests/deployment/kubernetes.rs")],
    ),
    part(
        "Backups",
        Same,
        &[Elsewhere("tests/deployment/kubernetes.rs")],
    ),
];

const API: &[Part] = &[
    part("Accounts", Running, &[Run]),
    part("Posts", Same, &[Run]),
    part("The end of them", Same, &[Run]),
];

const ARCHITECTURE: &[Part] = &[part("Layers", Empty, &[Not("it is a drawing")])];

const CLIENTS: &[Part] = &[
    part("The first call", Same, &[Elsewhere("clients/run"); 2]),
    part("In your own project", Same, &[Elsewhere("clients/run"); 5]),
    part("When the contract changes", Same, &[Elsewhere(".ci/run")]),
];

/// Its commands are those of containers, and run in its order by a script of their own.
const OPERATIONS: &[Part] = &[
    containers("First start", &[IN_CONTAINERS; 2]),
    containers("Looking inside", &[IN_CONTAINERS; 3]),
    containers("Backup", &[IN_CONTAINERS; 3]),
    containers("Upgrade", &[IN_CONTAINERS]),
    containers("Rollback", &[IN_CONTAINERS]),
    containers("Restore", &[IN_CONTAINERS]),
    containers("Moving to another machine", &[IN_CONTAINERS; 2]),
    containers("Scaling", &[IN_CONTAINERS; 2]),
    containers("Continuous replication", &[IN_CONTAINERS; 2]),
    containers("Settings, and secrets in files", &[IN_CONTAINERS]),
    containers("The volume belongs to another user", &[IN_CONTAINERS]),
    containers("The disk is read-only", &[IN_CONTAINERS]),
    containers("The disk is full", &[IN_CONTAINERS]),
    containers(
        "The database is not there, or not migrated",
        &[IN_CONTAINERS],
    ),
    containers("A setting that cannot work", &[IN_CONTAINERS]),
    containers("Taking it down", &[IN_CONTAINERS]),
    containers("Figures", &[IN_CONTAINERS; 2]),
];

const IN_CONTAINERS: How = Elsewhere("tests/containers/run");

const fn containers(heading: &'static str, blocks: &'static [How]) -> Part {
    part(heading, Same, blocks)
}

const ERRORS: &[Part] = &[part("What a failure looks like", Running, &[Run])];

/// The parts of a document that have blocks, in their order.
pub fn of(document: &str) -> Vec<Part> {
    let parts = match document {
        "README.md" => README,
        "docs/api.md" => API,
        "docs/architecture.md" => ARCHITECTURE,
        "docs/clients.md" => CLIENTS,
        "docs/errors.md" => ERRORS,
        "docs/kubernetes.md" => KUBERNETES,
        "docs/operations.md" => OPERATIONS,
        "docs/performance.md" => PERFORMANCE,
        "docs/tools.md" => TOOLS,
        _ => &[],
    };
    parts.to_vec()
}
