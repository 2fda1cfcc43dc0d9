//! Checks that the imports of a crate form no circle: a module uses only modules below it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    assert_none,
    tree::{File, files},
};

/// The crates that are checked: the directory of the sources and the root module.
const CRATES: [(&str, &str); 11] = [
    ("proto/src", "lib"),
    ("chassis/process/src", "lib"),
    ("chassis/database/src", "lib"),
    ("chassis/serving/src", "lib"),
    ("chassis/src", "lib"),
    ("user-service/src", "lib"),
    ("post-service/src", "lib"),
    ("migrator/src", "lib"),
    ("src", "lib"),
    ("benches/services", "main"),
    ("tests/sources", "main"),
];

/// Path of a module from the root of its crate. The root itself is empty.
type Module = Vec<String>;

/// The imports of one file.
#[derive(Default)]
struct Imports {
    /// Used paths, from the root of the crate.
    used: BTreeSet<Module>,
    /// Re-exported names, each with the path of its item.
    reexports: BTreeMap<String, Module>,
}

/// Removes comments and string literals, but keeps the punctuation.
fn code_only(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |end| &rest[end + 2..]);
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// Splits a use tree into its paths, each with the name that it binds.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else {
        let (path, alias) = tree
            .split_once(" as ")
            .map_or((tree, None), |(path, alias)| {
                (path.trim(), Some(alias.trim().to_owned()))
            });
        let path: Vec<_> = path.split("::").map(|s| s.trim().to_owned()).collect();
        let name = alias.unwrap_or_else(|| path.last().unwrap().clone());
        return vec![(path, name)];
    };
    let prefix: Vec<_> = prefix.split("::").map(|s| s.trim().to_owned()).collect();
    let prefix = &prefix[..prefix.len() - 1];
    let inner = &rest[..rest.rfind('}').unwrap()];
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(leaves)
        .map(|(path, name)| ([prefix, &path].concat(), name))
        .collect()
}

/// Resolves `path` in `module` to a path from the root of the crate. Returns `None` for a path of
/// another crate.
fn absolute(module: &Module, path: &[String], known: &BTreeSet<Module>) -> Option<Module> {
    let mut base = module.clone();
    let rest = match path.first()?.as_str() {
        "crate" => {
            base.clear();
            &path[1..]
        }
        "self" => &path[1..],
        "super" => {
            let ups = path
                .iter()
                .take_while(|segment| *segment == "super")
                .count();
            base.truncate(base.len().checked_sub(ups)?);
            &path[ups..]
        }
        first => {
            // A child module named without `self`.
            base.push(first.to_owned());
            let is_child = known.contains(&base);
            base.pop();
            if !is_child {
                return None;
            }
            path
        }
    };
    base.extend(rest.iter().filter(|segment| *segment != "self").cloned());
    Some(base)
}

/// Returns the imports of one file: its `use` declarations and the qualified paths in its code.
fn imports(module: &Module, file: &File, known: &BTreeSet<Module>) -> Imports {
    let code = code_only(file.code());
    let mut imports = Imports::default();
    let mut rest = code.as_str();
    let mut other = String::new();
    while let Some(at) = rest.find("use ") {
        let before = &rest[..at];
        let starts =
            before.trim_end().ends_with([';', '}', ')', '{', ']']) || before.trim().is_empty();
        let public =
            before.trim_end().ends_with("pub") || before.trim_end().ends_with("pub(crate)");
        other.push_str(before);
        rest = &rest[at + 4..];
        if !starts && !public && !before.trim_end().ends_with("pub(super)") {
            continue;
        }
        let Some((tree, after)) = rest.split_once(';') else {
            break;
        };
        rest = after;
        for (path, name) in leaves(tree) {
            if let Some(path) = absolute(module, &path, known) {
                imports.reexports.insert(name, path.clone());
                imports.used.insert(path);
            }
        }
    }
    other.push_str(rest);
    // A module depends on its children.
    let children = known.iter().filter(|child| {
        child
            .split_last()
            .is_some_and(|(_, parent)| parent == module.as_slice())
    });
    imports.used.extend(children.cloned());
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in other.match_indices(start) {
            let path = other[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = path.into_iter().next().unwrap();
            let path: Vec<_> = path.split("::").map(str::to_owned).collect();
            imports.used.extend(absolute(module, &path, known));
        }
    }
    imports
}

/// Returns the module that defines an item: the longest prefix of its path that is a module,
/// followed through re-exports.
fn owner(path: &Module, all: &BTreeMap<Module, Imports>) -> Module {
    let mut path = path.clone();
    // Limits the length of a chain of re-exports.
    for _ in 0..8 {
        let depth = (0..=path.len())
            .rev()
            .find(|&n| all.contains_key(&path[..n]));
        let depth = depth.unwrap_or(0);
        let module = path[..depth].to_vec();
        let next = path
            .get(depth)
            .and_then(|name| all[&module].reexports.get(name));
        match next {
            Some(next) if *next != path => {
                path = [next.as_slice(), &path[depth + 1..]].concat();
            }
            _ => return module,
        }
    }
    path
}

/// Returns the modules that each module of a crate uses. Uses of its own ancestors are left out: an
/// ancestor depends on its children.
fn edges(folder: &str, root: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut sources = BTreeMap::new();
    for file in files(&[folder], ".rs") {
        let path = file.path.strip_prefix(folder).unwrap();
        let path = path.trim_start_matches('/').trim_end_matches(".rs");
        let mut module: Module = path.split('/').map(str::to_owned).collect();
        if module.last().unwrap() == "mod" || module == [root] {
            module.pop();
        }
        let is_test = module.iter().any(|part| part == "tests");
        let is_program = root == "lib" && module == ["main"];
        if !is_test && !is_program {
            sources.insert(module, file);
        }
    }
    let known: BTreeSet<_> = sources.keys().cloned().collect();
    let all: BTreeMap<_, _> = sources
        .iter()
        .map(|(module, file)| (module.clone(), imports(module, file, &known)))
        .collect();
    let edges = all.iter().map(|(module, imports)| {
        let used = imports.used.iter().map(|path| owner(path, &all));
        let used = used.filter(|used| !module.starts_with(used));
        (module.clone(), used.collect())
    });
    edges.collect()
}

/// Returns the modules that `start` uses directly or indirectly.
fn reached<'a>(
    start: &Module,
    edges: &'a BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<_> = edges[start].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(&edges[module]);
        }
    }
    reached
}

#[test]
fn imports_form_no_circle() {
    let mut found = Vec::new();
    for (folder, root) in CRATES {
        let edges = edges(folder, root);
        for module in edges.keys() {
            if reached(module, &edges).contains(module) {
                let others = edges[module].iter().map(|module| module.join("::"));
                let others: Vec<_> = others.collect();
                found.push(format!(
                    "{folder}: {} uses {}",
                    module.join("::"),
                    others.join(", ")
                ));
            }
        }
    }

    assert_none(&found, "these modules import each other in a circle");
}

#[test]
fn use_tree_is_split_into_all_its_paths() {
    let paths = leaves("crate::{a::{self, B}, c as d, super::e}");

    let paths: Vec<_> = paths
        .into_iter()
        .map(|(path, name)| (path.join("::"), name))
        .collect();
    let expected = [
        ("crate::a::self", "self"),
        ("crate::a::B", "B"),
        ("crate::c", "d"),
        ("crate::super::e", "e"),
    ];
    assert_eq!(
        paths,
        expected.map(|(path, name)| (path.to_owned(), name.to_owned()))
    );
}

#[test]
fn circle_through_a_re_export_of_the_root_is_found() {
    let file = |text: &str| File {
        path: String::new(),
        text: text.to_owned(),
    };
    let sources = [
        ("", file("mod a;\nmod b;\npub use self::a::A;\n")),
        ("a", file("use crate::b::B;\n// use crate::nowhere;\n")),
        ("b", file("fn b(a: crate::A) {}\n")),
    ];
    let module = |name: &str| -> Module {
        let parts = name.split("::").filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let known: BTreeSet<_> = sources.iter().map(|(name, _)| module(name)).collect();
    let all: BTreeMap<_, _> = sources
        .iter()
        .map(|(name, file)| (module(name), imports(&module(name), file, &known)))
        .collect();

    let used = |name: &str| -> Vec<_> {
        let used = all[&module(name)].used.iter();
        used.map(|path| owner(path, &all)).collect()
    };

    assert_eq!(used("a"), [module("b")]);
    assert_eq!(used("b"), [module("a")]);
}
