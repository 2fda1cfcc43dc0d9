//! Lists for each code block of the documents the test that runs it. A block that is missing in
//! this list fails a test.

/// The execution of a block.
#[derive(Clone, Copy, Debug)]
pub enum Execution {
    /// Run its commands in order and compare their output. A command without output must succeed.
    Run,
    /// Compare it with the output of the previous command, which keeps running.
    Banner,
    /// Insert it into a file of the source tree before this line.
    Put(&'static str, &'static str),
    /// Write it to this file.
    Write(&'static str),
    /// This file runs it.
    Elsewhere(&'static str),
    /// Not run, for this reason. The document says so.
    Not(#[expect(dead_code, reason = "documents the list")] &'static str),
}

/// The state in which the first block below a heading is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The state after the previous block.
    Same,
    /// A source tree without a database.
    Empty,
    /// A source tree with a database of the newest schema version.
    Migrated,
    /// A source tree in which `cargo run` is running.
    Running,
    /// A directory without the source tree, in which the migrator uses the project `notes`.
    Project,
}

/// The blocks below one heading.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub heading: &'static str,
    pub setup: Setup,
    pub blocks: &'static [Execution],
}

const fn part(heading: &'static str, setup: Setup, blocks: &'static [Execution]) -> Part {
    Part {
        heading,
        setup,
        blocks,
    }
}

use self::{Execution::*, Setup::*};

const README: &[Part] = &[
    part("Microblog", Empty, &[DIAGRAM]),
    part("Quick start", Same, &[Run, Banner, Elsewhere(".ci/run")]),
    part("First call", Same, &[Run, Run, Run]),
    part("Deploy", Empty, &[Elsewhere("tests/containers/run"), Run]),
];

const ANY_PROJECT: &[Part] = &[
    part(
        "Installation",
        Empty,
        &[Not("builds programs and images in the release profile")],
    ),
    part(
        "First migration",
        Project,
        &[Write("notes/schema.sql"), Run],
    ),
    part("Next migration", Same, &[Write("notes/schema.sql"), Run]),
    part("Down migration, backup and restore", Same, &[Run]),
    part("Existing database", Same, &[Run]),
    part(
        "Settings of a project",
        Same,
        &[Not("names directories that the examples do not have")],
    ),
    part("In a container", Same, &[Not("needs an image")]),
];

const DIAGRAM: Execution = Not("a diagram");

const CONTRIBUTING: &[Part] = &[part("Build and test", Empty, &[Elsewhere(".ci/run")])];

const MIGRATIONS: &[Part] = &[part(
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
)];

/// Benchmarks take minutes and need an otherwise idle machine.
const MEASURED: Execution = Not("benchmark figures depend on the machine");

const PERFORMANCE: &[Part] = &[
    part("Performance", Same, &[MEASURED]),
    part("Machine", Same, &[MEASURED]),
    part("Regression checks", Same, &[MEASURED]),
    part("Migrator on a large schema", Same, &[MEASURED]),
];

const TOOLS: &[Part] = &[
    part("With reflection", Running, &[Run, Run]),
    part("With a descriptor set", Same, &[Run, Run]),
    part("With the `.proto` files", Same, &[Run]),
    part("With gRPC-Web", Same, &[Run]),
    part(
        "With a graphical client",
        Same,
        &[Not("no installable package contains grpcui")],
    ),
];

const KUBERNETES: &[Part] = &[
    part("Kubernetes", Same, &[Not("needs a cluster")]),
    part(
        "Manifest",
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

const ARCHITECTURE: &[Part] = &[part("Layers", Empty, &[DIAGRAM])];

const CLIENTS: &[Part] = &[
    part("First call", Same, &[Elsewhere("clients/run"); 2]),
    part("In your own project", Same, &[Elsewhere("clients/run"); 5]),
    part("Contract changes", Same, &[Elsewhere(".ci/run")]),
];

/// A script runs these commands in order with containers.
const OPERATIONS: &[Part] = &[
    containers("First start", &[IN_CONTAINERS; 2]),
    containers("Logs and inspection", &[IN_CONTAINERS; 3]),
    containers("Backup", &[IN_CONTAINERS; 3]),
    containers("Upgrade", &[IN_CONTAINERS]),
    containers("Rollback", &[IN_CONTAINERS]),
    containers("Restore", &[IN_CONTAINERS]),
    containers("Moving to another machine", &[IN_CONTAINERS; 2]),
    containers("Scaling", &[IN_CONTAINERS; 2]),
    containers("Continuous replication", &[IN_CONTAINERS; 2]),
    containers("Settings and secrets", &[IN_CONTAINERS]),
    containers("Wrong owner of the volume", &[IN_CONTAINERS]),
    containers("Read-only disk", &[IN_CONTAINERS]),
    containers("Full disk", &[IN_CONTAINERS]),
    containers("The database is missing or not migrated", &[IN_CONTAINERS]),
    containers("Invalid setting", &[IN_CONTAINERS]),
    containers("Removing it", &[IN_CONTAINERS]),
    containers("Measurements", &[IN_CONTAINERS; 2]),
];

const IN_CONTAINERS: Execution = Elsewhere("tests/containers/run");

const fn containers(heading: &'static str, blocks: &'static [Execution]) -> Part {
    part(heading, Same, blocks)
}

const ERRORS: &[Part] = &[part("Example", Running, &[Run])];

/// Returns the parts of a document that contain blocks, in order.
pub fn of(document: &str) -> Vec<Part> {
    let parts = match document {
        "README.md" => README,
        "CONTRIBUTING.md" => CONTRIBUTING,
        "docs/any-project.md" => ANY_PROJECT,
        "docs/api.md" => API,
        "docs/architecture.md" => ARCHITECTURE,
        "docs/clients.md" => CLIENTS,
        "docs/errors.md" => ERRORS,
        "docs/kubernetes.md" => KUBERNETES,
        "docs/migrations.md" => MIGRATIONS,
        "docs/operations.md" => OPERATIONS,
        "docs/performance.md" => PERFORMANCE,
        "docs/tools.md" => TOOLS,
        _ => &[],
    };
    parts.to_vec()
}
