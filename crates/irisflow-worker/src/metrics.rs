//! The worker's numbers for operators. Labels are steps and codes, never ids.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use irisflow_jobs::{Checkpoint, Failure, Step, StepSpan, Timestamp};
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
#[derive(Debug)]
pub(crate) struct StepMeter {
    /// When the attempt began, by both clocks: durations are monotonic.
    begun: (Timestamp, Instant),
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    under_way: Option<(Step, Instant)>,
    done: Vec<StepSpan>,
}

impl StepMeter {
    pub(crate) fn begin(now: Timestamp) -> Self {
        Self {
            begun: (now, Instant::now()),
            steps: Mutex::default(),
        }
    }

    pub(crate) fn reached(&self, checkpoint: Checkpoint) {
        let mut steps = self.lock();
        match steps.under_way.take() {
            Some((step, begun)) if step == checkpoint.step() => self.end(&mut steps, step, begun),
            _ => steps.under_way = Some((checkpoint.step(), Instant::now())),
        }
    }

    /// Saving has no checkpoint at its end but the end of the job, which is recorded elsewhere.
    pub(crate) fn saved(&self) {
        let mut steps = self.lock();
        if let Some((step, begun)) = steps.under_way.take() {
            self.end(&mut steps, step, begun);
        }
    }

    fn end(&self, steps: &mut Steps, step: Step, begun: Instant) {
        histogram!("irisflow_step_seconds", "step" => step.name()).record(begun.elapsed());
        steps.done.push(self.span(step, begun, false));
    }

    /// The steps so far, with the one in which the work has stopped.
    pub(crate) fn spans(&self) -> Vec<StepSpan> {
        let mut steps = self.lock();
        if let Some((step, begun)) = steps.under_way.take() {
            let unfinished = self.span(step, begun, true);
            steps.done.push(unfinished);
        }
        std::mem::take(&mut steps.done)
    }

    pub(crate) fn begun_at(&self) -> Timestamp {
        self.begun.0
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn span(&self, step: Step, begun: Instant, is_unfinished: bool) -> StepSpan {
        StepSpan {
            step,
            begun: self.at(begun),
            ended: self.now(),
            is_unfinished,
        }
    }

    fn at(&self, moment: Instant) -> Timestamp {
        self.begun.0 + moment.saturating_duration_since(self.begun.1)
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
