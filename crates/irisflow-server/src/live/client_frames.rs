//! Frames from clients of `GET /ws`.

use irisflow_jobs::{BatchId, JobId, WatchFilter};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Maximum number of jobs in a filter.
pub(crate) const MAX_FILTER_JOBS: usize = 200;

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ClientFrame {
    /// The first frame, within ten seconds. The credentials are needed only when the request had none.
    Hello {
        /// An access token.
        #[serde(default)]
        token: Option<String>,
        /// A ticket of `POST /api/v1/ws-tickets`.
        #[serde(default)]
        ticket: Option<String>,
        /// Where to resume. Without it the server begins with a snapshot.
        #[serde(default)]
        cursor: Option<String>,
        #[serde(default)]
        filter: Option<FilterBody>,
    },
    /// Replaces the access token before it expires. Answered by `token_accepted`.
    Token { token: String },
    /// Replaces the filter; null follows all jobs. Answered by a snapshot.
    Filter { filter: Option<FilterBody> },
    /// Answered by `pong`: browsers do not show the pings of the protocol to pages, which detect a dead connection with
    /// this.
    Ping,
    /// Types of later versions, and those without an effect, such as `pong`.
    #[serde(other)]
    Unknown,
}

/// Which jobs to follow. A job must match all fields that are given.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct FilterBody {
    /// Up to 200 jobs.
    #[serde(default)]
    #[schema(max_items = 200)]
    job_ids: Option<Vec<Uuid>>,
    #[serde(default)]
    batch_id: Option<Uuid>,
}

/// The filter lists too many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyJobs;

impl FilterBody {
    pub(crate) fn new(job_ids: Option<Vec<Uuid>>, batch_id: Option<Uuid>) -> Self {
        Self { job_ids, batch_id }
    }

    pub(crate) fn parse(self) -> Result<WatchFilter, TooManyJobs> {
        let job_ids = self.job_ids;
        if job_ids
            .as_ref()
            .is_some_and(|ids| ids.len() > MAX_FILTER_JOBS)
        {
            return Err(TooManyJobs);
        }
        Ok(WatchFilter {
            job_ids: job_ids.map(|ids| ids.into_iter().map(JobId::from).collect()),
            batch_id: self.batch_id.map(BatchId::from),
        })
    }
}
