//! Each promise of docs/guarantees.md names tests, and each of them is one that runs.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn guarantees() -> String {
    std::fs::read_to_string(root().join("docs/guarantees.md")).expect("the guarantees")
}

fn sources_below(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources_below(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// The name of a function that this line begins.
fn function_name(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("pub ");
    let rest = line.trim_start_matches("async ").strip_prefix("fn ")?;
    rest.split('(').next()
}

/// The functions of a file that the test runner calls: with the attribute of a test, and not ignored.
fn tests_in(source: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut attributes = String::new();
    let mut open = 0_usize;
    for line in source.lines() {
        let line = line.trim();
        if open > 0 || line.starts_with("#[") {
            attributes.push_str(line);
            open += line.matches('[').count();
            open = open.saturating_sub(line.matches(']').count());
        } else if let Some(name) = function_name(line) {
            let is_test = ["#[test]", "#[tokio::test"];
            let is_test = is_test.iter().any(|test| attributes.contains(test));
            if is_test && !attributes.contains("#[ignore") {
                tests.push(name);
            }
            attributes.clear();
        } else if !line.starts_with("//") {
            attributes.clear();
        }
    }
    tests
}

/// The conformance cases of a file that defines a macro like `every_store_must_pass`, which turns them into tests.
fn conformance_cases(source: &str) -> Vec<&str> {
    let suites = source.split("_tests! {").skip(1);
    let names = suites.filter_map(|suite| suite.split_once(':')?.1.split('}').next());
    names
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The name of the macro by which other crates run the suites of this file.
fn suite_macro(source: &str) -> Option<&str> {
    let (_, rest) = source.split_once("\nmacro_rules! every_")?;
    let name = rest.split_whitespace().next()?;
    let start = source.len() - rest.len() - "every_".len();
    source.get(start..start + "every_".len() + name.len())
}

fn all_tests() -> BTreeSet<String> {
    let mut sources = Vec::new();
    sources_below(&root().join("crates"), &mut sources);
    sources_below(&root().join("xtask"), &mut sources);
    let mut tests: BTreeSet<String> = BTreeSet::new();
    for source in &sources {
        tests.extend(tests_in(source).into_iter().map(str::to_owned));
    }
    for suite in &sources {
        let Some(name) = suite_macro(suite) else {
            continue;
        };
        let call = format!("::{name}!(");
        let is_run = sources.iter().any(|source| source.contains(&call));
        assert!(is_run, "no crate runs {name}");
        tests.extend(conformance_cases(suite).into_iter().map(str::to_owned));
    }
    tests
}

/// What stands between backticks and looks like the name of a test: words joined by underscores.
fn named_tests(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.matches('_').count() >= 2 && name.chars().all(plain)
    };
    quoted.filter(is_name).collect()
}

#[test]
fn every_test_that_the_guarantees_name_is_run() {
    let (text, tests) = (guarantees(), all_tests());
    let named = named_tests(&text);
    assert!(named.len() > 40, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !tests.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "no test that runs is called {missing:#?}"
    );
}

#[test]
fn every_promise_names_a_test() {
    let text = guarantees();
    let promises = text.split("\n\n").filter(|part| part.starts_with("**"));
    let mut count = 0;
    for promise in promises {
        assert!(!named_tests(promise).is_empty(), "no test: {promise}");
        count += 1;
    }
    assert!(count > 20, "only {count} promises are found");
}

#[test]
fn nothing_is_ignored() {
    let mut sources = Vec::new();
    sources_below(&root().join("crates"), &mut sources);
    sources_below(&root().join("xtask/src"), &mut sources);
    // Written so that this file does not name it.
    let ignored = concat!("#[", "ignore");
    let begins = |line: &str| line.trim_start().starts_with(ignored);
    let ignored = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter(|line| begins(line));
    assert_eq!(
        ignored.count(),
        0,
        "a timing belongs in `cargo xtask bench`"
    );
}

#[test]
fn only_functions_that_the_runner_calls_count_as_tests() {
    let source = "#[test]\nfn runs() {}\n#[test]\n#[ignore = \"slow\"]\nfn sleeps() {}\nfn helps() {}\n\
        #[expect(\n    clippy::x,\n    reason = \"y\"\n)]\n#[tokio::test(flavor = \"multi_thread\")]\n\
        async fn waits() {}\n#[test]\nconst X: u8 = 1;\nfn is_none() {}\n";
    assert_eq!(tests_in(source), ["runs", "waits"]);
    assert_eq!(
        conformance_cases("store_tests! { $open, a:\n x_y,\n z, }\n bus_tests! { $open: c, }"),
        ["x_y", "z", "c"]
    );
    let suite = "#[macro_export]\nmacro_rules! every_bus_must_pass {";
    assert_eq!(suite_macro(suite), Some("every_bus_must_pass"));
}
