//! The documents against what they tell of: every example is run as it stands there, the
//! reference is that of the contract, and every reason of a failure is explained.
//!
//! `DOCUMENTS=write cargo test --workspace --test documents` writes into the documents what
//! came out, where it differs; what is then committed is to be read first.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a failed test"
)]

mod architecture;
mod blocks;
mod plan;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "the tests of the processes use the rest")]
mod process;
mod reasons;
#[path = "../../proto/examples/reference/markdown.rs"]
mod reference;
mod same;
mod session;
mod tools;
#[path = "../sources/tree.rs"]
#[expect(dead_code, reason = "the tests of the sources use the rest")]
mod tree;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{blocks::blocks, plan::How, tree::read};

/// Whether the documents are to be brought up to date instead of compared.
fn writing() -> bool {
    std::env::var_os("DOCUMENTS").is_some_and(|value| value == "write")
}

/// The documents, from the root on.
fn documents() -> Vec<String> {
    let docs = tree::files(&["docs"], ".md");
    let docs = docs.into_iter().map(|file| file.path);
    ["README.md".to_owned()].into_iter().chain(docs).collect()
}

#[test]
fn no_example_is_forgotten() {
    let mut forgotten = Vec::new();
    for document in documents() {
        let blocks = blocks(&read(&document));
        let planned = plan::of(&document).into_iter();
        let planned: Vec<_> = planned
            .flat_map(|part| part.blocks.iter().map(move |_| part.heading))
            .collect();
        let found: Vec<_> = blocks.iter().map(|block| block.heading.as_str()).collect();
        if planned != found {
            forgotten.push(format!(
                "{document}: {found:?}, but the plan has {planned:?}"
            ));
        }
    }

    assert!(
        forgotten.is_empty(),
        "each block of a document is in tests/documents/plan.rs, with what runs it:\n  {}",
        forgotten.join("\n  ")
    );
}

#[test]
fn what_is_run_elsewhere_has_something_there() {
    for document in documents() {
        for part in plan::of(&document) {
            for how in part.blocks {
                if let How::Elsewhere(place) = how {
                    let there = tree::root().join(place).exists();
                    assert!(there, "{document}, {}: no {place}", part.heading);
                }
            }
        }
    }
}

#[tokio::test]
async fn the_examples_of_the_readme_print_what_stands_there() {
    session::check("README.md").await;
}

#[tokio::test]
async fn the_examples_of_the_reference_print_what_stands_there() {
    session::check("docs/api.md").await;
}

#[tokio::test]
async fn the_examples_of_the_failures_print_what_stands_there() {
    session::check("docs/errors.md").await;
}

#[tokio::test]
async fn the_calls_by_hand_print_what_stands_there() {
    session::check("docs/tools.md").await;
}

#[test]
fn every_document_that_has_examples_to_run_is_run() {
    // One for each test above.
    let run = [
        "README.md",
        "docs/api.md",
        "docs/errors.md",
        "docs/tools.md",
    ];

    for document in documents() {
        let parts = plan::of(&document);
        let mut blocks = parts.iter().flat_map(|part| part.blocks);
        let runs = blocks.any(|how| !matches!(how, How::Elsewhere(_) | How::Not(_)));
        assert_eq!(runs, run.contains(&document.as_str()), "{document}");
    }
}

#[test]
fn the_reference_has_an_example_of_every_call() {
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
fn the_reference_is_that_of_the_contract() {
    let document = read("docs/api.md");
    let made = reference::renewed(&document).unwrap();

    assert!(
        made == document,
        "docs/api.md is out of date: run `cargo run -p proto --example reference`"
    );
}
