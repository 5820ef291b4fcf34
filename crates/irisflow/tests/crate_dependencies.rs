//! The dependencies between our crates are exactly the ones that ARCHITECTURE.md describes.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Of one crate, what it depends on of ours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrows {
    /// In the product.
    normal: BTreeSet<String>,
    /// In its tests alone.
    dev: BTreeSet<String>,
    build: BTreeSet<String>,
}

/// Every crate of the workspace: its name, its dependencies, those of its tests alone.
const ARROWS: [(&str, &[&str], &[&str]); 15] = [
    ("irisflow-image", &[], &[]),
    ("irisflow-jobs", &[], &[]),
    ("irisflow-messages", &["image", "jobs"], &[]),
    ("irisflow-sqlite", &["jobs"], &["jobs"]),
    ("irisflow-postgres", &["jobs"], &["jobs", "test-servers"]),
    ("irisflow-photos", &["jobs"], &["photos"]),
    (
        "irisflow-s3",
        &["jobs", "photos"],
        &["photos", "test-servers"],
    ),
    ("irisflow-bus", &["jobs"], &["jobs", "test-servers"]),
    (
        "irisflow-worker",
        &["image", "jobs", "messages", "photos"],
        &["bus", "sqlite"],
    ),
    (
        "irisflow-server",
        &["image", "jobs", "messages", "photos"],
        &["bus", "sqlite"],
    ),
    ("irisflow-client", &[], &[]),
    (
        "irisflow",
        &[
            "bus", "client", "image", "jobs", "messages", "photos", "postgres", "s3", "server",
            "sqlite", "worker",
        ],
        &["test-servers"],
    ),
    ("irisflow-synth", &[], &[]),
    ("irisflow-test-servers", &[], &[]),
    (
        "xtask",
        &[
            "bus",
            "client",
            "image",
            "jobs",
            "photos",
            "postgres",
            "server",
            "sqlite",
            "synth",
            "test-servers",
            "worker",
        ],
        &[],
    ),
];

fn expected() -> BTreeMap<String, Arrows> {
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("irisflow-{name}"))
            .collect()
    };
    let arrows = |(name, normal, dev): (&str, &[&str], &[&str])| {
        let arrows = Arrows {
            normal: set(normal),
            dev: set(dev),
            build: BTreeSet::new(),
        };
        (name.to_owned(), arrows)
    };
    ARROWS.into_iter().map(arrows).collect()
}

fn cargo_metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline"])
        .args(["--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the manifests say. Ours is what has a path; everything else comes from a registry.
fn found() -> BTreeMap<String, Arrows> {
    let metadata = cargo_metadata();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let mut arrows = Arrows::default();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["path"].is_null() {
                continue;
            }
            let names = match dependency["kind"].as_str() {
                None => &mut arrows.normal,
                Some("dev") => &mut arrows.dev,
                _ => &mut arrows.build,
            };
            names.insert(dependency["name"].as_str().expect("a name").to_owned());
        }
        let name = package["name"].as_str().expect("a name").to_owned();
        found.insert(name, arrows);
    }
    found
}

#[test]
fn crates_depend_on_exactly_what_the_architecture_says() {
    let (expected, found) = (expected(), found());
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for name in names {
        assert_eq!(found.get(name), expected.get(name), "{name}");
    }
}

/// Files of the program that a module consists of: `NAME.rs`, and all of the folder `NAME`.
fn files_of(module: &str, sources: &Path) -> Vec<PathBuf> {
    let mut files = vec![sources.join(module).with_extension("rs")];
    if let Ok(folder) = std::fs::read_dir(sources.join(module)) {
        files.extend(folder.map(|entry| entry.expect("an entry").path()));
    }
    files.retain(|file| file.exists());
    files
}

/// The words that follow `prefix` in a text.
fn words_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = text.split(prefix).skip(1);
    after
        .map(|rest| rest.chars().take_while(|&c| part_of_name(c)).collect())
        .collect()
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = |path: PathBuf| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    };
    paths.flat_map(files).collect()
}

/// The crate of object storage holds both the port and its implementation by files, so that dependencies between
/// crates do not show who uses which.
#[test]
fn server_and_worker_name_no_implementation_of_a_port() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["irisflow-server", "irisflow-worker"] {
        let files = files_below(&crates.join(name).join("src"));
        assert!(files.len() > 10, "{name}");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for implementation in ["FileStore", "S3Store", "LocalBus", "NatsBus", "SqliteStore"] {
                assert!(!product.contains(implementation), "{}", file.display());
            }
        }
    }
}

/// `process` and `check`, and every module of the program that they use, directly or not.
#[test]
fn the_offline_commands_use_the_imaging_core_and_the_texts_alone() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = vec!["process".to_owned(), "check".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(module) = modules.pop() {
        for file in files_of(&module, &sources) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let crates = words_after(&text, "irisflow_");
            let allowed = ["image", "messages"];
            let others = crates
                .iter()
                .filter(|name| !allowed.contains(&name.as_str()));
            let others: Vec<_> = others.collect();
            assert!(others.is_empty(), "{}: {others:?}", file.display());
            let used = words_after(&text, "crate::");
            modules.extend(
                used.into_iter()
                    .filter(|module| seen.insert(module.clone())),
            );
        }
    }
    assert!(seen.len() > 2, "modules are followed: {seen:?}");
}
