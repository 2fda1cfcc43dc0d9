//! Holds the rules on what each module may know: SQL, gRPC, the engine, the environment, `unsafe`
//! and other modules. The rules are about code: comments may use any word.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::{
    assert_none,
    lex::{has_word, lex},
    tree::{File, files, sources},
};

/// Paths that may contain SQL.
const SQL: [&str; 4] = [
    "user-service/src/store/sqlite",
    "post-service/src/store/sqlite",
    "chassis/database/src",
    "migrator/src",
];

/// Benchmark files that may contain SQL: the baseline services and the seed of the database.
const SQL_OF_BENCHES: [&str; 2] = ["benches/services/baseline", "benches/services/seed"];

/// Paths that may use gRPC crates. The crate `proto` holds the generated messages.
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

/// Returns each use of one of `words` in the code of files outside `places`.
fn violations(sources: &[File], places: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources.iter().filter(|file| !file.is_in(places)) {
        for word in lex(&file.text).words {
            if words.contains(&word.as_str()) {
                found.push(format!("{}: {word}", file.path));
            }
        }
    }
    found.dedup();
    found
}

/// Returns the names that the contract defines: packages, services and messages.
fn contract_names() -> BTreeSet<String> {
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

/// Returns the tables that the services declare.
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

/// Returns the part of a file that the chassis rule applies to: of Rust the words and literals, of
/// other files the lines without their comments.
fn names_any(file: &File, names: &BTreeSet<String>) -> Vec<String> {
    let found: Vec<_> = if file.extension() == Some("rs") {
        let tokens = lex(&file.text);
        let used = names.iter().filter(|name| tokens.code_has_word(name));
        used.collect()
    } else {
        let comment = if file.extension() == Some("proto") {
            "//"
        } else {
            "#"
        };
        let lines = file.text.lines();
        let code = lines.map(|line| line.split(comment).next().unwrap_or_default());
        let code = code.collect::<Vec<_>>().join("\n");
        names.iter().filter(|name| has_word(&code, name)).collect()
    };
    let found = found.into_iter();
    found.map(|name| format!("{}: {name}", file.path)).collect()
}

#[test]
fn names_in_comments_are_not_uses() {
    let names = BTreeSet::from(["users".to_owned(), "User".to_owned()]);
    let found = |path: &str, text: &str| {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        names_any(&file, &names)
    };

    let none: [String; 0] = [];
    assert_eq!(
        found("a.rs", "/// Reads users.\nfn f(superuser: u8) {}"),
        none
    );
    assert_eq!(found("Cargo.toml", "a = 1 # a User"), none);
    assert_eq!(found("a.proto", "// A User.\nmessage A {}"), none);
    assert_eq!(found("a.rs", "fn f() -> User {}"), ["a.rs: User"]);
    assert_eq!(
        found("b.rs", "const A: &str = \"from users\";"),
        ["b.rs: users"]
    );
    assert_eq!(found("a.toml", "users = 1"), ["a.toml: users"]);
}

#[test]
fn chassis_names_no_message_table_or_service() {
    let mut names = contract_names();
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
    // Guards against an empty or incomplete list of names.
    for known in [
        "User",
        "ListPostsResponse",
        "PostService",
        "microblog.post.v1",
        "users",
    ] {
        assert!(names.contains(known), "{known}");
    }

    let files = files(&["chassis"], "");
    let found = files.iter().flat_map(|file| names_any(file, &names));

    assert_none(
        &found.collect::<Vec<_>>(),
        "the chassis serves any service and may name none",
    );
}

#[test]
fn sql_is_confined_to_stores_migrator_and_chassis_database() {
    let mut sources = sources();
    sources.extend(files(&["benches"], ".rs"));
    let places = [&SQL[..], &SQL_OF_BENCHES].concat();

    let mut found = violations(&sources, &places, &["sqlx", "libsqlite3_sys"]);
    for file in sources.iter().filter(|file| !file.is_in(&places)) {
        for text in lex(file.code()).literal_texts() {
            if looks_like_sql(text) {
                found.push(format!("{}: {text}", file.path));
            }
        }
    }

    assert_none(&found, "SQL outside of the modules that may contain it");
}

#[test]
fn service_tests_use_the_engine_only_through_tests_support() {
    let tests = files(&["tests/users", "tests/posts"], ".rs");

    let found = violations(&tests, &[], &["sqlx", "Sqlite", "sqlite", "rusqlite"]);

    assert_none(
        &found,
        "the tests of the services must pass on every engine",
    );
}

/// Reports whether a literal starts like a SQL statement and contains another keyword of it.
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
fn sql_literals_are_recognised() {
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
fn grpc_is_confined_to_service_edges_and_chassis() {
    let words = [
        "tonic",
        "tonic_types",
        "tonic_prost",
        "prost",
        "prost_types",
    ];

    let found = violations(&sources(), &GRPC, &words);

    assert_none(&found, "gRPC outside of the modules that may use it");
}

#[test]
fn service_modules_use_only_what_the_architecture_allows() {
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
            found.extend(violations(&module, &[], words));
        }
    }

    assert_none(&found, "a module uses what it must not know");
}

#[test]
fn every_service_module_has_an_architecture_rule() {
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
        let unknown = sources.into_iter().filter(|file| !file.is_in(&places));
        found.extend(unknown.map(|file| file.path));
    }

    assert_none(&found, "no test says what these modules may use");
}

#[test]
fn engine_is_named_only_by_stores_and_migrator() {
    // The match on the database URL, and the declaration of the engine's module.
    let exceptions = [
        "user-service/src/lib.rs",
        "user-service/src/store.rs",
        "post-service/src/lib.rs",
        "post-service/src/store.rs",
    ];

    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.is_in(&SQL)) {
        let may_name_it = exceptions.contains(&file.path.as_str());
        found.extend(names_engine(file, may_name_it));
    }

    assert_none(&found, "the engine is named elsewhere");
}

/// Returns the words and literals that name the engine. A file that declares its module may use the
/// name as a word, but not in a literal.
fn names_engine(file: &File, may_use_word: bool) -> Vec<String> {
    let tokens = lex(file.code());
    let words = tokens.words.iter().map(String::as_str);
    let words = words.filter(|_| !may_use_word);
    let named = words.chain(tokens.literal_texts());
    let named = named.filter(|text| text.to_lowercase().contains("sqlite"));
    named.map(|text| format!("{}: {text}", file.path)).collect()
}

#[test]
fn engine_name_in_comments_is_not_a_use() {
    let file = |text: &str| File {
        path: "a.rs".to_owned(),
        text: text.to_owned(),
    };
    let code = file("mod sqlite; // SQLite\n/* sqlite */ const A: &str = \"SQLite\";");
    let comments = file("//! SQLite\n/// sqlite\nfn f() {} // sqlx::Sqlite");

    assert_eq!(names_engine(&code, false), ["a.rs: sqlite", "a.rs: SQLite"]);
    assert_eq!(names_engine(&code, true), ["a.rs: SQLite"]);
    assert!(names_engine(&comments, false).is_empty());
}

#[test]
fn unsafe_is_confined_to_the_ffi_modules() {
    let modules = [
        "chassis/database/src/sqlite/ffi",
        "chassis/process/src/memory/ffi",
    ];
    let found = violations(&sources(), &modules, &["unsafe"]);

    assert_none(&found, "unsafe code outside of the ffi modules");
}

#[test]
fn environment_is_read_only_by_the_settings() {
    let found = violations(&sources(), &[], &["env"]);
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
        // Settings in files, and the log format that reports wrong settings.
        "chassis/process/src/exit.rs",
        "chassis/process/src/file_settings.rs",
        // Number of cases of a property test.
        "migrator/src/commands/property.rs",
        // `env!` reads the environment of the compiler.
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

    assert_none(&found, "the environment is read outside of the settings");
}

#[test]
fn databases_use_full_synchronous_mode() {
    let mut modes = Vec::new();
    for file in sources() {
        let words = lex(file.code()).words;
        modes.extend(words.windows(2).filter_map(|pair| match pair {
            [kind, mode] if kind == "SqliteSynchronous" && mode.starts_with(char::is_uppercase) => {
                Some((file.path.clone(), mode.clone()))
            }
            _ => None,
        }));
    }

    assert!(!modes.is_empty(), "no source sets the synchronous mode");
    for (file, mode) in modes {
        // With `NORMAL`, a power failure loses acknowledged writes.
        assert_eq!(mode, "Full", "{file}");
    }
}

#[test]
fn no_unbounded_channels() {
    let words = [
        "unbounded",
        "unbounded_channel",
        "UnboundedSender",
        "UnboundedReceiver",
    ];

    let found = violations(&sources(), &[], &words);

    assert_none(
        &found,
        "every queue has a limit, and the limit is a setting",
    );
}
