//! A row of `jobs` as a `Job`, and a state as columns.

use irisflow_jobs::{
    Job, JobId, JobState, Lease, PictureOptions, Preview, Priority, Step, StoreError, UserId,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::columns::{id, number, optional_id, signed, time};
use crate::unit_of_work::UnitOfWork;
use crate::{store_error, unknown_value};

/// A job with the `seq` of its newest event.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) last_seq: i64,
}

impl UnitOfWork<'_> {
    pub(crate) async fn job_row(&mut self, job_id: JobId) -> Result<Option<JobRow>, StoreError> {
        sqlx::query_as("SELECT * FROM jobs WHERE id = $1")
            .bind(job_id.as_uuid())
            .fetch_optional(self.connection())
            .await
            .map_err(store_error)
    }

    /// The job, if it is this user's.
    pub(crate) async fn job_row_of(
        &mut self,
        user_id: UserId,
        job_id: JobId,
    ) -> Result<Option<JobRow>, StoreError> {
        let row = self.job_row(job_id).await?;
        Ok(row.filter(|row| row.job.user_id == user_id))
    }
}

/// The columns that follow from a state.
#[derive(Debug, Default)]
pub(crate) struct StateColumns {
    pub(crate) state: &'static str,
    pub(crate) worker: Option<Uuid>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) result: Option<String>,
    /// Of the result.
    pub(crate) stored_bytes: Option<i64>,
    pub(crate) failure: Option<String>,
}

impl StateColumns {
    pub(crate) fn of(state: &JobState) -> Result<Self, StoreError> {
        let json = |value: serde_json::Result<String>| value.map(Some).map_err(StoreError::corrupt);
        Ok(match state {
            JobState::Pending => Self {
                state: "pending",
                ..Self::default()
            },
            JobState::Waiting => Self {
                state: "waiting",
                ..Self::default()
            },
            JobState::Processing(lease) => Self {
                state: "processing",
                worker: Some(lease.worker.as_uuid()),
                lease_until: Some(lease.until.as_millis()),
                ..Self::default()
            },
            JobState::Completed(result) => Self {
                state: "completed",
                result: json(serde_json::to_string(result))?,
                stored_bytes: Some(signed(result.stored_bytes)),
                ..Self::default()
            },
            JobState::Failed(failure) => Self {
                state: "failed",
                failure: json(serde_json::to_string(failure))?,
                ..Self::default()
            },
            JobState::Cancelled => Self {
                state: "cancelled",
                ..Self::default()
            },
        })
    }
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(StoreError::corrupt)
}

fn state_of(row: &PgRow) -> Result<JobState, StoreError> {
    let state: String = row.try_get("state").map_err(store_error)?;
    Ok(match state.as_str() {
        "pending" => JobState::Pending,
        "waiting" => JobState::Waiting,
        "processing" => JobState::Processing(Lease {
            worker: id(row, "worker").map_err(store_error)?,
            until: time(row, "lease_until").map_err(store_error)?,
        }),
        "completed" => JobState::Completed(parsed(
            row.try_get::<&str, _>("result").map_err(store_error)?,
        )?),
        "failed" => JobState::Failed(parsed(
            row.try_get::<&str, _>("failure").map_err(store_error)?,
        )?),
        "cancelled" => JobState::Cancelled,
        other => return Err(unknown_value("job state", other)),
    })
}

/// Of a job with default options the column is NULL.
pub(crate) fn stored_options(options: &PictureOptions) -> Result<Option<String>, StoreError> {
    let differ = *options != PictureOptions::default();
    differ
        .then(|| serde_json::to_string(options).map_err(StoreError::corrupt))
        .transpose()
}

/// NULL without previews.
pub(crate) fn previews_column(previews: &[Preview]) -> Result<Option<String>, StoreError> {
    if previews.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(previews).map_err(StoreError::corrupt)?;
    Ok(Some(json))
}

fn previews_of(row: &PgRow) -> Result<Vec<Preview>, StoreError> {
    let stored: Option<&str> = row.try_get("previews").map_err(store_error)?;
    stored.map_or_else(|| Ok(Vec::new()), parsed)
}

fn options_of(row: &PgRow) -> Result<PictureOptions, StoreError> {
    let stored: Option<&str> = row.try_get("options").map_err(store_error)?;
    stored.map_or_else(|| Ok(PictureOptions::default()), parsed)
}

impl<'r> FromRow<'r, PgRow> for JobRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let decode = |error: StoreError| sqlx::Error::Decode(Box::new(error));
        let priority: &str = row.try_get("priority")?;
        let step: Option<&str> = row.try_get("step")?;
        let job = Job {
            id: id(row, "id")?,
            user_id: id(row, "user_id")?,
            photo_id: id(row, "photo_id")?,
            batch_id: optional_id(row, "batch_id")?,
            priority: Priority::from_name(priority)
                .ok_or_else(|| decode(unknown_value("priority", priority)))?,
            options: options_of(row).map_err(decode)?,
            state: state_of(row).map_err(decode)?,
            step: step
                .map(|name| {
                    Step::from_name(name).ok_or_else(|| decode(unknown_value("step", name)))
                })
                .transpose()?,
            progress: number(row, "progress")?,
            attempt_count: number(row, "attempt_count")?,
            retries: number(row, "retries")?,
            crashes: number(row, "crashes")?,
            epoch: row.try_get("epoch")?,
            run_at: time(row, "run_at")?,
            previews: previews_of(row).map_err(decode)?,
            cancel_requested: row.try_get("cancel_requested")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
        };
        Ok(Self {
            job,
            last_seq: row.try_get("last_seq")?,
        })
    }
}
