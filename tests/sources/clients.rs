//! Compares the retry configuration of the clients, and the table of clients in the documents, with
//! the contract and the sources of the clients.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::{FileDescriptorSet, MethodOptions, method_options::IdempotencyLevel};
use serde_json::Value;

use crate::tree::read;

/// The properties of a method that decide its entry in the service config.
struct Method {
    /// Safe to retry: a read, or a write with an idempotency key.
    retryable: bool,
    streams: bool,
}

/// Returns all methods of the contract, by `service/method`.
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
                    let retryable = !streams && (reads || has_request_id(method.input_type()));
                    let method = Method { retryable, streams };
                    methods.insert(name, method);
                }
            }
        }
    }
    methods
}

/// Returns the entries of the service config, by the `service/method` or the `service` that each
/// names.
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
fn clients_retry_exactly_the_retryable_methods() {
    let configured = configured();

    let retried: BTreeSet<_> = configured
        .iter()
        .filter(|(_, part)| part.get("retryPolicy").is_some())
        .map(|(name, _)| name.clone())
        .collect();

    let methods = methods();
    let safe = methods.iter().filter(|(_, method)| method.retryable);
    assert_eq!(retried, safe.map(|(name, _)| name.clone()).collect());
    assert!(retried.contains("microblog.post.v1.PostService/CreatePost"));
}

#[test]
fn clients_set_a_deadline_for_all_calls_but_streams() {
    let configured = configured();

    for (name, method) in methods() {
        let service = name.split('/').next().unwrap();
        let part = configured.get(&name).or_else(|| configured.get(service));
        let timeout = part.and_then(|part| part.get("timeout"));
        assert_eq!(timeout.is_some(), !method.streams, "{name}");
    }
}

#[test]
fn service_config_names_only_existing_methods() {
    let methods = methods();

    for name in configured().keys() {
        let of_service = format!("{name}/");
        let known =
            methods.contains_key(name) || methods.keys().any(|m| m.starts_with(&of_service));
        assert!(known, "{name}");
    }
}

/// Returns the cells of a client's row in the table of docs/clients.md.
fn row(client: &str) -> Vec<String> {
    let document = read("docs/clients.md");
    let prefix = format!("| {client} |");
    let mut rows = document.lines().filter(|line| line.starts_with(&prefix));
    let row = rows.next().unwrap_or_else(|| panic!("no row of {client}"));
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The pinned dependencies of the clients: the client, the name in the document, the file that pins
/// the version, and the text before the version in that file.
const PINNED: [[&str; 4]; 13] = [
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
fn client_table_names_the_pinned_versions() {
    for [client, name, file, before] in PINNED {
        let pinned = read(&format!("clients/{}/{file}", client.to_lowercase()));
        let (_, after) = pinned.split_once(before).unwrap();
        let end = after.find(['"', '\n']).unwrap();
        let expected = format!("{name} {}", &after[..end]);

        let versions = &row(client)[4];

        let mut listed = versions.split([',', ';']).map(str::trim);
        assert!(
            listed.any(|version| version == expected),
            "{client}: `{expected}` is not in `{versions}`"
        );
    }
}

#[test]
fn client_table_names_only_commands_that_run() {
    for client in ["Python", "TypeScript", "Go", "Rust"] {
        let script = read(&format!("clients/{}/run", client.to_lowercase()));
        // A command may span several lines.
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
