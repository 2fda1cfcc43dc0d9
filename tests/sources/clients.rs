//! What the clients are given, against the contract.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::{FileDescriptorSet, MethodOptions, method_options::IdempotencyLevel};
use serde_json::Value;

use crate::tree::read;

/// A method of the contract, as far as a service config has to know it.
struct Method {
    /// A read, or a write that has an id by which a repeat is known.
    repeatable: bool,
    streams: bool,
}

/// All methods of the contract, as `service/method`.
fn methods() -> BTreeMap<String, Method> {
    let mut methods = BTreeMap::new();
    for set in [
        proto::user::v1::FILE_DESCRIPTOR_SET,
        proto::post::v1::FILE_DESCRIPTOR_SET,
    ] {
        let set = FileDescriptorSet::decode(set).unwrap();
        for file in &set.file {
            let has_request_id = |message: &str| {
                let name = message.rsplit('.').next().unwrap();
                let mut messages = file.message_type.iter();
                let message = messages.find(|m| m.name() == name).unwrap();
                message.field.iter().any(|f| f.name() == "request_id")
            };
            for service in &file.service {
                for method in &service.method {
                    let level = method
                        .options
                        .as_ref()
                        .map(MethodOptions::idempotency_level);
                    let reads = level == Some(IdempotencyLevel::NoSideEffects);
                    let streams = method.server_streaming();
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let repeatable = !streams && (reads || has_request_id(method.input_type()));
                    let method = Method {
                        repeatable,
                        streams,
                    };
                    methods.insert(name, method);
                }
            }
        }
    }
    methods
}

/// The parts of the service config, by the `service/method` or the `service` that each names.
fn configured() -> BTreeMap<String, Value> {
    let config: Value = serde_json::from_str(&read("clients/service-config.json")).unwrap();
    let mut configured = BTreeMap::new();
    for part in config["methodConfig"].as_array().unwrap() {
        for name in part["name"].as_array().unwrap() {
            let service = name["service"].as_str().unwrap();
            let method = name["method"].as_str().map(|m| format!("/{m}"));
            let name = format!("{service}{}", method.unwrap_or_default());
            assert!(
                configured.insert(name.clone(), part.clone()).is_none(),
                "{name} is named twice"
            );
        }
    }
    configured
}

#[test]
fn clients_repeat_what_is_safe_to_repeat_and_nothing_else() {
    let configured = configured();

    let repeated: BTreeSet<_> = configured
        .iter()
        .filter(|(_, part)| part.get("retryPolicy").is_some())
        .map(|(name, _)| name.clone())
        .collect();

    let methods = methods();
    let safe = methods.iter().filter(|(_, method)| method.repeatable);
    assert_eq!(repeated, safe.map(|(name, _)| name.clone()).collect());
    assert!(repeated.contains("microblog.post.v1.PostService/CreatePost"));
}

#[test]
fn clients_wait_for_every_answer_within_a_deadline_but_not_for_streams() {
    let configured = configured();

    for (name, method) in methods() {
        let service = name.split('/').next().unwrap();
        let part = configured.get(&name).or_else(|| configured.get(service));
        let timeout = part.and_then(|part| part.get("timeout"));
        assert_eq!(timeout.is_some(), !method.streams, "{name}");
    }
}

#[test]
fn what_the_service_config_names_is_in_the_contract() {
    let methods = methods();

    for name in configured().keys() {
        let of_service = format!("{name}/");
        let known =
            methods.contains_key(name) || methods.keys().any(|m| m.starts_with(&of_service));
        assert!(known, "{name}");
    }
}

/// The cells of the row of a client in the table of docs/clients.md.
fn row(client: &str) -> Vec<String> {
    let document = read("docs/clients.md");
    let begin = format!("| {client} |");
    let mut rows = document.lines().filter(|line| line.starts_with(&begin));
    let row = rows.next().unwrap_or_else(|| panic!("no row of {client}"));
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// What the clients are made with: the client, the name in the document, the file of the client
/// that has the version, and what stands before it there.
const MADE_WITH: [[&str; 4]; 13] = [
    ["Python", "grpcio", "requirements.txt", "grpcio=="],
    [
        "Python",
        "grpcio-status",
        "requirements.txt",
        "grpcio-status==",
    ],
    [
        "Python",
        "grpcio-tools",
        "requirements.txt",
        "grpcio-tools==",
    ],
    [
        "TypeScript",
        "@grpc/grpc-js",
        "package.json",
        r#""@grpc/grpc-js": ""#,
    ],
    [
        "TypeScript",
        "nice-grpc",
        "package.json",
        r#""nice-grpc": ""#,
    ],
    ["TypeScript", "ts-proto", "package.json", r#""ts-proto": ""#],
    [
        "TypeScript",
        "@bufbuild/buf",
        "package.json",
        r#""@bufbuild/buf": ""#,
    ],
    [
        "TypeScript",
        "typescript",
        "package.json",
        r#""typescript": ""#,
    ],
    [
        "Go",
        "google.golang.org/grpc",
        "go.mod",
        "google.golang.org/grpc v",
    ],
    [
        "Go",
        "google.golang.org/protobuf",
        "go.mod",
        "google.golang.org/protobuf v",
    ],
    [
        "Rust",
        "tonic",
        "Cargo.lock",
        "name = \"tonic\"\nversion = \"",
    ],
    [
        "Rust",
        "prost",
        "Cargo.lock",
        "name = \"prost\"\nversion = \"",
    ],
    [
        "Rust",
        "protox",
        "Cargo.lock",
        "name = \"protox\"\nversion = \"",
    ],
];

#[test]
fn the_table_of_the_clients_names_the_versions_that_are_used() {
    for [client, name, file, before] in MADE_WITH {
        let pinned = read(&format!("clients/{}/{file}", client.to_lowercase()));
        let (_, after) = pinned.split_once(before).unwrap();
        let end = after.find(['"', '\n']).unwrap();
        let expected = format!("{name} {}", &after[..end]);

        let versions = &row(client)[4];

        let mut said = versions.split([',', ';']).map(str::trim);
        assert!(
            said.any(|version| version == expected),
            "{client}: `{expected}` is not in `{versions}`"
        );
    }
}

#[test]
fn the_table_of_the_clients_names_the_commands_that_are_run() {
    for client in ["Python", "TypeScript", "Go", "Rust"] {
        let script = read(&format!("clients/{}/run", client.to_lowercase()));
        // A command may stand on several lines.
        let script = script.replace('\\', " ");
        let script: Vec<_> = script.split_whitespace().collect();
        let script = script.join(" ");

        let cells = row(client);
        let commands: Vec<_> = cells[3].split('`').skip(1).step_by(2).collect();

        assert!(commands.len() > 1, "{client}");
        for command in commands {
            assert!(script.contains(command), "{client}: `{command}` is not run");
        }
    }
}
