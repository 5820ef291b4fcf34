//! The baseline: Celery and Redis, beside a database on the same PostgreSQL server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use irisflow_test_servers::PostgresServer;

use super::{QueueArgs, Run};
use crate::bench::process_cpu::{cpu_of_ended_children, cpu_of_tree};
use crate::test::workspace_root;

/// A missing requirement of the baseline, if any.
pub(super) fn missing_requirement(python: &Path) -> Option<&'static str> {
    let runs = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs(Path::new("redis-server"), &["--version"]) {
        return Some("no redis-server; `apt-get install redis-server`");
    }
    if !runs(python, &["-c", "import celery, redis, psycopg"]) {
        return Some(
            "no Celery; `pip install 'celery[redis]' 'psycopg[binary]'`, and name that Python with --python",
        );
    }
    None
}

/// Child processes, terminated on drop.
struct ChildProcesses(Vec<Child>);

impl Drop for ChildProcesses {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // SIGTERM, so that the Celery worker ends its own processes; it may have ended already.
            let _ = Command::new("kill")
                .args(["-TERM", &child.id().to_string()])
                .status();
            let _ = child.wait();
        }
    }
}

pub(super) fn run(arguments: &QueueArgs, postgres: &PostgresServer) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let port = TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port()
        .to_string();
    let redis = format!("redis://127.0.0.1:{port}/0");
    let python = |arguments_of: &[&str]| {
        let mut command = Command::new(&arguments.python);
        command
            .args(arguments_of)
            .current_dir(workspace_root().unwrap_or_default().join("xtask/baselines"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BASELINE_REDIS", &redis)
            .env("BASELINE_DATABASE", postgres.url("postgres"))
            .stderr(Stdio::null());
        command
    };
    let mut running = ChildProcesses(Vec::new());
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    running.0.push(started.context("starting Redis")?);
    let slots = arguments.slots.to_string();
    let mut worker = python(&["-m", "celery", "-A", "celery_bookkeeping", "worker"]);
    worker.args(["--concurrency", &slots]).stdout(Stdio::null());
    running
        .0
        .insert(0, worker.spawn().context("starting Celery")?);

    // A first run without jobs waits for the worker's start, which is not measured.
    let clients = arguments.clients.to_string();
    let jobs = arguments.baseline_jobs.to_string();
    let submit = |jobs| submit(&mut python(&["celery_bookkeeping.py", jobs, &clients]));
    submit("0")?;
    let server = postgres.process_id()?;
    let before = (cpu_of_all(&running)?, cpu_of_tree(server)?);
    let (wall, client_cpu) = submit(&jobs)?;
    let servers = cpu_of_tree(server)?.saturating_sub(before.1);
    let redis = running.0.last().map(Child::id).context("Redis runs")?;
    let own = cpu_of_all(&running)?.saturating_sub(before.0);
    Ok(Run {
        jobs: arguments.baseline_jobs,
        wall,
        cpu: own + client_cpu + servers,
        servers: servers + cpu_of_tree(redis)?,
    })
}

/// Runs the client. Returns the time it prints, and its own CPU time.
fn submit(client: &mut Command) -> anyhow::Result<(Duration, Duration)> {
    let children = cpu_of_ended_children()?;
    let output = client.output().context("running the baseline's client")?;
    if !output.status.success() {
        bail!("the baseline's client failed");
    }
    let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let cpu = cpu_of_ended_children()?.saturating_sub(children);
    Ok((Duration::from_secs_f64(seconds), cpu))
}

fn cpu_of_all(running: &ChildProcesses) -> anyhow::Result<Duration> {
    let mut cpu = Duration::ZERO;
    for child in &running.0 {
        cpu += cpu_of_tree(child.id())?;
    }
    Ok(cpu)
}
