//! Follows all jobs of an account on a server: one progress bar for each unfinished job, and its files when it ends.

use std::collections::HashMap;
use std::path::Path;

use irisflow_client::{
    Client, EventKind, JobEstimate, JobEvent, JobId, JobStatus, Timeline, TimelineUpdate,
};
use irisflow_messages::{Language, text};

use crate::exit_code::Outcome;
use crate::follow_job::finish;
use crate::output_names::OutputNaming;
use crate::progress_bars::{Bars, PhotoBar};

/// Follows until the session ends or the server stays away. With `out`, the files of each completed job are written
/// there.
pub(crate) async fn follow_timeline(client: &Client, out: Option<&Path>, bars: &Bars) -> Outcome {
    let mut following = Following {
        client,
        bars,
        naming: out.map(|out| OutputNaming::new(out, &[])),
        unfinished: HashMap::new(),
    };
    following.run(client.timeline()).await
}

struct Following<'a> {
    client: &'a Client,
    bars: &'a Bars,
    naming: Option<OutputNaming>,
    unfinished: HashMap<JobId, PhotoBar>,
}

impl Following<'_> {
    async fn run(&mut self, mut timeline: Timeline) -> Outcome {
        while let Some(update) = timeline.next().await {
            match update {
                Ok(TimelineUpdate::Snapshot(jobs)) => self.on_snapshot(&jobs).await,
                Ok(TimelineUpdate::Event(event)) => self.on_event(&event).await,
                Ok(TimelineUpdate::Estimate(estimate)) => self.on_estimate(&estimate),
                Ok(TimelineUpdate::Lost { reason, wait }) => {
                    let seconds = format!("{:.1}", wait.as_secs_f32());
                    let text = text!("cli-connection-lost", reason = reason, seconds = seconds);
                    self.bars.print_line(&text);
                }
                Err(error) => {
                    let error = error.to_string();
                    self.bars.print_line(&text!("cli-error", error = error));
                }
            }
        }
        Outcome::Failed
    }

    /// Shows the unfinished jobs, and ends the bars of those that have ended meanwhile.
    async fn on_snapshot(&mut self, jobs: &[JobStatus]) {
        for job in jobs {
            if job.status.is_final() {
                if self.unfinished.contains_key(&job.job_id) {
                    self.on_end(&job.job_id).await;
                }
            } else {
                self.bar(&job.job_id).show_step(&job.step, job.progress);
            }
        }
    }

    async fn on_event(&mut self, event: &JobEvent) {
        let job_id = &event.job_id;
        if event.kind == EventKind::Deleted {
            if let Some(bar) = self.unfinished.remove(job_id) {
                bar.end(&text!("cli-deleted").in_language(Language::PROGRAM));
            }
        } else if event.kind.is_final() {
            self.on_end(job_id).await;
        } else {
            self.bar(job_id).show_step(&event.step, event.progress);
        }
    }

    fn on_estimate(&mut self, estimate: &JobEstimate) {
        if let (Some(bar), Some(waiting)) = (
            self.unfinished.get(&estimate.job_id),
            &estimate.waiting_because,
        ) {
            bar.show_waiting(&waiting.message);
        }
    }

    async fn on_end(&mut self, job_id: &JobId) {
        let bar = self.unfinished.remove(job_id);
        let bar = bar.unwrap_or_else(|| self.bars.photo(job_id.as_str()));
        let names = self.naming.as_mut();
        let names = names.map(|naming| naming.names_for(Path::new(job_id.as_str())));
        let finished = match self.client.job(job_id).await {
            Ok(job) => finish(self.client, &job, names.as_ref(), &bar, self.bars).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = finished {
            bar.fail(format!("{error:#}"));
        }
    }

    fn bar(&mut self, job_id: &JobId) -> &PhotoBar {
        let entry = self.unfinished.entry(job_id.clone());
        entry.or_insert_with(|| self.bars.photo(job_id.as_str()))
    }
}
