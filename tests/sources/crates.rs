//! What the crates are, and which depends on which.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use crate::{
    assert_none,
    tree::{files, read, root},
};

/// The crates of the workspace, as cargo sees them: each with those that it depends on,
/// without what only its tests need.
fn arrows() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: Vec<_> = packages.iter().map(name).collect();
    let arrows = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let needed = dependencies.iter().filter(|d| d["kind"].is_null());
        let mut needed: Vec<_> = needed.map(name).filter(|n| ours.contains(n)).collect();
        needed.sort();
        (name(package), needed)
    });
    arrows.collect()
}

#[test]
fn the_arrows_between_the_crates_are_those_of_the_architecture() {
    let arrows = arrows();

    let expected = [
        ("proto", &[][..]),
        ("process", &[]),
        ("database", &["process"]),
        ("serving", &["process"]),
        ("chassis", &["database", "process", "serving"]),
        ("user-service", &["chassis", "proto"]),
        ("post-service", &["chassis", "proto"]),
        ("migrator", &["database", "process"]),
        (
            "microblog",
            &["chassis", "migrator", "post-service", "user-service"],
        ),
    ];
    let expected = expected.map(|(name, needed)| {
        (
            name.to_owned(),
            needed.iter().map(|&n| n.to_owned()).collect(),
        )
    });
    assert_eq!(arrows, BTreeMap::from(expected));
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let crates = [
        "",
        "proto/",
        "chassis/",
        "chassis/process/",
        "chassis/serving/",
        "chassis/database/",
        "user-service/",
        "post-service/",
        "migrator/",
    ];

    let lax: Vec<_> = crates
        .iter()
        .map(|folder| format!("{folder}Cargo.toml"))
        .filter(|manifest| !read(manifest).contains("\n[lints]\nworkspace = true\n"))
        .collect();

    assert_none(&lax, "a crate without the lints");
}

#[test]
fn no_lint_is_allowed_in_silence() {
    let folders = [
        "src",
        "proto",
        "chassis",
        "user-service",
        "post-service",
        "migrator",
        "tests",
        "clients/rust/src",
        "benches",
    ];
    // What several test targets share has no one who uses all of it.
    let shared = ["tests/support"];
    let attribute = ["#[", "#!["].map(|begin| format!("{begin}allow("));

    let mut found = Vec::new();
    for file in files(&folders, ".rs") {
        let lines = file.text.lines().map(str::trim);
        let allowed = lines.filter(|line| attribute.iter().any(|a| line.starts_with(a.as_str())));
        if !file.is_in(&shared) {
            found.extend(allowed.map(|line| format!("{}: {line}", file.path)));
        }
    }

    assert_none(
        &found,
        "`#[expect(…, reason = \"…\")]` says why, and when it is over",
    );
}

#[test]
fn the_top_level_is_as_the_architecture_fixes_it() {
    let fixed = [
        "Cargo.toml",
        "proto",
        "user-service",
        "post-service",
        "migrator",
        "tests",
        "benches",
        "README.md",
        "chassis",
        "src",
    ];
    // What tools expect there, and what they leave there.
    let tools = [
        "Cargo.lock",
        "clippy.toml",
        "Dockerfile",
        "docker-compose.yml",
        "clients",
        "docs",
        "target",
        "data",
        "gen",
    ];

    let mut names: Vec<_> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let missing: Vec<_> = fixed
        .iter()
        .filter(|name| !names.iter().any(|n| n == *name))
        .collect();
    names.retain(|name| {
        let hidden = name.starts_with('.');
        !hidden
            && !name.starts_with("LICENSE")
            && !fixed.contains(&name.as_str())
            && !tools.contains(&name.as_str())
    });

    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_none(&names, "not a name of the top level");
}
