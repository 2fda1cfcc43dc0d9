//! Which module knows what.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::{
    assert_none,
    rust::{has_word, pieces},
    tree::{File, files, sources},
};

/// Where SQL may stand.
const SQL: [&str; 4] = [
    "user-service/src/store/sqlite",
    "post-service/src/store/sqlite",
    "chassis/database/src",
    "migrator/src",
];

/// Where SQL may stand of what is measured: what most people would write, and what is in the
/// database before.
const SQL_OF_BENCHES: [&str; 2] = ["benches/services/naive", "benches/services/seed"];

/// Where gRPC may be known. The crate `proto` is the wire itself.
const GRPC: [&str; 11] = [
    "chassis/serving/src",
    "chassis/src",
    "proto/src",
    "user-service/src/rpc",
    "user-service/src/error",
    "user-service/src/lib",
    "post-service/src/rpc",
    "post-service/src/error",
    "post-service/src/lib",
    "post-service/src/authors",
    "tests",
];

/// The files outside `places` whose code has one of `words`.
fn strangers(sources: &[File], places: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources.iter().filter(|file| !file.is_in(places)) {
        for word in pieces(&file.text).words {
            if words.contains(&word.as_str()) {
                found.push(format!("{}: {word}", file.path));
            }
        }
    }
    found.dedup();
    found
}

/// The names of the contract: packages, services and messages.
fn names_of_the_contract() -> BTreeSet<String> {
    fn add(names: &mut BTreeSet<String>, message: &DescriptorProto) {
        names.insert(message.name().to_owned());
        for nested in &message.nested_type {
            add(names, nested);
        }
    }
    let mut names = BTreeSet::new();
    for set in [
        proto::user::v1::FILE_DESCRIPTOR_SET,
        proto::post::v1::FILE_DESCRIPTOR_SET,
    ] {
        let set = FileDescriptorSet::decode(set).unwrap();
        let ours = |package: &str| package.starts_with("microblog.");
        for file in set.file.iter().filter(|file| ours(file.package())) {
            names.insert(file.package().to_owned());
            names.extend(file.service.iter().map(|s| s.name().to_owned()));
            for message in &file.message_type {
                add(&mut names, message);
            }
        }
    }
    names
}

/// The tables that the services declare.
fn tables() -> BTreeSet<String> {
    let schemas = files(&["user-service", "post-service"], "schema.sql");
    let declared = schemas.iter().flat_map(|file| {
        let lines = file.text.lines();
        lines.filter_map(|line| line.strip_prefix("create table "))
    });
    declared
        .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_chassis_names_no_message_no_table_and_no_service() {
    let mut names = names_of_the_contract();
    names.extend(tables());
    names.extend(
        [
            "user-service",
            "user_service",
            "post-service",
            "post_service",
        ]
        .map(str::to_owned),
    );
    // The tests of this test: what it must know of.
    for known in [
        "User",
        "ListPostsResponse",
        "PostService",
        "microblog.post.v1",
        "users",
    ] {
        assert!(names.contains(known), "{known}");
    }

    let mut found = Vec::new();
    for file in files(&["chassis"], "") {
        for name in &names {
            if has_word(&file.text, name) {
                found.push(format!("{}: {name}", file.path));
            }
        }
    }

    assert_none(&found, "the chassis is for every service, and names none");
}

#[test]
fn sql_stands_in_the_stores_in_the_migrator_and_in_the_chassis_database_only() {
    let mut sources = sources();
    sources.extend(files(&["benches"], ".rs"));
    let places = [&SQL[..], &SQL_OF_BENCHES].concat();

    let mut found = strangers(&sources, &places, &["sqlx", "libsqlite3_sys"]);
    for file in sources.iter().filter(|file| !file.is_in(&places)) {
        for text in pieces(file.code()).texts {
            if looks_like_sql(&text) {
                found.push(format!("{}: {text}", file.path));
            }
        }
    }

    assert_none(&found, "SQL stands elsewhere");
}

#[test]
fn the_tests_of_the_services_touch_the_engine_through_their_support_only() {
    let tests = files(&["tests/users", "tests/posts"], ".rs");

    let found = strangers(&tests, &[], &["sqlx", "Sqlite", "sqlite", "rusqlite"]);

    assert_none(&found, "they are to pass on every engine");
}

/// Whether a text begins as a statement does, and has a further word of one.
fn looks_like_sql(text: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<_> = text.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    match words.first().copied() {
        Some("select") => words.len() > 1,
        Some("insert" | "replace") => has("into"),
        Some("update") => has("set"),
        Some("delete") => has("from"),
        Some("with") => has("as") && has("select"),
        Some("create" | "alter" | "drop") => has("table") || has("index") || has("trigger"),
        Some("pragma") => true,
        _ => has("where") && (has("?1") || has("and") || has("=")),
    }
}

#[test]
fn what_looks_like_sql_is_found() {
    for text in [
        "select 1",
        "INSERT INTO a VALUES (1)",
        "users where id = ?1",
        "pragma user_version",
    ] {
        assert!(looks_like_sql(text), "{text}");
    }
    for text in ["select", "update_mask", "delete those first", "where it is"] {
        assert!(!looks_like_sql(text), "{text}");
    }
}

#[test]
fn grpc_is_known_to_the_edge_of_a_service_and_to_the_chassis_only() {
    let words = [
        "tonic",
        "tonic_types",
        "tonic_prost",
        "prost",
        "prost_types",
    ];

    let found = strangers(&sources(), &GRPC, &words);

    assert_none(&found, "gRPC is known elsewhere");
}

#[test]
fn the_modules_of_a_service_never_know_what_the_architecture_says() {
    let mut found = Vec::new();
    for service in ["user-service", "post-service"] {
        let sources = files(&[&format!("{service}/src")], ".rs");
        for (module, words) in [
            ("user", &["sqlx", "tonic", "proto", "store", "rpc"][..]),
            ("post", &["sqlx", "tonic", "proto", "store", "rpc"]),
            ("store", &["tonic", "proto", "rpc", "authors"]),
            ("rpc", &["sqlx"]),
            ("error", &["sqlx", "proto", "store", "rpc"]),
            ("authors", &["sqlx", "store", "rpc"]),
            ("watch", &["sqlx", "tonic", "proto", "rpc"]),
            ("settings", &["sqlx", "tonic", "proto"]),
            ("main", &["sqlx", "tonic"]),
        ] {
            let place = format!("{service}/src/{module}");
            let module: Vec<_> = sources
                .iter()
                .filter(|f| f.is_in(&[&place]))
                .cloned()
                .collect();
            found.extend(strangers(&module, &[], words));
        }
    }

    assert_none(&found, "a module knows what it must not");
}

#[test]
fn every_module_of_a_service_is_one_that_the_architecture_knows() {
    let mut found = Vec::new();
    for (service, modules) in [
        (
            "user-service",
            &["user", "store", "error", "rpc", "lib", "main", "settings"][..],
        ),
        (
            "post-service",
            &[
                "post", "store", "error", "rpc", "lib", "main", "authors", "watch", "settings",
            ],
        ),
    ] {
        let places: Vec<_> = modules
            .iter()
            .map(|m| format!("{service}/src/{m}"))
            .collect();
        let places: Vec<_> = places.iter().map(String::as_str).collect();
        let sources = files(&[&format!("{service}/src")], ".rs");
        let strange = sources.into_iter().filter(|file| !file.is_in(&places));
        found.extend(strange.map(|file| file.path));
    }

    assert_none(&found, "a module of which no test says what it may know");
}

#[test]
fn nothing_but_the_store_and_the_migrator_knows_the_engine() {
    // The one match on the URL, and the declaration of the engine's module.
    let exceptions = [
        "user-service/src/lib.rs",
        "user-service/src/store.rs",
        "post-service/src/lib.rs",
        "post-service/src/store.rs",
    ];
    let places: Vec<_> = SQL.into_iter().chain(exceptions).collect();

    // Comments may name it.
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.is_in(&SQL)) {
        let pieces = pieces(file.code());
        let words = pieces
            .words
            .into_iter()
            .filter(|_| !places.contains(&file.path.as_str()));
        for text in words.chain(pieces.texts) {
            if text.to_lowercase().contains("sqlite") {
                found.push(format!("{}: {text}", file.path));
            }
        }
    }

    assert_none(&found, "the engine is known elsewhere");
}

#[test]
fn only_one_module_is_unsafe() {
    let found = strangers(
        &sources(),
        &["chassis/database/src/sqlite/ffi"],
        &["unsafe"],
    );

    assert_none(&found, "unsafe code stands elsewhere");
}

#[test]
fn nothing_is_read_from_the_environment_but_by_the_settings() {
    let found = strangers(&sources(), &[], &["env"]);
    let settings = [
        "src/main.rs",
        "user-service/src/main.rs",
        "post-service/src/main.rs",
        "post-service/src/settings.rs",
        "user-service/src/settings.rs",
        "migrator/src/cli.rs",
        "chassis/serving/src/settings.rs",
        "chassis/database/src/settings.rs",
        "chassis/process/src/settings.rs",
        // The files that settings stand in, and the look of a log whose settings are wrong.
        "chassis/process/src/exit.rs",
        "chassis/process/src/file_settings.rs",
        // How many cases a property is tested with.
        "migrator/src/sqlite/planner/tests/property.rs",
        // `env!` is of the compiler.
        "proto/src/lib.rs",
        "chassis/serving/src/health.rs",
    ];

    let found: Vec<_> = found
        .into_iter()
        .filter(|found| {
            !settings
                .iter()
                .any(|file| found.starts_with(&format!("{file}:")))
        })
        .collect();

    assert_none(&found, "the environment is read elsewhere");
}

#[test]
fn what_is_acknowledged_is_synchronised_in_full() {
    let mut modes = Vec::new();
    for file in sources() {
        let words = pieces(file.code()).words;
        modes.extend(words.windows(2).filter_map(|pair| match pair {
            [kind, mode] if kind == "SqliteSynchronous" && mode.starts_with(char::is_uppercase) => {
                Some((file.path.clone(), mode.clone()))
            }
            _ => None,
        }));
    }

    assert!(!modes.is_empty(), "SQLite's default is no decision");
    for (file, mode) in modes {
        // `NORMAL` loses acknowledged writes when the power fails.
        assert_eq!(mode, "Full", "{file}");
    }
}

#[test]
fn nothing_gathers_without_a_bound() {
    let words = [
        "unbounded",
        "unbounded_channel",
        "UnboundedSender",
        "UnboundedReceiver",
    ];

    let found = strangers(&sources(), &[], &words);

    assert_none(
        &found,
        "every queue has a limit, and the limit is a setting",
    );
}
