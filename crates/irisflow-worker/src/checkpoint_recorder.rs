//! Records checkpoints and previews in order, beside the work: pixels do not wait for the disk. Checkpoints that
//! came while one was being written are written together.

use std::sync::Arc;
use std::time::Duration;

use irisflow_image::previews;
use irisflow_jobs::{Checkpoint, Job, Preview, PreviewKind, WriteOutcome};
use irisflow_photos::{JobObject, ObjectKey, StorageError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::running_jobs::{RunningJob, StopReason};
use crate::{Shared, cancellation};

const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// A preview that takes longer to store is left out: checkpoints wait for it.
const STORING_LIMIT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct CheckpointRecorder {
    reports: mpsc::UnboundedSender<Report>,
    task: JoinHandle<()>,
}

enum Report {
    Checkpoint(Checkpoint),
    Preview(previews::Preview),
}

impl CheckpointRecorder {
    pub(crate) fn start(shared: Arc<Shared>, job: &Job, running: Arc<RunningJob>) -> Self {
        // At most nine checkpoints and three previews per attempt ever enter this channel.
        let (reports, receiver) = mpsc::unbounded_channel();
        let recording = Recording {
            shared: Arc::clone(&shared),
            job: job.clone(),
            running,
            checkpoints: Vec::new(),
            previews: Vec::new(),
            stores_previews: true,
        };
        let task = shared.runtime.spawn(recording.record_all(receiver));
        Self { reports, task }
    }

    pub(crate) fn reached(&self, checkpoint: Checkpoint) {
        // The task ends early only when the lease is lost, which also sets the attempt's stop flag.
        let _ = self.reports.send(Report::Checkpoint(checkpoint));
    }

    /// Stores the picture. It is recorded with the next checkpoint.
    pub(crate) fn preview(&self, preview: previews::Preview) {
        let _ = self.reports.send(Report::Preview(preview));
    }

    /// Waits until everything is recorded, or the lease is lost.
    pub(crate) async fn finish(self) {
        drop(self.reports);
        let _ = self.task.await;
    }
}

struct Recording {
    shared: Arc<Shared>,
    job: Job,
    running: Arc<RunningJob>,
    /// Reached or stored, and not yet recorded.
    checkpoints: Vec<Checkpoint>,
    previews: Vec<Preview>,
    /// Until one could not be stored.
    stores_previews: bool,
}

impl Recording {
    async fn record_all(mut self, mut receiver: mpsc::UnboundedReceiver<Report>) {
        let mut reports = Vec::new();
        while receiver
            .recv_many(&mut reports, Checkpoint::ALL.len())
            .await
            > 0
        {
            for report in reports.drain(..) {
                match report {
                    Report::Checkpoint(checkpoint) => self.checkpoints.push(checkpoint),
                    Report::Preview(preview) => self.store(preview).await,
                }
            }
            if !self.checkpoints.is_empty() {
                self.record().await;
                self.checkpoints.clear();
                self.previews.clear();
            }
        }
    }

    /// A preview is no part of the result: the job goes on without one that cannot be stored.
    async fn store(&mut self, preview: previews::Preview) {
        if !self.stores_previews || self.running.stop_reason().is_some() {
            return;
        }
        let record = Preview {
            kind: kind_of(preview.kind),
            epoch: self.job.epoch,
            width_px: preview.width,
            height_px: preview.height,
            size_bytes: preview.jpeg.len() as u64,
        };
        let (job, object) = (&self.job, JobObject::Preview(record.kind));
        let key = ObjectKey::of_job(job.user_id, job.id, job.epoch, object);
        let files = Arc::clone(&self.shared.parts.files);
        let mut put = tokio::spawn(async move { files.put(&key, preview.jpeg.into()).await });
        match timeout(STORING_LIMIT, &mut put).await {
            Ok(Ok(Ok(()))) => self.previews.push(record),
            Ok(Ok(Err(error))) => self.give_up_preview(key, None, &error),
            Ok(Err(error)) => self.give_up_preview(key, None, &error),
            Err(slow) => self.give_up_preview(key, Some(put), &slow),
        }
    }

    /// No row records it, though it may be stored in spite of the error, or later by `storing`.
    fn give_up_preview(
        &mut self,
        key: ObjectKey,
        storing: Option<JoinHandle<Result<(), StorageError>>>,
        error: &dyn std::fmt::Display,
    ) {
        self.stores_previews = false;
        tracing::warn!(job_id = %self.job.id, %error, "could not store a preview");
        let files = Arc::clone(&self.shared.parts.files);
        tokio::spawn(async move {
            if let Some(storing) = storing {
                let _ = storing.await;
            }
            let _ = files.delete(&key).await;
        });
    }

    async fn record(&self) {
        let fence = self.running.fence;
        let leases = &self.shared.parts.job_leases;
        while self.running.stop_reason().is_none() {
            match leases
                .record_checkpoints(fence, &self.previews, &self.checkpoints)
                .await
            {
                Ok(WriteOutcome::Recorded(now)) => {
                    if now.cancel_requested {
                        cancellation::cancel(&self.shared, &self.running).await;
                    }
                    break;
                }
                Ok(WriteOutcome::Fenced) => {
                    self.running.stop(StopReason::LeaseLost);
                }
                Err(error) => {
                    if !error.is_transient() && !error.is_outage() {
                        // Trying again does not help. The final state of the job includes this checkpoint.
                        tracing::error!(job_id = %fence.job_id, %error, "could not record progress");
                        break;
                    }
                    let doing = "recording progress";
                    let shared = &self.shared;
                    shared.wait_before_retry(&error, RETRY_PAUSE, doing).await;
                }
            }
        }
    }
}

fn kind_of(kind: previews::PreviewKind) -> PreviewKind {
    match kind {
        previews::PreviewKind::Outline => PreviewKind::Outline,
        previews::PreviewKind::Light => PreviewKind::Light,
        previews::PreviewKind::Result => PreviewKind::Result,
    }
}
