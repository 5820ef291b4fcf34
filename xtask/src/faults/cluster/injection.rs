//! Injects each fault of a cluster: breaks one thing, for a time that is drawn, and mends it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use irisflow_test_servers::S3Fault;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::cluster_fault::ClusterFault;
use super::nodes::{Cluster, LEASE_MS};
use crate::faults::fault::InjectionPoint;
use crate::faults::server_process::ProcessState;

/// Injects it, and returns when it is over. The text says what was done.
pub(super) async fn inject(
    fault: ClusterFault,
    cluster: &mut Cluster,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    match fault {
        ClusterFault::KillWorker => kill_worker(cluster, random).await,
        ClusterFault::StopWorker => stop_worker(cluster, random).await,
        ClusterFault::KillNode => kill_node(cluster, random).await,
        ClusterFault::PostgresKilled => kill_postgres(cluster, random).await,
        ClusterFault::PostgresConnections => exhaust_connections(cluster, random).await,
        ClusterFault::PostgresDiskFull => fill_disk_of_postgres(cluster, random).await,
        ClusterFault::Rolling => restart_in_turn(cluster).await,
        ClusterFault::PreviousVersion => run_previous_version(cluster, random).await,
        ClusterFault::ClockStep => step_clock(cluster, random).await,
        ClusterFault::NatsKilled => kill_nats(cluster, random).await,
        ClusterFault::NatsPartitioned => pause_nats(cluster, random).await,
        ClusterFault::NatsSlow => slow_nats(cluster, random).await,
        ClusterFault::S3Stopped => stop_s3(cluster, random).await,
        ClusterFault::S3Refusing => fail_s3(cluster, S3Fault::Refuse, random).await,
        ClusterFault::S3Hanging => fail_s3(cluster, S3Fault::Hang, random).await,
        ClusterFault::S3LateErrors => fail_s3(cluster, S3Fault::FailAfterEffect, random).await,
    }
}

async fn kill_worker(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let (number, point) = plan(cluster, "kill", random).await?;
    let worker = &mut cluster.workers[number];
    worker.until(ProcessState::Ended(None)).await?;
    worker.start_again("").await?;
    Ok(format!("{} was killed at {point}", worker.name))
}

async fn stop_worker(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let (number, point) = plan(cluster, "stop", random).await?;
    let worker = &mut cluster.workers[number];
    worker.until(ProcessState::Suspended).await?;
    let leases = random.random_range(1.5..2.5);
    let time = Duration::from_millis(LEASE_MS).mul_f64(leases);
    sleep(time).await;
    let name = worker.name.clone();
    let lost = cluster.servers.expired_leases().await?;
    cluster.workers[number].resume()?;
    Ok(format!(
        "{name} was suspended at {point} for {leases:.1} leases; {lost} leases have expired so far"
    ))
}

/// Starts a worker again with a fault planned at a step of the first job that it claims.
async fn plan(
    cluster: &mut Cluster,
    kind: &str,
    random: &mut StdRng,
) -> anyhow::Result<(usize, InjectionPoint)> {
    let number = random.random_range(0..cluster.workers.len());
    let point = *InjectionPoint::STEPS.choose(random).context("a step")?;
    let worker = &mut cluster.workers[number];
    worker.stop().await?;
    worker
        .start_again(&format!("{point}:{kind}:1/first"))
        .await?;
    Ok((number, point))
}

async fn kill_node(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let number = random.random_range(0..cluster.api_nodes.len());
    let node = &mut cluster.api_nodes[number];
    node.kill().await?;
    let time = wait(random, 200..2_000).await;
    node.start_again("").await?;
    Ok(format!("{} was killed and away for {time:.1?}", node.name))
}

async fn kill_postgres(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let postgres = &cluster.servers.postgres;
    block_in_place(|| postgres.kill())?;
    let time = wait(random, 500..4_000).await;
    block_in_place(|| postgres.start_again())?;
    Ok(format!("killed and away for {time:.1?}"))
}

async fn exhaust_connections(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let servers = &cluster.servers;
    let before = servers.connections_of_nodes().await?;
    let limit = random.random_range(0..=2);
    servers.limit_connections(limit).await?;
    let probes = random.random_range(20..50);
    let (mut refused, mut most) = (0, 0);
    for _ in 0..probes {
        refused += u32::from(servers.refuses_connections().await);
        most = most.max(servers.connections_of_nodes().await?);
        sleep(Duration::from_millis(100)).await;
    }
    servers.lift_limit_of_connections().await?;
    if refused == 0 {
        bail!("PostgreSQL has refused no connection: the fault had no effect");
    }
    Ok(format!(
        "{before} connections ended, {limit} allowed (at most {most} were seen), {refused} of {probes} probes refused"
    ))
}

async fn fill_disk_of_postgres(cluster: &Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let servers = &cluster.servers;
    let disk = servers.disk.as_ref().context("a small disk")?;
    block_in_place(|| disk.fill())?;
    let time = wait(random, 1_000..6_000).await;
    let fails = servers.grow().await.is_err();
    disk.empty()?;
    if !fails {
        bail!("PostgreSQL could still write: the fault had no effect");
    }
    // It ends when it cannot write its log, like a server whose supervisor starts it again.
    let ended = block_in_place(|| !servers.postgres.is_running());
    if ended {
        block_in_place(|| servers.postgres.start_again())?;
    }
    let ended = if ended { "; it had ended" } else { "" };
    Ok(format!("no room for {time:.1?}{ended}"))
}

/// A node and a worker are replaced by the previous version, work for some time, and are replaced again.
async fn run_previous_version(
    cluster: &mut Cluster,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    let previous = cluster.previous.clone().context("--previous")?;
    let node = random.random_range(0..cluster.api_nodes.len());
    let worker = random.random_range(0..cluster.workers.len());
    let mut both = [&mut cluster.api_nodes[node], &mut cluster.workers[worker]];
    for node in &mut both {
        node.stop().await?;
        node.start_as(&previous).await?;
    }
    let time = wait(random, 3_000..8_000).await;
    for node in &mut both {
        node.stop().await?;
        node.start_again("").await?;
    }
    let [node, worker] = both.map(|node| node.name.clone());
    Ok(format!(
        "{node} and {worker} were of the previous version for {time:.1?}"
    ))
}

async fn step_clock(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let step = *["-10m", "+1h"].choose(random).context("a step")?;
    let all = cluster.api_nodes.iter_mut().chain(&mut cluster.workers);
    let mut all: Vec<_> = all.collect();
    let number = random.random_range(0..all.len());
    let node = &mut all[number];
    node.stop().await?;
    node.start_with_clock(step).await?;
    wait(random, 1_000..3_000).await;
    let clock = node.clock.as_mut().context("a clock of its own")?;
    clock.step()?;
    let time = wait(random, 2_000..8_000).await;
    let clock = node.clock.as_mut().context("a clock of its own")?;
    clock.step()?;
    Ok(format!(
        "the clock of {} stepped by {step}, and back after {time:.1?}",
        node.name
    ))
}

async fn restart_in_turn(cluster: &mut Cluster) -> anyhow::Result<String> {
    let mut restarted = 0;
    for node in cluster.workers.iter_mut().chain(&mut cluster.api_nodes) {
        node.stop().await?;
        node.start_again("").await?;
        restarted += 1;
    }
    Ok(format!(
        "{restarted} processes ended with 0 and were started again"
    ))
}

async fn kill_nats(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let nats = cluster.servers.nats.as_ref().context("NATS")?;
    block_in_place(|| nats.kill())?;
    let time = wait(random, 500..6_000).await;
    block_in_place(|| nats.start_again())?;
    Ok(format!("killed and away for {time:.1?}"))
}

async fn pause_nats(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let nats = cluster.servers.nats.as_ref().context("NATS")?;
    nats.pause()?;
    let time = wait(random, 2_000..12_000).await;
    nats.resume()?;
    Ok(format!("suspended for {time:.1?}"))
}

async fn slow_nats(cluster: &Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let proxy = cluster.servers.nats_proxy.as_ref().context("NATS")?;
    let delay = Duration::from_millis(random.random_range(300..3_000));
    proxy.set_delay(delay);
    let time = wait(random, 4_000..12_000).await;
    proxy.set_delay(Duration::ZERO);
    Ok(format!(
        "each piece of data took {delay:.1?} longer, for {time:.1?}"
    ))
}

async fn stop_s3(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<String> {
    let s3 = cluster.servers.s3.as_ref().context("S3")?;
    s3.stop();
    let time = wait(random, 1_000..8_000).await;
    s3.start_again()?;
    Ok(format!("stopped for {time:.1?}"))
}

async fn fail_s3(
    cluster: &mut Cluster,
    fault: S3Fault,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    let s3 = cluster.servers.s3.as_ref().context("S3")?;
    let before = s3.requests();
    s3.plan_fault(fault, u32::MAX);
    let time = wait(random, 1_000..8_000).await;
    s3.heal();
    let failed = s3.requests() - before;
    Ok(format!("{failed} requests failed within {time:.1?}"))
}

async fn wait(random: &mut StdRng, milliseconds: std::ops::Range<u64>) -> Duration {
    let time = Duration::from_millis(random.random_range(milliseconds));
    sleep(time).await;
    time
}
