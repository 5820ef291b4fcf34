//! The failures of a job: each with its type, its stable code and its sentences. They are stored as their
//! owner reads them.

use irisflow_image::rejection::Rejection;
use irisflow_jobs::{ErrorType, Failure, MissedLimit};

use crate::{Advice, Language, advice, photos};

/// Photos could not be read or results not written.
pub fn storage_unavailable() -> Failure {
    let advice = advice!("failure-storage-unavailable");
    failure(ErrorType::TransientError, "storage_unavailable", &advice)
}

/// The attempt took longer than it may.
pub fn timed_out() -> Failure {
    let advice = advice!("failure-timed-out");
    failure(ErrorType::TransientError, "timed_out", &advice)
}

/// A step panicked or found itself in a state that must not be.
pub fn step_failed() -> Failure {
    let advice = advice!("failure-step-failed");
    failure(ErrorType::ServerError, "step_failed", &advice)
}

/// The worker disappeared too often while it held the job.
pub fn worker_lost() -> Failure {
    let advice = advice!("failure-worker-lost");
    failure(ErrorType::ServerError, "worker_lost", &advice)
}

/// How a cancelled job reads to a client that knows only completed and failed. Not a failed attempt: the
/// job's state stays `Cancelled`.
pub fn cancelled() -> Failure {
    let advice = advice!("failure-cancelled");
    failure(ErrorType::TransientError, "cancelled", &advice)
}

/// The job was finished, and its picture is gone from the storage since.
pub fn result_missing() -> Failure {
    let advice = advice!("failure-result-missing");
    failure(ErrorType::ServerError, "result_missing", &advice)
}

/// Anything without a better name.
pub fn unexpected() -> Failure {
    let advice = advice!("failure-unexpected");
    failure(ErrorType::ServerError, "unexpected", &advice)
}

/// The photo cannot be used.
pub fn rejected(rejection: &Rejection) -> Failure {
    let missed = rejection.missed_limit();
    Failure {
        measured: missed.map(|missed| MissedLimit {
            figure: missed.figure.to_owned(),
            value: missed.value,
            threshold: missed.threshold,
        }),
        ..failure(
            ErrorType::QualityIssue,
            rejection.code().as_str(),
            &photos::rejection(rejection),
        )
    }
}

fn failure(error_type: ErrorType, code: &str, advice: &Advice) -> Failure {
    Failure::new(
        error_type,
        code,
        advice.message.in_language(Language::PROGRAM),
        advice.suggestion.in_language(Language::PROGRAM),
    )
}
