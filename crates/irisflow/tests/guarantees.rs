//! Every test that docs/guarantees.md names is there.

#![expect(clippy::expect_used, reason = "a test says what it expected")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources_below(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources_below(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// What stands between backticks and looks like the name of a test: words joined by underscores.
fn named_tests(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.contains('_') && name.chars().all(plain)
    };
    quoted.filter(is_name).collect()
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let text = std::fs::read_to_string(root().join("docs/guarantees.md")).expect("the guarantees");
    let mut sources = String::new();
    sources_below(&root().join("crates"), &mut sources);
    let named = named_tests(&text);
    assert!(named.len() > 40, "only {} tests are named", named.len());
    for name in named {
        assert!(
            sources.contains(&format!("fn {name}(")),
            "no test is called {name}"
        );
    }
}

#[test]
fn every_promise_names_a_test() {
    let text = std::fs::read_to_string(root().join("docs/guarantees.md")).expect("the guarantees");
    for promise in text.split("\n\n").filter(|part| part.starts_with("**")) {
        assert!(!named_tests(promise).is_empty(), "no test: {promise}");
    }
}
