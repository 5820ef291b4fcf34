//! Events of jobs: the timeline of each user, in the order of commits.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::id::{BatchId, JobId, PhotoId, UserId};
use crate::job::JobResult;
use crate::preview::Preview;
use crate::step::Step;

/// One entry of a user's timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub user_id: UserId,
    /// Position in the user's timeline. The order of `seq` is the order of commit, without holes.
    pub seq: i64,
    pub job_id: JobId,
    /// `None` for events of jobs that were deleted before these columns existed.
    pub photo_id: Option<PhotoId>,
    pub batch_id: Option<BatchId>,
    /// The `seq` of this job's event before this one: what a watcher of one job must have seen.
    pub previous_of_job: Option<i64>,
    pub kind: EventKind,
    pub body: EventBody,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Queued,
    Progress,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    Deleted,
}

impl EventKind {
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Progress,
        Self::Retrying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Deleted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Progress => "progress",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Deleted => "deleted",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Nothing follows this event of its job.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Deleted => true,
            Self::Queued | Self::Progress | Self::Retrying => false,
        }
    }
}

/// The state of the job after the event. Never holds a URL: URLs are signed when they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventBody {
    /// The public status: `pending`, `processing`, `completed`, `failed`, `cancelled` or `deleted`.
    pub status: String,
    pub step: Option<Step>,
    pub progress: u8,
    pub attempt_count: u32,
    /// Why the attempt (kind `retrying`) or the job (kind `failed`) failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// All that the job has after the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<Preview>,
}
