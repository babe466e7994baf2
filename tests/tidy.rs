//! Holds the repository to its own rules: layers, one importer for each outside crate, module documents.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test fails where it is wrong")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. A module uses those before it, and those on its own line that stand before it.
const LAYERS: &[&[&str]] = &[
    &["error", "name", "secret", "tls", "types", "setting", "encode", "audit", "notification", "activity", "listing"],
    &["govern", "catalog", "metastore"],
    &["lake", "login", "warehouse", "advisory", "context", "guard"],
    &["config"],
    &["pg", "transaction"],
    &["statement"],
    &["plan", "secure", "execute"],
    &["session"],
    &["upkeep", "wire"],
    &["demo", "app"],
];

/// Only these modules may name the crate.
const IMPORTERS: &[(&str, &[&str])] = &[
    ("pgwire", &["wire"]),
    ("rustls", &["wire", "tls", "login"]),
    ("aws_config", &["secret"]),
    ("aws_lc_rs", &["secret"]),
    ("aws_sdk_kms", &["secret"]),
    ("aws_smithy_http_client", &["secret"]),
    ("zeroize", &["secret"]),
    ("ldap3", &["login"]),
    ("jsonwebtoken", &["login"]),
    ("reqwest", &["login"]),
    ("x509_parser", &["wire"]),
    ("tokio_rustls", &["wire"]),
    ("tokio_postgres_rustls", &["metastore"]),
    ("rusqlite", &["metastore"]),
    ("tokio_postgres", &["metastore"]),
    ("object_store", &["lake", "warehouse", "error"]),
    ("argon2", &["govern"]),
    ("clap", &["main"]),
    ("toml", &["config"]),
];

const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "docker",
    "docs",
    "sql",
    "src",
    "target",
    "tests",
    "boathouse-data",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each source file with the module it belongs to.
fn modules() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&src).unwrap();
            let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (first.trim_end_matches(".rs").to_owned(), path, text)
        })
        .collect()
}

fn rank(module: &str) -> Option<(usize, usize)> {
    LAYERS
        .iter()
        .enumerate()
        .find_map(|(layer, names)| names.iter().position(|name| *name == module).map(|at| (layer, at)))
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut faults = Vec::new();
    for (module, path, text) in modules() {
        let Some(own) = rank(&module) else {
            if !matches!(module.as_str(), "lib" | "main") {
                faults.push(format!("{}: module {module} is in no layer", path.display()));
            }
            continue;
        };
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if name.is_empty() || name == module {
                continue;
            }
            match rank(&name) {
                Some(used) if used <= own => {}
                Some(_) => faults.push(format!("{}: {module} may not use {name}", path.display())),
                None => faults.push(format!("{}: unknown module {name}", path.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn outside_crates_have_one_importer() {
    let mut faults = Vec::new();
    for (module, path, text) in modules() {
        for (name, allowed) in IMPORTERS {
            let named = text.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::")) && !line.starts_with("//")
            });
            if named && !allowed.contains(&module.as_str()) {
                faults.push(format!("{}: only {allowed:?} may use {name}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (_, path, text) in modules() {
        assert!(text.starts_with("//!"), "{} has no module document", path.display());
        for word in ["todo!(", "FIXME", "dbg!("] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn the_top_level_keeps_its_shape() {
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

/// What `tests/mutants/run` changes is there to be changed.
#[test]
fn mutants_are_of_this_source() {
    let listed = fs::read_to_string(root().join("tests/mutants/mutants.toml")).unwrap();
    let listed: toml::Table = toml::from_str(&listed).unwrap();
    let mutants = listed.get("mutant").and_then(|mutants| mutants.as_array()).unwrap();
    for mutant in mutants {
        let part = |name: &str| mutant.get(name).and_then(|part| part.as_str()).unwrap();
        let source = fs::read_to_string(root().join(part("file"))).unwrap();
        assert_eq!(source.matches(part("old")).count(), 1, "{}", part("name"));
    }
}
