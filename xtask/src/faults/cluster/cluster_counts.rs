//! The counters of one fault of a cluster, the invariants over them, and their table row.

use std::time::Duration;

use crate::faults::outcome_counts::OutcomeCounts;

#[derive(Debug, Clone, Default)]
pub(super) struct ClusterCounts {
    pub(super) outcome: OutcomeCounts,
    /// Events that a watcher did not receive, or received twice or out of order. Must be zero.
    pub(super) missed: usize,
    /// Longest time without an event at any watcher.
    pub(super) longest_gap: Duration,
    /// From the end of the fault until all jobs had ended that were submitted before.
    pub(super) time_to_recover: Duration,
}

impl ClusterCounts {
    pub(super) const HEAD: &str = "| fault | times | jobs submitted | finished | failed by design | lost | finished twice | stuck | events missed | objects left over | progress decreased | longest gap, s | time to recover, s |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|";

    pub(super) fn is_clean(&self) -> bool {
        self.outcome.is_clean() && self.missed == 0
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.outcome.add(&other.outcome);
        self.missed += other.missed;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.time_to_recover = self.time_to_recover.max(other.time_to_recover);
    }

    pub(super) fn row(&self, fault: &str) -> String {
        let outcome = &self.outcome;
        format!(
            "| {fault} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
            outcome.injected,
            outcome.jobs,
            outcome.finished,
            outcome.failed_by_design,
            // No fault of a cluster explains a failed job but a lost worker.
            outcome.lost + outcome.failed_by_outage,
            outcome.finished_twice,
            outcome.stuck,
            self.missed,
            outcome.left_over,
            outcome.progress_decreased,
            self.longest_gap.as_secs_f64(),
            self.time_to_recover.as_secs_f64(),
        )
    }
}
