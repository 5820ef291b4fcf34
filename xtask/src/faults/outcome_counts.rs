//! The counters of one cell of the crash matrix, the invariants over them, and their table row.

use super::fault::Fault;

/// How else than completed a job may end because of a fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerated {
    /// The error codes with which it may fail by design.
    pub(super) failures: &'static [&'static str],
    /// Whether the cause is an outage (machine, operator or client): then failures are counted as due to it.
    pub(super) is_outage: bool,
    /// Whether it may be cancelled, by its owner.
    pub(super) is_cancelled: bool,
    /// Whether one of its attempts may count as a crash.
    pub(super) is_crash: bool,
}

impl From<Fault> for Tolerated {
    fn from(fault: Fault) -> Self {
        Self {
            failures: fault.allowed_failures(),
            is_outage: fault.is_outage(),
            is_cancelled: fault == Fault::HangUp,
            is_crash: fault != Fault::Terminate,
        }
    }
}

/// The counters of one cell, or of several added up. The last six must be zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OutcomeCounts {
    pub(super) jobs: usize,
    /// How often the fault was injected.
    pub(super) injected: usize,
    pub(super) finished: usize,
    /// Failed with an error code that the fault or the photo explains.
    pub(super) failed_by_design: usize,
    /// Failed because of an outage (machine, operator or client), or counted a crash for a graceful
    /// shutdown.
    pub(super) failed_by_outage: usize,
    /// Missing in the database, failed without an explanation, or completed without its objects.
    pub(super) lost: usize,
    /// More than one final event, or more than one job for a submit.
    pub(super) finished_twice: usize,
    pub(super) stuck: usize,
    pub(super) left_over: usize,
    pub(super) progress_decreased: usize,
}

impl OutcomeCounts {
    pub(super) const HEAD: &str = "| fault | at | jobs | injected | finished | failed by design | failed by an outage | lost | finished twice | stuck | orphaned objects | progress decreased |\n|---|---|---|---|---|---|---|---|---|---|---|---|";

    /// Whether all invariants hold.
    pub(super) fn is_clean(&self) -> bool {
        let violations = self.failed_by_outage
            + self.lost
            + self.finished_twice
            + self.stuck
            + self.left_over
            + self.progress_decreased;
        violations == 0 && self.injected > 0 && self.finished + self.failed_by_design == self.jobs
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.injected += other.injected;
        self.finished += other.finished;
        self.failed_by_design += other.failed_by_design;
        self.failed_by_outage += other.failed_by_outage;
        self.lost += other.lost;
        self.finished_twice += other.finished_twice;
        self.stuck += other.stuck;
        self.left_over += other.left_over;
        self.progress_decreased += other.progress_decreased;
    }

    pub(super) fn row(&self, fault: &str, point: &str) -> String {
        format!(
            "| {fault} | {point} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.jobs,
            self.injected,
            self.finished,
            self.failed_by_design,
            self.failed_by_outage,
            self.lost,
            self.finished_twice,
            self.stuck,
            self.left_over,
            self.progress_decreased
        )
    }
}
