//! Holds the crates of the workspace, their dependencies on each other, and their lints.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use crate::{
    assert_none,
    tree::{files, read, root},
};

/// Returns the crates of the workspace as cargo reports them, each with the workspace crates that
/// it depends on. Development dependencies are left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
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
    let found = packages.iter().map(|package| {
        let all = package["dependencies"].as_array().unwrap();
        let needed = all.iter().filter(|d| d["kind"].is_null());
        let mut needed: Vec<_> = needed.map(name).filter(|n| ours.contains(n)).collect();
        needed.sort();
        (name(package), needed)
    });
    found.collect()
}

#[test]
fn crate_dependencies_match_the_architecture() {
    let found = dependencies();

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
    assert_eq!(found, BTreeMap::from(expected));
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

    assert_none(&lax, "a crate without the lints of the workspace");
}

#[test]
fn no_lint_is_allowed_without_a_reason() {
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
    // Several test targets share these helpers, and none of them uses all.
    let shared = ["tests/support"];
    let attribute = ["#[", "#!["].map(|prefix| format!("{prefix}allow("));

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
        "use `#[expect(…, reason = \"…\")]`: it has a reason and warns when it is outdated",
    );
}

#[test]
fn top_level_matches_the_architecture() {
    let fixed = [
        "Cargo.toml",
        "proto",
        "user-service",
        "post-service",
        "migrator",
        "tests",
        "benches",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "chassis",
        "src",
    ];
    // Files that tools expect at the top level, and directories that they create.
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
    assert_none(&names, "not an entry of the top level");
}
