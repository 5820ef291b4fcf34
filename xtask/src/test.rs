//! `cargo xtask test`: installs what is missing, then checks everything. What cannot be run here is
//! named at the end, with the reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::faults::{self, FaultsArgs};
use crate::running_server::RunningServer;
use crate::schemathesis;

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {}

/// The features under which tests run: planned failures, and the suites that stores must pass.
pub(crate) const FEATURES: &str = "irisflow/faults,irisflow-jobs/conformance";

pub(crate) fn run(_: TestArgs) -> anyhow::Result<()> {
    let root = workspace_root()?;
    let mut skipped = Vec::new();

    step("format", cargo(&root, &["fmt", "--all", "--check"]))?;
    let web = web_checks(&root, &mut skipped)?;
    step(
        "lints",
        cargo(
            &root,
            &[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--features",
                FEATURES,
                "--",
                "-D",
                "warnings",
            ],
        ),
    )?;
    step(
        "documentation",
        cargo(
            &root,
            &[
                "doc",
                "--locked",
                "--workspace",
                "--no-deps",
                "--features",
                FEATURES,
            ],
        )
        .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    dependency_checks(&root, &mut skipped)?;
    step(
        "unit, conformance and black-box tests",
        cargo(
            &root,
            &["test", "--locked", "--workspace", "--features", FEATURES],
        ),
    )?;
    println!("== the crash matrix, a small run");
    let faulty = FaultsArgs::small(root.join("target/debug/irisflow"));
    skipped.extend(faults::run(faulty)?);
    description_test(&root, &mut skipped)?;
    if web {
        browser_test(&root, &mut skipped)?;
    }

    report(&skipped);
    Ok(())
}

/// Checks and tests of the web app. `false` when there is no Node to run them.
fn web_checks(root: &Path, skipped: &mut Vec<String>) -> anyhow::Result<bool> {
    if !runs("npm", &["--version"]) {
        skipped.push("web app: checks, tests, browser test (no Node.js with npm here)".to_owned());
        return Ok(false);
    }
    let web = root.join("web");
    step(
        "web: packages",
        npm(&web, &["ci", "--no-audit", "--no-fund"]),
    )?;
    step("web: types and markup", npm(&web, &["run", "check"]))?;
    step("web: unit tests", npm(&web, &["test"]))?;
    step("web: build", npm(&web, &["run", "build"]))?;
    Ok(true)
}

/// Licences, bans and sources. Advisories need a database that is fetched, so they are not held
/// against a build that may be offline.
fn dependency_checks(root: &Path, skipped: &mut Vec<String>) -> anyhow::Result<()> {
    if !runs("cargo", &["deny", "--version"]) {
        skipped.push("licences and bans (install with `cargo install cargo-deny`)".to_owned());
        return Ok(());
    }
    step(
        "licences and bans",
        cargo(
            root,
            &["deny", "--offline", "check", "licenses", "bans", "sources"],
        ),
    )
}

/// The service against its own description.
fn description_test(root: &Path, skipped: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(program) = schemathesis::find_or_install(root) else {
        skipped.push("schemathesis (no Python here, or pip could not install it)".to_owned());
        return Ok(());
    };
    let program_path = root.join("target/debug/irisflow");
    let server = RunningServer::start(&program_path, &schemathesis::UNLIMITED)?;
    step(
        "schemathesis: the service keeps to its description",
        // It keeps notes of its own where it runs, and finds its settings in the folders above.
        schemathesis::command(&program, &server)?.current_dir(root.join("target")),
    )
}

/// Where the browser test serves a page that may call.
const OTHER_ORIGIN: &str = "http://localhost:4710";

/// The stories in a real browser at phone size.
fn browser_test(root: &Path, skipped: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(chromium) = find_or_install_chromium() else {
        skipped.push("browser test (no Chromium here, and none could be installed)".to_owned());
        return Ok(());
    };
    let photos = root.join("crates/irisflow-image/tests/photos");
    let program = root.join("target/debug/irisflow");
    let server = RunningServer::start(&program, &["--allowed-origins", OTHER_ORIGIN])?;
    let asks_for_consent =
        RunningServer::start(&program, &["--consent-required", "--workers", "1"])?;
    step(
        "browser: the whole path, edge cases, pages of other origins",
        npm(&root.join("web"), &["run", "e2e"])
            .env("BASE_URL", &server.url)
            .env("CONSENT_URL", &asks_for_consent.url)
            .env("ALLOWED_ORIGIN", OTHER_ORIGIN)
            .env("CHROMIUM", chromium)
            .env("PHOTO", photos.join("pixabay_eye_2154384.jpg"))
            .env("BAD_PHOTO", photos.join("mdn_teddy-bear.jpg")),
    )
}

fn find_or_install_chromium() -> Option<&'static str> {
    const CHROMIUM: &str = "/usr/bin/chromium";
    if Path::new(CHROMIUM).exists() {
        return Some(CHROMIUM);
    }
    println!("== Chromium is missing; installing it with apt-get");
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success())
    };
    let installed = apt(&["update", "-q"])
        && apt(&["install", "-y", "-q", "--no-install-recommends", "chromium"]);
    (installed && Path::new(CHROMIUM).exists()).then_some(CHROMIUM)
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root);
    command
}

fn npm(web: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(web);
    command
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn step(name: &str, command: impl std::borrow::BorrowMut<Command>) -> anyhow::Result<()> {
    let mut command = command;
    println!("== {name}");
    let begun = std::time::Instant::now();
    let status = command
        .borrow_mut()
        .status()
        .with_context(|| format!("starting: {name}"))?;
    println!("== {name}: {status}, {} s", begun.elapsed().as_secs());
    if !status.success() {
        bail!("{name} failed");
    }
    Ok(())
}

fn report(skipped: &[String]) {
    println!("== everything that was run has passed");
    for what in skipped {
        println!("== SKIPPED: {what}");
    }
}

pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .map(Path::to_owned)
        .context("the folder above xtask")
}
