//! The kinds of fault of a cluster.

use std::fmt;

use super::nodes::Cluster;
use crate::faults::fake_clock;
use crate::faults::fault::Fault;
use crate::faults::outcome_counts::Tolerated;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterFault {
    /// A worker is killed at a step: SIGKILL.
    KillWorker,
    /// A worker is suspended at a step for longer than its lease lasts: SIGSTOP, SIGCONT.
    StopWorker,
    /// A node of the API is killed.
    KillNode,
    /// PostgreSQL is killed and started again.
    PostgresKilled,
    /// PostgreSQL ends all connections and accepts hardly any.
    PostgresConnections,
    /// The disk of PostgreSQL is full.
    PostgresDiskFull,
    /// Every process is shut down gracefully and started again, one after another: SIGTERM.
    Rolling,
    /// A node and a worker are of the previous version for a while: an upgrade, and one that is taken back.
    PreviousVersion,
    /// The wall clock of a node or a worker steps back or forward.
    ClockStep,
    /// NATS is killed and started again.
    NatsKilled,
    /// NATS is suspended, so that it answers nothing.
    NatsPartitioned,
    /// NATS is slow: each piece of data arrives late.
    NatsSlow,
    /// S3 accepts no connections.
    S3Stopped,
    /// S3 answers every request with 503.
    S3Refusing,
    /// S3 answers nothing.
    S3Hanging,
    /// S3 answers with 500 after it has stored or deleted.
    S3LateErrors,
}

/// A server that a fault breaks, and that is therefore needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Nats,
    S3,
    SmallDisk,
    PreviousVersion,
    FakeClock,
}

impl ClusterFault {
    pub(super) const ALL: [Self; 16] = [
        Self::KillWorker,
        Self::StopWorker,
        Self::KillNode,
        Self::PostgresKilled,
        Self::PostgresConnections,
        Self::PostgresDiskFull,
        Self::Rolling,
        Self::PreviousVersion,
        Self::ClockStep,
        Self::NatsKilled,
        Self::NatsPartitioned,
        Self::NatsSlow,
        Self::S3Stopped,
        Self::S3Refusing,
        Self::S3Hanging,
        Self::S3LateErrors,
    ];

    /// Those that take the least time.
    pub(super) const QUICK: [Self; 3] = [Self::KillWorker, Self::KillNode, Self::PostgresKilled];

    fn name(self) -> &'static str {
        match self {
            Self::KillWorker => "kill_worker",
            Self::StopWorker => "stop_worker",
            Self::KillNode => "kill_node",
            Self::PostgresKilled => "postgres_killed",
            Self::PostgresConnections => "postgres_connections",
            Self::PostgresDiskFull => "postgres_disk_full",
            Self::Rolling => "rolling",
            Self::PreviousVersion => "previous_version",
            Self::ClockStep => "clock_step",
            Self::NatsKilled => "nats_killed",
            Self::NatsPartitioned => "nats_partitioned",
            Self::NatsSlow => "nats_slow",
            Self::S3Stopped => "s3_stopped",
            Self::S3Refusing => "s3_refusing",
            Self::S3Hanging => "s3_hanging",
            Self::S3LateErrors => "s3_late_errors",
        }
    }

    /// Why it cannot be injected here.
    pub(super) fn missing(self, cluster: &Cluster) -> Option<&'static str> {
        let servers = &cluster.servers;
        match self.needs() {
            Needs::Nats if servers.nats.is_none() => Some("without nats-server"),
            Needs::S3 if servers.s3.is_none() => Some("without S3"),
            Needs::SmallDisk if servers.disk.is_none() => {
                Some("mounting a disk takes root on Linux")
            }
            Needs::PreviousVersion if cluster.previous.is_none() => Some("without --previous"),
            Needs::FakeClock if !fake_clock::can_be_set() => Some("without libfaketime"),
            _ => None,
        }
    }

    /// Whether PostgreSQL must be on a small disk for it.
    pub(super) fn needs_small_disk(self) -> bool {
        self.needs() == Needs::SmallDisk
    }

    fn needs(self) -> Needs {
        match self {
            Self::KillWorker
            | Self::StopWorker
            | Self::KillNode
            | Self::PostgresKilled
            | Self::PostgresConnections
            | Self::Rolling => Needs::Nothing,
            Self::PostgresDiskFull => Needs::SmallDisk,
            Self::PreviousVersion => Needs::PreviousVersion,
            Self::ClockStep => Needs::FakeClock,
            Self::NatsKilled | Self::NatsPartitioned | Self::NatsSlow => Needs::Nats,
            Self::S3Stopped | Self::S3Refusing | Self::S3Hanging | Self::S3LateErrors => Needs::S3,
        }
    }

    /// How jobs may end. A lease of a few seconds may expire in any of them, which counts as a crash of the worker;
    /// only the loss of workers themselves may fail a job.
    pub(super) fn tolerated(self) -> Tolerated {
        match self {
            Self::KillWorker => Fault::Kill.into(),
            Self::StopWorker => Fault::Suspend.into(),
            _ => Tolerated {
                failures: &[],
                is_outage: true,
                is_cancelled: false,
                is_crash: true,
            },
        }
    }
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
