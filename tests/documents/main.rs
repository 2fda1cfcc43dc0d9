//! Checks the documents: each example is run and its output compared, the API reference matches the
//! contract, and each error reason is documented.
//!
//! `DOCUMENTS=write cargo test --workspace --test documents` replaces outputs that differ. Read the
//! diff before you commit it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

mod architecture;
mod blocks;
mod links;
mod normalize;
mod plan;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "the tests of the processes use the rest")]
mod process;
mod reasons;
#[path = "../../proto/examples/reference/markdown.rs"]
mod reference;
mod shell;
mod tools;
#[path = "../sources/tree.rs"]
#[expect(dead_code, reason = "the tests of the sources use the rest")]
mod tree;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{blocks::blocks, plan::Execution, tree::read};

/// Reports whether the tests update the documents instead of comparing them.
fn updates_documents() -> bool {
    std::env::var_os("DOCUMENTS").is_some_and(|value| value == "write")
}

/// Returns the paths of the documents.
fn documents() -> Vec<String> {
    let docs = tree::files(&["docs"], ".md");
    let docs = docs.into_iter().map(|file| file.path);
    let root = ["README.md", "CONTRIBUTING.md"].map(str::to_owned);
    root.into_iter().chain(docs).collect()
}

#[test]
fn every_block_is_in_the_plan() {
    let mut unplanned = Vec::new();
    for document in documents() {
        let blocks = blocks(&read(&document));
        let planned = plan::of(&document).into_iter();
        let planned: Vec<_> = planned
            .flat_map(|part| part.blocks.iter().map(move |_| part.heading))
            .collect();
        let found: Vec<_> = blocks.iter().map(|block| block.heading.as_str()).collect();
        if planned != found {
            unplanned.push(format!(
                "{document}: {found:?}, but the plan has {planned:?}"
            ));
        }
    }

    assert!(
        unplanned.is_empty(),
        "tests/documents/plan.rs must list each block with the test that runs it:\n  {}",
        unplanned.join("\n  ")
    );
}

#[test]
fn plan_names_only_existing_files() {
    for document in documents() {
        for part in plan::of(&document) {
            for execution in part.blocks {
                if let Execution::Elsewhere(path) = execution {
                    let exists = tree::root().join(path).exists();
                    assert!(exists, "{document}, {}: no {path}", part.heading);
                }
            }
        }
    }
}

#[tokio::test]
async fn readme_examples_print_the_shown_output() {
    shell::check("README.md").await;
}

#[tokio::test]
async fn project_examples_print_the_shown_output() {
    shell::check("docs/any-project.md").await;
}

#[tokio::test]
async fn api_examples_print_the_shown_output() {
    shell::check("docs/api.md").await;
}

#[tokio::test]
async fn migration_examples_print_the_shown_output() {
    shell::check("docs/migrations.md").await;
}

#[tokio::test]
async fn error_examples_print_the_shown_output() {
    shell::check("docs/errors.md").await;
}

#[tokio::test]
async fn tool_examples_print_the_shown_output() {
    shell::check("docs/tools.md").await;
}

#[test]
fn every_document_with_runnable_examples_has_a_test() {
    // The documents of the tests above.
    let run = [
        "README.md",
        "docs/any-project.md",
        "docs/api.md",
        "docs/errors.md",
        "docs/migrations.md",
        "docs/tools.md",
    ];

    for document in documents() {
        let parts = plan::of(&document);
        let mut blocks = parts.iter().flat_map(|part| part.blocks);
        let runs = blocks
            .any(|execution| !matches!(execution, Execution::Elsewhere(_) | Execution::Not(_)));
        assert_eq!(runs, run.contains(&document.as_str()), "{document}");
    }
}

#[test]
fn api_reference_has_an_example_of_every_method() {
    let document = read("docs/api.md");

    for set in [
        proto::user::v1::FILE_DESCRIPTOR_SET,
        proto::post::v1::FILE_DESCRIPTOR_SET,
    ] {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                for method in &service.method {
                    let call = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(document.contains(&format!(" {call}\n")), "{call}");
                }
            }
        }
    }
}

#[test]
fn api_reference_matches_the_contract() {
    let document = read("docs/api.md");
    let generated = reference::with_reference(&document).unwrap();

    assert!(
        generated == document,
        "docs/api.md is out of date: run `cargo run -p proto --example reference`"
    );
}
