//! The comparison with Socket.IO (`xtask/baselines/socketio`), the common library for pushing events to browsers: the
//! same numbers of sockets and events, with its own way to recover a connection switched on. It stores nothing and
//! checks no token, so it does less work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio_tungstenite::tungstenite::Message;

use super::WatchArgs;
use super::clients::{MeasuredServer, Socket, open};
use super::monotonic_ns;
use super::scenarios::{SETTLING, kib_each, percentile, share_of_core};
use crate::test::workspace_root;

pub(super) async fn run(arguments: &WatchArgs) -> anyhow::Result<()> {
    let folder = match tokio::task::block_in_place(installed) {
        Ok(folder) => folder,
        Err(error) => {
            println!("| baseline: Socket.IO: skipped ({error:#}) | | | | | | |");
            return Ok(());
        }
    };
    idle(arguments, &folder).await?;
    latency(arguments, &folder).await
}

/// The folder of the program with its packages; npm installs them where they are missing.
fn installed() -> anyhow::Result<PathBuf> {
    let root = workspace_root()?;
    let source = root.join("xtask/baselines/socketio");
    let folder = root.join("target/baselines/socketio");
    std::fs::create_dir_all(&folder)?;
    for name in ["package.json", "package-lock.json", "server.mjs"] {
        std::fs::copy(source.join(name), folder.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--no-audit", "--no-fund"]);
    let status = npm.current_dir(&folder).status().context("npm ci")?;
    if !status.success() {
        bail!("npm ci: {status}");
    }
    Ok(folder)
}

fn start(folder: &PathBuf) -> anyhow::Result<MeasuredServer> {
    let mut node = Command::new("node");
    node.arg("server.mjs").current_dir(folder);
    MeasuredServer::spawn(node)
}

async fn idle(arguments: &WatchArgs, folder: &PathBuf) -> anyhow::Result<()> {
    let server = start(folder)?;
    let before = server.memory()?;
    let sockets = connect_all(server.address, arguments.idle).await?;
    let (_times, _tasks) = receive(sockets);
    tokio::time::sleep(SETTLING).await;
    let kib = kib_each(before, server.memory()?, arguments.idle);
    let share = share_of_core(&server, arguments.seconds.max(30)).await?;
    println!(
        "| baseline: Socket.IO, idle | {} | {kib:.1} | {:.2} % | | | |",
        arguments.idle,
        share * 100.0
    );
    Ok(())
}

async fn latency(arguments: &WatchArgs, folder: &PathBuf) -> anyhow::Result<()> {
    let (accounts, rate, seconds) = (arguments.connected, arguments.rate, arguments.seconds);
    let mut server = start(folder)?;
    let (times, _tasks) = receive(connect_all(server.address, accounts).await?);
    let before = server.cpu()?;
    server.command(&format!("produce {accounts} {rate} {seconds}"))?;
    let share = (server.cpu()? - before).as_secs_f64() / seconds as f64;
    tokio::time::sleep(SETTLING).await;
    let mut times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_by(f64::total_cmp);
    let missing = (u64::from(rate) * seconds).saturating_sub(times.len() as u64);
    println!(
        "| baseline: Socket.IO, events of many accounts from its memory, {rate} a second | {accounts} | | {:.0} % | {:.2} | {:.2} | {} received, {missing} missing |",
        share * 100.0,
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        times.len()
    );
    Ok(())
}

async fn connect_all(address: SocketAddr, sockets: usize) -> anyhow::Result<Vec<Socket>> {
    stream::iter(0..sockets)
        .map(|account| connect(address, account))
        .buffer_unordered(64)
        .try_collect()
        .await
}

/// A socket that has joined the default namespace: `0{...}` opens the session, `40` joins.
async fn connect(address: SocketAddr, account: usize) -> anyhow::Result<Socket> {
    let path = format!("/socket.io/?EIO=4&transport=websocket&account={account}");
    let mut socket = open(address, &path, account).await?;
    socket.send(Message::text("40")).await?;
    while let Some(message) = socket.next().await {
        if message?.to_text()?.starts_with("40") {
            return Ok(socket);
        }
    }
    bail!("the connection was closed before it had joined")
}

type Times = Arc<Mutex<Vec<f64>>>;

/// Milliseconds from each event to its arrival. Answers pings.
fn receive(sockets: Vec<Socket>) -> (Times, Vec<tokio::task::JoinHandle<()>>) {
    let times = Times::default();
    let tasks = sockets.into_iter().map(|mut socket| {
        let times = Arc::clone(&times);
        tokio::spawn(async move {
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let now = monotonic_ns();
                if text.as_str() == "2" {
                    if socket.send(Message::text("3")).await.is_err() {
                        return;
                    }
                } else if let Some(at) = sent_at(&text) {
                    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                    times.push((now - at) as f64 / 1e6);
                }
            }
        })
    });
    let tasks = tasks.collect();
    (times, tasks)
}

fn sent_at(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(r#""at":""#)?;
    rest.split('"').next()?.parse().ok()
}
