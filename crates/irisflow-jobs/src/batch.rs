//! Jobs that were submitted together, as one thing to watch.

use crate::clock::Timestamp;
use crate::id::{BatchId, UserId};
use crate::job::{Job, JobState};

#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub id: BatchId,
    pub user_id: UserId,
    /// How many jobs it had at first, those deleted since included.
    pub size: u32,
    pub created_at: Timestamp,
    /// Those that still exist, in the order given.
    pub jobs: Vec<Job>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    pub pending: u32,
    pub processing: u32,
    pub completed: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub deleted: u32,
}

impl Batch {
    /// Per cent of the whole. A job that has ended in whatever way, or was deleted, counts as done, so
    /// that it never goes back; it is 100 only when all have ended.
    pub fn progress(&self) -> u8 {
        let of = |job: &Job| {
            if job.state.is_final() {
                100
            } else {
                u32::from(job.progress.min(99))
            }
        };
        let present: u32 = self.jobs.iter().map(of).sum();
        let whole = present + self.counts().deleted * 100;
        u8::try_from(whole / self.size.max(1))
            .unwrap_or(100)
            .min(100)
    }

    pub fn counts(&self) -> BatchCounts {
        let mut counts = BatchCounts {
            deleted: self
                .size
                .saturating_sub(u32::try_from(self.jobs.len()).unwrap_or(u32::MAX)),
            ..BatchCounts::default()
        };
        for job in &self.jobs {
            let count = match &job.state {
                JobState::Pending => &mut counts.pending,
                JobState::Processing(_) | JobState::Waiting => &mut counts.processing,
                JobState::Completed(_) => &mut counts.completed,
                JobState::Failed(_) => &mut counts.failed,
                JobState::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{JobId, PhotoId};
    use crate::job::{NewJob, Priority};
    use crate::options::PictureOptions;

    fn job(progress: u8, state: JobState) -> Job {
        let new = NewJob {
            id: JobId::generate(),
            user_id: UserId::generate(),
            photo_id: PhotoId::generate(),
            batch_id: None,
            priority: Priority::Default,
            options: PictureOptions::default(),
        };
        Job {
            progress,
            state,
            ..Job::queued(new, Timestamp::EPOCH).job
        }
    }

    fn batch(size: u32, jobs: Vec<Job>) -> Batch {
        Batch {
            id: BatchId::generate(),
            user_id: UserId::generate(),
            size,
            created_at: Timestamp::EPOCH,
            jobs,
        }
    }

    #[test]
    fn its_progress_is_the_mean_of_its_jobs() {
        let jobs = vec![job(70, JobState::Waiting), job(0, JobState::Pending)];
        assert_eq!(batch(2, jobs).progress(), 35);
    }

    #[test]
    fn a_job_that_ended_early_or_was_deleted_counts_as_done() {
        let ended = job(20, JobState::Cancelled);
        let before = batch(
            3,
            vec![
                ended.clone(),
                job(90, JobState::Waiting),
                job(0, JobState::Pending),
            ],
        );
        let deleted = batch(3, vec![ended, job(0, JobState::Pending)]);
        assert_eq!((before.progress(), deleted.progress()), (63, 66));
        assert_eq!(deleted.counts().deleted, 1);
    }

    #[test]
    fn it_is_whole_only_when_all_have_ended() {
        let almost = vec![job(100, JobState::Cancelled), job(95, JobState::Waiting)];
        assert_eq!(batch(2, almost).progress(), 97);
        let all = vec![job(100, JobState::Cancelled), job(95, JobState::Cancelled)];
        assert_eq!(batch(2, all).progress(), 100);
    }
}
