//! `cargo xtask bench watch`: what watching costs and how fast it is: idle watchers, the time from a commit to the
//! client's socket, finished jobs that are reopened for ever, a reconnect storm. Baselines: the design with a task per
//! watcher that reads its job twice a second, and Socket.IO.
//!
//! The server is a child process (`server.rs`), whose memory and CPU time are measured; the clients run here.

mod clients;
mod scenarios;
mod server;
mod socketio;

use anyhow::Context as _;

pub(crate) use server::ServeArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Idle watchers, each of an account of its own.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Watchers while the latency of events is measured.
    #[arg(long, default_value_t = 2_000)]
    connected: usize,
    /// Events per second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Clients that reopen a finished job every two seconds.
    #[arg(long, default_value_t = 1_000)]
    reopening: usize,
    /// Sockets that never read, beside those whose latency is measured.
    #[arg(long, default_value_t = 1_000)]
    stalled: usize,
    /// Only these scenarios: `idle`, `waiting`, `polling`, `latency`, `stalled`, `one-user`, `burning`, `reopen`,
    /// `storm`, `socketio`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

pub(super) async fn run(arguments: WatchArgs) -> anyhow::Result<()> {
    raise_descriptor_limit().context("raising the limit of open files")?;
    scenarios::run(&arguments).await
}

pub(super) async fn serve(arguments: ServeArgs) -> anyhow::Result<()> {
    raise_descriptor_limit().context("raising the limit of open files")?;
    server::run(arguments).await
}

fn raise_descriptor_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    Ok(())
}

/// Nanoseconds of the clock that all processes of the machine share.
fn monotonic_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
