//! User-facing texts about an unfinished job: its step, and what it waits for.

use irisflow_image::pipeline::Stage;
use irisflow_jobs::{Step, WaitingReason};

use crate::{Text, text};

/// The step of a job, which may not have begun one yet.
pub fn step(step: Option<Step>) -> Text {
    match step {
        None => text!("step-none-yet"),
        Some(Step::Loading) => stage(Stage::Loading),
        Some(Step::Segmenting) => stage(Stage::Segmenting),
        Some(Step::RemovingReflections) => stage(Stage::RemovingReflections),
        Some(Step::Enhancing) => stage(Stage::Enhancing),
        Some(Step::Saving) => stage(Stage::Saving),
        Some(Step::Completed) => completed(),
    }
}

pub fn stage(stage: Stage) -> Text {
    match stage {
        Stage::Loading => text!("step-loading"),
        Stage::Segmenting => text!("step-segmenting"),
        Stage::RemovingReflections => text!("step-removing-reflections"),
        Stage::Enhancing => text!("step-enhancing"),
        Stage::Saving => text!("step-saving"),
    }
}

pub fn completed() -> Text {
    text!("step-completed")
}

/// Why a job waits.
pub fn waiting(reason: WaitingReason) -> Text {
    match reason {
        WaitingReason::RetryBackoff { attempt } => {
            text!("waiting-retry-backoff", attempt = attempt + 1)
        }
        WaitingReason::NoWorkerAlive => text!("waiting-no-worker-alive"),
        WaitingReason::Service => text!("waiting-service"),
        WaitingReason::OwnJobsAhead { ahead } => text!("waiting-own-jobs-ahead", ahead = ahead),
        WaitingReason::FairnessTurn { ahead } => text!("waiting-fairness-turn", ahead = ahead),
        WaitingReason::QueueAhead { ahead, own: 0 } => text!("waiting-queue-ahead", ahead = ahead),
        WaitingReason::QueueAhead { ahead, own } => {
            text!("waiting-queue-ahead-with-own", ahead = ahead, own = own)
        }
        WaitingReason::WorkersBusy => text!("waiting-workers-busy"),
        WaitingReason::Next => text!("waiting-next"),
    }
}
