//! Endpoints of jobs and batches: submit, show, list, cancel, delete.

pub(crate) mod cancel;
pub(crate) mod cancel_batch;
pub(crate) mod delete;
pub(crate) mod idempotency;
mod job_body;
pub(crate) mod list;
mod missing_result;
mod picture_options;
mod preview_body;
pub(crate) mod reprocess;
mod result_urls;
pub(crate) mod show;
pub(crate) mod show_batch;
pub(crate) mod submit;
pub(crate) mod submit_batch;

pub(crate) use job_body::JobStatusBody;
pub(crate) use missing_result::MissingResults;
pub(crate) use picture_options::OutlineName;
pub(crate) use preview_body::PreviewBody;
pub(crate) use result_urls::AlternativeBody;
