//! The scenarios and their tables.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_tungstenite::tungstenite::Message;

use super::clients::{Arrivals, MeasuredServer, Socket, follow, follow_all, note_arrivals, open};
use super::{WatchArgs, socketio};

/// For what is under way when a measurement begins or ends.
pub(super) const SETTLING: Duration = Duration::from_secs(3);

pub(super) async fn run(arguments: &WatchArgs) -> anyhow::Result<()> {
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    println!("| scenario | watchers | KiB each | share of a core | p50 ms | p99 ms | remarks |");
    println!("|---|---|---|---|---|---|---|");
    if wanted("idle") {
        idle(arguments).await?;
    }
    if wanted("waiting") {
        waiting(arguments).await?;
    }
    if wanted("polling") {
        polling(arguments)?;
    }
    if wanted("latency") {
        latency(arguments, "events of many accounts", arguments.connected, 0).await?;
    }
    if wanted("stalled") {
        stalled(arguments).await?;
    }
    if wanted("one-user") {
        latency(arguments, "events of one account", 1, 0).await?;
    }
    if wanted("burning") {
        latency(
            arguments,
            "the same while all cores are busy",
            arguments.connected,
            2,
        )
        .await?;
    }
    if wanted("reopen") {
        reopen(arguments).await?;
    }
    if wanted("storm") {
        storm(arguments).await?;
    }
    if wanted("socketio") {
        socketio::run(arguments).await?;
    }
    Ok(())
}

/// Share of a core while `seconds` pass.
pub(super) async fn share_of_core(server: &MeasuredServer, seconds: u64) -> anyhow::Result<f64> {
    let before = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok((server.cpu()? - before).as_secs_f64() / seconds as f64)
}

pub(super) fn kib_each(before: u64, after: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / 1024.0 / count as f64
}

async fn idle(arguments: &WatchArgs) -> anyhow::Result<()> {
    let server = MeasuredServer::start(arguments.idle)?;
    let before = server.memory()?;
    let sockets = follow_all(server.address, &server.tokens, arguments.idle, |number| {
        number
    })
    .await?;
    let (_arrivals, _tasks) = note_arrivals(sockets);
    tokio::time::sleep(SETTLING).await;
    let kib = kib_each(before, server.memory()?, arguments.idle);
    let share = share_of_core(&server, arguments.seconds.max(30)).await?;
    println!(
        "| idle | {} | {kib:.1} | {:.2} % | | | |",
        arguments.idle,
        share * 100.0
    );
    Ok(())
}

/// Sockets of one job each, which wait in the queue.
async fn waiting(arguments: &WatchArgs) -> anyhow::Result<()> {
    let mut server = MeasuredServer::start(arguments.connected)?;
    server.command(&format!("jobs {} waiting", arguments.connected))?;
    let jobs = server.jobs()?;
    let before = server.memory()?;
    let (address, tokens) = (server.address, &server.tokens);
    let opened = stream::iter(jobs.iter().enumerate()).map(|(number, job_id)| async move {
        let path = format!("/ws/jobs/{job_id}?token={}", tokens[number]);
        anyhow::Ok((number, open(address, &path, number).await?))
    });
    let sockets: Vec<(usize, Socket)> = opened.buffer_unordered(64).try_collect().await?;
    let (_arrivals, _tasks) = note_arrivals(sockets);
    tokio::time::sleep(SETTLING).await;
    let kib = kib_each(before, server.memory()?, arguments.connected);
    let share = share_of_core(&server, arguments.seconds).await?;
    println!(
        "| waiting jobs, a socket each | {} | {kib:.1} | {:.2} % | | | |",
        arguments.connected,
        share * 100.0
    );
    Ok(())
}

fn polling(arguments: &WatchArgs) -> anyhow::Result<()> {
    let mut server = MeasuredServer::start(arguments.connected)?;
    let before = server.cpu()?;
    server.command(&format!(
        "poll {} {}",
        arguments.connected, arguments.seconds
    ))?;
    let share = (server.cpu()? - before).as_secs_f64() / arguments.seconds as f64;
    println!(
        "| baseline: a task that reads its job twice a second, without a socket | {} | | {:.0} % | | | |",
        arguments.connected,
        share * 100.0
    );
    Ok(())
}

/// Time from each commit to its arrival at the client. With one account, all sockets receive each event.
async fn latency(
    arguments: &WatchArgs,
    name: &str,
    users: usize,
    burning: usize,
) -> anyhow::Result<()> {
    let mut server = MeasuredServer::start(users)?;
    let sockets = follow_all(
        server.address,
        &server.tokens,
        arguments.connected,
        |number| number % users,
    );
    let (arrivals, _tasks) = note_arrivals(sockets.await?);
    // As many messages in all cases.
    let fan_out = u32::try_from(arguments.connected / users)?;
    let rate = (arguments.rate * 10 / fan_out).clamp(2, arguments.rate);
    if burning > 0 {
        server.command(&format!("burn {burning} {}", arguments.seconds + 2))?;
    }
    let before = server.cpu()?;
    server.command(&format!("produce {users} {rate} {}", arguments.seconds))?;
    let share = (server.cpu()? - before).as_secs_f64() / arguments.seconds as f64;
    tokio::time::sleep(SETTLING).await;
    let (times, missing) = times(&server, &arrivals, arguments.connected / users)?;
    println!(
        "| {name}, {rate} a second | {} | | {:.0} % | {:.2} | {:.2} | {} received, {missing} missing |",
        arguments.connected,
        share * 100.0,
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        times.len()
    );
    Ok(())
}

/// The same latency, while sockets of one more account receive a flood and never read.
async fn stalled(arguments: &WatchArgs) -> anyhow::Result<()> {
    let (users, flood_rate) = (arguments.connected, 20);
    let mut server = MeasuredServer::start(users + 1)?;
    let sockets = follow_all(server.address, &server.tokens, users, |number| number);
    let (arrivals, _tasks) = note_arrivals(sockets.await?);
    let _stalled = follow_all(server.address, &server.tokens, arguments.stalled, |_| users).await?;
    let (rate, seconds) = (arguments.rate, arguments.seconds);
    server.command(&format!("flood {users} {flood_rate} {}", 2 * seconds + 5))?;
    // What the buffers of the sockets take is not growth.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let before = server.memory()?;
    server.command(&format!("produce {users} {rate} {seconds}"))?;
    let kib = kib_each(before, server.memory()?, arguments.stalled);
    tokio::time::sleep(SETTLING).await;
    let (times, missing) = times(&server, &arrivals, 1)?;
    println!(
        "| events of many accounts, beside {} sockets that never read {flood_rate} events a second | {users} | {kib:.1} more for each of these | | {:.2} | {:.2} | {} received, {missing} missing |",
        arguments.stalled,
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        times.len()
    );
    Ok(())
}

/// Milliseconds from commit to arrival, sorted, and the number of events that did not arrive.
fn times(
    server: &MeasuredServer,
    arrivals: &Arrivals,
    watchers_of_user: usize,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let committed = server.committed()?;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let times = arrivals.iter().filter_map(|(user, seq, at)| {
        let committed_at = committed.get(&(*user, *seq))?;
        Some((at - committed_at) as f64 / 1e6)
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let missing = (committed.len() * watchers_of_user).saturating_sub(times.len());
    Ok((times, missing))
}

pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index).or(sorted.last()).copied().unwrap_or(0.0)
}

/// Clients that open the socket of a finished job every two seconds for ever.
async fn reopen(arguments: &WatchArgs) -> anyhow::Result<()> {
    let mut server = MeasuredServer::start(arguments.reopening)?;
    server.command(&format!("jobs {} ended", arguments.reopening))?;
    let jobs = server.jobs()?;
    let (address, end) = (
        server.address,
        Instant::now() + Duration::from_secs(arguments.seconds + 4),
    );
    let clients = jobs.into_iter().enumerate().map(|(number, job_id)| {
        let path = format!("/ws/jobs/{job_id}?token={}", server.tokens[number]);
        tokio::spawn(async move {
            let spread = Duration::from_millis(number as u64 * 2_000 / 1_000 % 2_000);
            tokio::time::sleep(spread).await;
            let mut opened = 0;
            while Instant::now() < end {
                let mut socket = open(address, &path, number).await?;
                while let Some(Ok(message)) = socket.next().await {
                    if let Message::Close(_) = message {
                        break;
                    }
                }
                opened += 1;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            anyhow::Ok(opened)
        })
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let share = share_of_core(&server, arguments.seconds).await?;
    let mut opened = 0;
    for client in clients {
        opened += client.await??;
    }
    println!(
        "| finished jobs that are reopened every 2 s | {} | | {:.1} % | | | {opened} opened |",
        arguments.reopening,
        share * 100.0
    );
    Ok(())
}

/// All sockets are dropped at once; each comes back after a random time, with its cursor.
async fn storm(arguments: &WatchArgs) -> anyhow::Result<()> {
    let server = MeasuredServer::start(arguments.idle)?;
    let (address, tokens) = (server.address, &server.tokens);
    let opened = stream::iter(0..arguments.idle).map(|number| async move {
        let (socket, cursor) = follow(address, &tokens[number], number, None).await?;
        anyhow::Ok((socket, cursor))
    });
    let opened: Vec<_> = opened.buffered(64).try_collect().await?;
    let cursors: Vec<String> = opened.iter().map(|(_, cursor)| cursor.clone()).collect();
    drop(opened);
    let before = server.cpu()?;
    let begun = Instant::now();
    let clients = cursors.into_iter().enumerate().map(|(number, cursor)| {
        let token = tokens[number].clone();
        tokio::spawn(async move {
            let (mut tries, mut longest_ms) = (0_u64, 2_000.0);
            loop {
                // Full jitter up to a cap.
                let wait = Duration::from_millis((rand::random::<f64>() * longest_ms) as u64);
                tokio::time::sleep(wait).await;
                tries += 1;
                match follow(address, &token, number, Some(&cursor)).await {
                    Ok((socket, _)) => return (tries, socket),
                    Err(_) => longest_ms = (longest_ms * 2.0_f64).min(15_000.0),
                }
            }
        })
    });
    let mut tries = 0;
    let mut sockets = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        let (tried, socket) = client.await.context("a client")?;
        tries += tried;
        sockets.push(socket);
    }
    let taken = begun.elapsed().as_secs_f64();
    let cpu = (server.cpu()? - before).as_secs_f64();
    println!(
        "| all dropped at once | {} | | | | | back within {taken:.1} s, {} refused, {cpu:.1} s of CPU time |",
        arguments.idle,
        tries - sockets.len() as u64
    );
    Ok(())
}
