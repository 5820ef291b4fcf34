//! The worker's numbers for operators. Labels are steps and codes, never ids.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{Checkpoint, Failure, Step};
use metrics::{counter, histogram};

/// A job was claimed: how long the claim took, and how long the job had been due.
pub(crate) fn claimed(took: Duration, waited: Duration) {
    counter!("irisflow_claims_total").increment(1);
    histogram!("irisflow_claim_seconds").record(took);
    histogram!("irisflow_queue_wait_seconds").record(waited);
}

pub(crate) fn attempt_failed(failure: &Failure) {
    counter!("irisflow_attempt_failures_total",
        "type" => failure.error_type.name(), "code" => failure.code.clone())
    .increment(1);
}

pub(crate) fn job_ended(status: &'static str) {
    counter!("irisflow_jobs_ended_total", "status" => status).increment(1);
}

pub(crate) fn worker_lost() {
    counter!("irisflow_workers_lost_total").increment(1);
}

pub(crate) fn outage_began() {
    counter!("irisflow_outages_total").increment(1);
}

/// Times the steps of one attempt by its checkpoints.
#[derive(Debug, Default)]
pub(crate) struct StepMeter {
    under_way: Mutex<Option<(Step, Instant)>>,
}

impl StepMeter {
    pub(crate) fn reached(&self, checkpoint: Checkpoint) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match under_way.take() {
            Some((step, begun)) if step == checkpoint.step() => record(step, begun),
            _ => *under_way = Some((checkpoint.step(), Instant::now())),
        }
    }

    /// Saving has no checkpoint at its end but the end of the job, which is recorded elsewhere.
    pub(crate) fn saved(&self) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((step, begun)) = under_way.take() {
            record(step, begun);
        }
    }
}

fn record(step: Step, begun: Instant) {
    histogram!("irisflow_step_seconds", "step" => step.name()).record(begun.elapsed());
}
