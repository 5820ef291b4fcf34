//! The arrows between our crates point inward, as ARCHITECTURE.md says.

#![expect(clippy::expect_used, reason = "a test says what it expected")]

use std::collections::BTreeMap;
use std::process::Command;

/// Who may depend on whom. Everything else of ours is forbidden.
const ARROWS: [(&str, &[&str]); 10] = [
    ("irisflow-image", &[]),
    ("irisflow-jobs", &[]),
    ("irisflow-messages", &["irisflow-image", "irisflow-jobs"]),
    ("irisflow-sqlite", &["irisflow-jobs"]),
    ("irisflow-photos", &["irisflow-jobs"]),
    ("irisflow-bus", &["irisflow-jobs"]),
    (
        "irisflow-worker",
        &[
            "irisflow-image",
            "irisflow-jobs",
            "irisflow-messages",
            "irisflow-photos",
        ],
    ),
    (
        "irisflow-server",
        &[
            "irisflow-image",
            "irisflow-jobs",
            "irisflow-messages",
            "irisflow-photos",
        ],
    ),
    ("irisflow-client", &[]),
    (
        "irisflow",
        &[
            "irisflow-bus",
            "irisflow-client",
            "irisflow-image",
            "irisflow-jobs",
            "irisflow-messages",
            "irisflow-photos",
            "irisflow-server",
            "irisflow-sqlite",
            "irisflow-worker",
        ],
    ),
];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let normal = |dependency: &&serde_json::Value| dependency["kind"].is_null();
    packages
        .iter()
        .map(|package| {
            let ours = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter();
            let ours = ours
                .filter(normal)
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| name.starts_with("irisflow"))
                .map(str::to_owned)
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), ours)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_they_may() {
    let dependencies = dependencies();
    for (name, allowed) in ARROWS {
        let found = dependencies
            .get(name)
            .unwrap_or_else(|| panic!("{name} is a crate"));
        for dependency in found {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} depends on {dependency}"
            );
        }
    }
}

#[test]
fn the_offline_command_uses_the_imaging_core_alone() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut files = vec![std::path::PathBuf::from(sources).join("process.rs")];
    let folder = std::fs::read_dir(std::path::Path::new(sources).join("process"));
    files.extend(
        folder
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path()),
    );
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for line in text.lines().filter(|line| line.contains("irisflow_")) {
            assert!(
                line.contains("irisflow_image"),
                "{}: {line}",
                file.display()
            );
        }
    }
}
