//! What an attempt does between the claim of a job and its end.

use irisflow_image::load::Limits;
use irisflow_jobs::JobResult;

use crate::attempt::{Attempt, Setback};

/// Chosen at composition. Runs on the thread of a slot and blocks it.
pub trait Pipeline: Send + Sync + std::fmt::Debug {
    /// Works on the job of the attempt and passes its checkpoints, those after the first.
    ///
    /// # Errors
    /// Why there is no result.
    fn run(&self, attempt: &Attempt<'_>) -> Result<JobResult, Setback>;
}

/// Finds the iris in the job's photo and enhances it.
#[derive(Debug)]
pub struct ImagingPipeline {
    pub limits: Limits,
}

impl Pipeline for ImagingPipeline {
    fn run(&self, attempt: &Attempt<'_>) -> Result<JobResult, Setback> {
        attempt.run_imaging(self.limits)
    }
}
