//! Periodic maintenance on every node: reclaim jobs with expired leases, delete unrecorded objects, prune, check
//! the queue counters.

use std::sync::Arc;
use std::time::Duration;

use irisflow_jobs::{StoreError, Sweep, SweepTarget, Timestamp};
use irisflow_messages::failures;
use irisflow_photos::{delete_all_of_user, delete_swept, swept_objects};

use crate::heartbeat::renew;
use crate::running_jobs::StopReason;
use crate::{Shared, metrics};

/// So few that a node carries them out within their claim.
const SWEEPS_AT_ONCE: u32 = 20;
/// How long the sweeps that a node has claimed are kept from the others.
const SWEEP_CLAIM: Duration = Duration::from_secs(10);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Each transaction is short, so that it does not delay other writers.
const EXPIRED_AT_ONCE: u32 = 50;
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
const PRUNED_AT_ONCE: u32 = 100;
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// For this long the reuse of a spent refresh token ends its session; later it is merely refused.
const SPENT_TOKENS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) fn spawn(shared: &Arc<Shared>) {
    shared.runtime.spawn(reap(Arc::clone(shared)));
    shared.runtime.spawn(repair(Arc::clone(shared)));
    shared.runtime.spawn(sweep(Arc::clone(shared)));
    shared.runtime.spawn(expire(Arc::clone(shared)));
    shared.runtime.spawn(prune_sign_ins(Arc::clone(shared)));
    shared.runtime.spawn(prune_events(Arc::clone(shared)));
    shared.runtime.spawn(report(Arc::clone(shared)));
    shared.runtime.spawn(check_counters(Arc::clone(shared)));
}

/// Reports this process and its slots to the worker registry, which estimates read.
async fn report(shared: Arc<Shared>) {
    let _supervised = shared.supervisor.part("report of this worker");
    let worker = shared.worker_id;
    let slots = u32::try_from(shared.settings.slots).unwrap_or(u32::MAX);
    loop {
        if let Err(error) = shared
            .parts
            .worker_registry
            .report_worker(worker, slots)
            .await
            && !shared.probe_for_outage(&error).await
        {
            tracing::warn!(%error, "could not report this worker");
        }
        if !pause(&shared, shared.settings.lease / 3).await {
            break;
        }
    }
    if let Err(error) = shared.parts.worker_registry.remove_worker(worker).await {
        // Its entry in the registry expires.
        tracing::debug!(%error, "could not unregister this worker");
    }
}

/// After an outage, a suspended process or a step of the clock, leases of attempts that this process is
/// at may have run out: they are renewed first, and no worker is lost by that.
async fn reap(shared: Arc<Shared>) {
    let _supervised = shared.supervisor.part("reaper");
    let interval = shared.settings.lease / 4;
    while pause(&shared, interval).await {
        if shared.parts.bus.has_outage() || !all_renewed(&shared).await {
            continue;
        }
        loop {
            match shared
                .parts
                .job_leases
                .reap_one(failures::worker_lost())
                .await
            {
                Ok(Some(job)) => {
                    metrics::worker_lost();
                    tracing::warn!(
                        job_id = %job.id,
                        crashes = job.crashes,
                        status = job.state.status(),
                        "took a job from a lost worker"
                    );
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "could not look for lost workers");
                    break;
                }
            }
        }
    }
}

async fn all_renewed(shared: &Shared) -> bool {
    for job in shared.running.all() {
        renew(shared, &job).await;
        let lost = job.stop_reason() == Some(StopReason::LeaseLost);
        if !lost && job.since_renewal() > shared.settings.lease / 4 {
            return false;
        }
    }
    true
}

/// Sets times right that the clock has left far ahead.
async fn repair(shared: Arc<Shared>) {
    while pause(&shared, REPAIR_INTERVAL).await {
        match shared.parts.health.repair_times().await {
            Ok(0) => {}
            Ok(times) => tracing::warn!(times, "set times right that lay ahead of the clock"),
            Err(error) => tracing::error!(%error, "could not look for times ahead of the clock"),
        }
    }
}

async fn sweep(shared: Arc<Shared>) {
    let _supervised = shared.supervisor.part("sweeper");
    while pause(&shared, SWEEP_INTERVAL.min(shared.settings.poll_interval)).await {
        while !shared.draining.is_cancelled() && !shared.parts.bus.has_outage() {
            if !sweep_some(&shared).await {
                break;
            }
        }
    }
}

/// Claims some sweeps and carries them out. `true` when there may be more.
async fn sweep_some(shared: &Arc<Shared>) -> bool {
    let (queue, lease) = (
        &shared.parts.sweep_queue,
        SWEEP_CLAIM.min(shared.settings.lease),
    );
    let claimed = match queue.claim_sweeps(SWEEPS_AT_ONCE, lease).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(%error, "could not claim due deletions");
            return false;
        }
    };
    for sweep in &claimed {
        if let Err(error) = carry_out(shared, sweep).await {
            if shared.probe_for_outage(&error).await {
                return false;
            }
            tracing::error!(%error, "a deletion failed and will be repeated");
            if let Err(error) = queue.postpone_sweep(sweep.id).await {
                tracing::error!(%error, "could not postpone a deletion");
            }
        }
    }
    claimed.len() == SWEEPS_AT_ONCE as usize
}

async fn carry_out(
    shared: &Shared,
    sweep: &Sweep,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (files, target) = (&*shared.parts.files, sweep.target);
    if let SweepTarget::Account { user_id } = target {
        delete_all_of_user(files, user_id).await?;
    } else {
        let listed = swept_objects(files, target).await?;
        let keep = match target {
            SweepTarget::JobLeftovers { job_id, .. } => {
                shared.parts.sweep_queue.epoch_to_keep(job_id).await?
            }
            SweepTarget::Intakes { photo_id, .. } => {
                shared.parts.photos.end_intakes(photo_id).await?
            }
            SweepTarget::Incoming { .. }
            | SweepTarget::Photo { .. }
            | SweepTarget::Account { .. } => None,
        };
        delete_swept(files, &listed, keep).await?;
    }
    shared.parts.sweep_queue.complete_sweep(sweep.id).await?;
    Ok(())
}

/// Counters that are wrong would hold jobs up for ever. The store says what it repaired.
async fn check_counters(shared: Arc<Shared>) {
    while pause(&shared, shared.settings.counter_check).await {
        if let Err(error) = shared.parts.health.repair_counters().await {
            tracing::error!(%error, "could not check the counters of the queue");
        }
    }
}

/// Deletes originals and jobs past their retention time.
async fn expire(shared: Arc<Shared>) {
    let _supervised = shared.supervisor.part("expiry");
    let settings = &shared.settings;
    let kept = [settings.keep_originals, settings.keep_results];
    let Some(shortest) = kept.into_iter().flatten().min() else {
        return;
    };
    while pause(&shared, EXPIRY_INTERVAL.min(shortest)).await {
        if let Err(error) = expire_once(&shared).await {
            tracing::error!(%error, "could not look for what is kept too long");
        }
    }
}

async fn expire_once(shared: &Shared) -> Result<(), StoreError> {
    let (retention, now) = (&shared.parts.retention, shared.parts.clock.now());
    if let Some(kept) = shared.settings.keep_results {
        while retention.expire_jobs(now - kept, EXPIRED_AT_ONCE).await? == EXPIRED_AT_ONCE {}
    }
    if let Some(kept) = shared.settings.keep_originals {
        while retention
            .expire_originals(now - kept, EXPIRED_AT_ONCE)
            .await?
            == EXPIRED_AT_ONCE
        {}
    }
    Ok(())
}

/// Deletes sessions some time after their end, and spent refresh tokens.
async fn prune_sign_ins(shared: Arc<Shared>) {
    let kept = shared.settings.keep_ended_sessions;
    while pause(&shared, PRUNE_INTERVAL.min(kept)).await {
        if let Err(error) = prune_once(&shared).await {
            tracing::warn!(%error, "could not prune ended sessions; trying again later");
        }
    }
}

async fn prune_once(shared: &Shared) -> Result<(), StoreError> {
    let (retention, now) = (&shared.parts.retention, shared.parts.clock.now());
    let ended_before = now - shared.settings.keep_ended_sessions;
    while retention
        .prune_sessions(ended_before, PRUNED_AT_ONCE)
        .await?
        == PRUNED_AT_ONCE
    {}
    let spent_before = now - SPENT_TOKENS_KEPT;
    while retention
        .prune_refresh_tokens(spent_before, PRUNED_AT_ONCE)
        .await?
        == PRUNED_AT_ONCE
    {}
    Ok(())
}

/// Deletes events past their retention time.
async fn prune_events(shared: Arc<Shared>) {
    let kept = shared.settings.keep_events;
    // The newest events of jobs are never pruned; those before this time are not visited again.
    let mut pruned_before = Timestamp::EPOCH;
    while pause(&shared, PRUNE_INTERVAL.min(kept)).await {
        let before = shared.parts.clock.now() - kept;
        let limit = PRUNED_AT_ONCE;
        loop {
            let pruned = shared
                .parts
                .retention
                .prune_events(pruned_before, before, limit);
            match pruned.await {
                Ok(pruned) if pruned == limit => {}
                Ok(_) => {
                    pruned_before = before;
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not prune old events; trying again later");
                    break;
                }
            }
        }
    }
}

/// `false` when the worker is to stop.
async fn pause(shared: &Shared, interval: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(interval) => true,
        () = shared.draining.cancelled() => false,
    }
}
