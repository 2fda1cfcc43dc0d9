//! The links between the documents: each leads to a file, and each fragment to a heading in it.

use std::path::Path;

use crate::{
    documents,
    tree::{read, root},
};

/// Documents outside `docs` without examples to run.
const OTHERS: [&str; 2] = ["CHANGELOG.md", "clients/web/README.md"];

/// Returns a document without its fenced blocks.
fn prose(document: &str) -> String {
    read(document).split("```").step_by(2).collect()
}

/// Returns the fragments that the headings of a document have on GitHub.
fn fragments(document: &str) -> Vec<String> {
    let prose = prose(document);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let fragment = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        text.chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(fragment).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let others = OTHERS.map(str::to_owned);
    let mut broken = Vec::new();
    let mut checked = 0;
    for document in documents().into_iter().chain(others) {
        let directory = Path::new(&document).parent().unwrap();
        let prose = prose(&document);
        let links = prose.split("](").skip(1);
        let links = links.filter_map(|link| Some(link.split_once(')')?.0));
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                document.clone()
            } else {
                directory.join(file).display().to_string()
            };
            let leads = root().join(&target).exists()
                && (fragment.is_empty() || fragments(&target).iter().any(|it| it == fragment));
            if !leads {
                broken.push(format!("{document}: {link}"));
            }
            checked += 1;
        }
    }

    assert!(checked > 50, "only {checked} links");
    assert!(broken.is_empty(), "{broken:#?}");
}
