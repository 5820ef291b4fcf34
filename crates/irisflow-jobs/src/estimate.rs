//! Estimates for waiting and running jobs: the place in the queue, the reason for waiting, and how long it
//! will take, from what finished jobs took. Nothing here is stored or logged as an event: it is worked
//! out at each request.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::step::Checkpoint;

/// What one finished job took, step by step, in the order of [`Step::WORKING`](crate::Step::WORKING).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTimes {
    /// Of the photo.
    pub pixels: u64,
    pub ms: [u32; STEPS],
}

/// The slots of the workers that are alive, and how many of them are busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerCapacity {
    /// How many jobs can be worked on at once.
    pub slots: u32,
    pub running: u32,
}

/// The place of a waiting job in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// Waiting jobs of the same user that go first.
    pub own_ahead: u32,
    /// Waiting jobs of others that will go first, as claims alternate between users.
    pub others_ahead: u32,
    /// Jobs of the same user that are being worked on.
    pub own_running: u32,
    /// Not claimed before this moment.
    pub run_at: Timestamp,
}

/// The state of a job, as far as an estimate needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPosition {
    /// No worker has it.
    Waiting(QueuePlace),
    /// A worker has it, and reached `progress` at `since`.
    Running { progress: u8, since: Timestamp },
}

/// The input of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimateInput {
    pub position: JobPosition,
    pub attempt_count: u32,
    /// Of the photo.
    pub pixels: u64,
    pub worker_capacity: WorkerCapacity,
    pub now: Timestamp,
}

/// The estimate of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Counted from 1. `None` for a job that does not wait.
    pub queue_position: Option<u32>,
    pub waiting_because: Option<WaitingReason>,
    /// Until the result. `None` without a history to judge by, or without a worker.
    pub eta: Option<Eta>,
    /// The present step takes far longer than it did for others.
    pub slower_than_usual: bool,
}

/// Most likely not sooner than `low` and not later than `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eta {
    pub low: Duration,
    pub high: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingReason {
    /// It failed and is tried again after a pause.
    RetryBackoff { attempt: u32 },
    /// No worker has reported for a while.
    NoWorkerAlive,
    /// An outage of a disk or store of the service; the job goes on after it.
    Service,
    /// All that go first are the user's own.
    OwnJobsAhead { ahead: u32 },
    /// One of the user's jobs is running: other users go first.
    FairnessTurn { ahead: u32 },
    /// Others came first.
    QueueAhead { ahead: u32, own: u32 },
    /// First in line, with all workers busy.
    WorkersBusy,
    /// First in line, and a worker is free.
    Next,
}

impl WaitingReason {
    /// The stable name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::RetryBackoff { .. } => "retry_backoff",
            Self::NoWorkerAlive => "no_worker_alive",
            Self::Service => "service",
            Self::OwnJobsAhead { .. } => "own_jobs_ahead",
            Self::FairnessTurn { .. } => "fairness_turn",
            Self::QueueAhead { .. } => "queue_ahead",
            Self::WorkersBusy => "workers_busy",
            Self::Next => "next",
        }
    }
}

const STEPS: usize = 5;
/// With fewer finished jobs than this there is no estimate.
const LEAST_HISTORY: usize = 5;
/// Four in five jobs lie between these parts of the history.
const LOW_PART: f64 = 0.1;
const HIGH_PART: f64 = 0.9;
/// The same for a normal distribution, in standard deviations.
const HIGH_DEVIATIONS: f64 = 1.28;
/// A step is slow when it takes this many times what the slowest tenth took, and a moment more.
const SLOW_FACTOR: f64 = 2.0;
const SLOW_MARGIN_MS: f64 = 500.0;
/// Photos larger or smaller than those known by this factor are outside of what was seen.
const KNOWN_RANGE: f64 = 1.5;

/// What the jobs that finished lately took.
#[derive(Debug, Clone, Default)]
pub struct Estimator {
    jobs: Vec<StepTimes>,
    costs: [StepCost; STEPS],
}

impl Estimator {
    pub fn of(jobs: Vec<StepTimes>) -> Self {
        let costs = std::array::from_fn(|step| StepCost::fit(&jobs, step));
        Self { jobs, costs }
    }

    /// Estimates one job.
    pub fn estimate(&self, input: &EstimateInput) -> Estimate {
        match input.position {
            JobPosition::Waiting(place) => self.of_waiting(input, place),
            JobPosition::Running { progress, since } => {
                let elapsed_ms = millis(input.now.since(since));
                let step = step_at(progress);
                let eta = self.rest(input.pixels, step, elapsed_ms).map(|rest| {
                    // A later attempt begins anew, though what is shown does not go back.
                    let anew = self.rest(input.pixels, 0, 0.0).unwrap_or(rest);
                    let high = if input.attempt_count > 0 {
                        anew.1
                    } else {
                        rest.1
                    };
                    eta_of(rest.0, high)
                });
                Estimate {
                    eta,
                    slower_than_usual: self.is_slow(input.pixels, step, elapsed_ms),
                    ..Estimate::default()
                }
            }
        }
    }

    fn of_waiting(&self, input: &EstimateInput, place: QueuePlace) -> Estimate {
        let ahead = place.own_ahead + place.others_ahead;
        let pause_ms = millis(place.run_at.since(input.now));
        let eta = self.rest(input.pixels, 0, 0.0).and_then(|(low, high)| {
            let (wait_low, wait_high) = self.until_free(ahead, input.worker_capacity)?;
            Some(eta_of(
                wait_low.max(pause_ms) + low,
                wait_high.max(pause_ms) + high,
            ))
        });
        Estimate {
            queue_position: Some(ahead + 1),
            waiting_because: Some(reason(input, place)),
            eta,
            slower_than_usual: false,
        }
    }

    /// How long until a worker is free for a job with so many ahead of it, in ms: the jobs under way
    /// are somewhere in their middle, those between take their whole time, and `slots` work at once.
    /// `None` without workers.
    fn until_free(&self, ahead: u32, worker_capacity: WorkerCapacity) -> Option<(f64, f64)> {
        if worker_capacity.slots == 0 {
            return None;
        }
        let free = worker_capacity
            .slots
            .saturating_sub(worker_capacity.running);
        if ahead < free {
            return Some((0.0, 0.0));
        }
        let ends = f64::from(ahead - free + 1);
        let totals: Vec<f64> = self.jobs.iter().map(|job| total(&job.ms)).collect();
        let mean = mean_of(&totals);
        let variance = mean_of(
            &totals
                .iter()
                .map(|t| (t - mean).powi(2))
                .collect::<Vec<_>>(),
        );
        let spread = HIGH_DEVIATIONS * (variance * ends).sqrt();
        let whole = (ends - 1.0) * mean;
        let slots = f64::from(worker_capacity.slots);
        Some((
            ((whole + LOW_PART * mean - spread) / slots).max(0.0),
            (whole + HIGH_PART * mean + spread) / slots,
        ))
    }

    /// Low and high of what is left from `step` on, in ms, for a photo of this size: what each known
    /// job took for these steps, scaled to this photo. `None` with too few of them.
    fn rest(&self, pixels: u64, step: usize, elapsed_ms: f64) -> Option<(f64, f64)> {
        if self.jobs.len() < LEAST_HISTORY {
            return None;
        }
        let mut rests: Vec<f64> = self
            .jobs
            .iter()
            .map(|job| {
                let now = (self.scaled(job, step, pixels) - elapsed_ms).max(0.0);
                let later = (step + 1..STEPS).map(|step| self.scaled(job, step, pixels));
                now + later.sum::<f64>()
            })
            .collect();
        rests.sort_by(f64::total_cmp);
        let (low, high) = (part_of(&rests, LOW_PART), part_of(&rests, HIGH_PART));
        let (smallest, largest) = self.known_sizes();
        let pixels = pixels as f64;
        // Beyond what was seen the cost may follow the pixels more, or less, than it did so far.
        let low = low * (pixels * KNOWN_RANGE / smallest).min(1.0);
        let high = high * (pixels / (largest * KNOWN_RANGE)).max(1.0);
        Some((low, high))
    }

    fn is_slow(&self, pixels: u64, step: usize, elapsed_ms: f64) -> bool {
        if self.jobs.len() < LEAST_HISTORY {
            return false;
        }
        let mut known: Vec<f64> = self
            .jobs
            .iter()
            .map(|job| self.scaled(job, step, pixels))
            .collect();
        known.sort_by(f64::total_cmp);
        elapsed_ms > SLOW_FACTOR * part_of(&known, HIGH_PART) + SLOW_MARGIN_MS
    }

    /// What a step of a known job would have taken with a photo of this size.
    fn scaled(&self, job: &StepTimes, step: usize, pixels: u64) -> f64 {
        let taken = f64::from(job.ms[step]);
        let cost = &self.costs[step];
        let (there, here) = (cost.of(job.pixels), cost.of(pixels));
        if there > 0.0 {
            taken * here / there
        } else {
            taken
        }
    }

    fn known_sizes(&self) -> (f64, f64) {
        let sizes = self.jobs.iter().map(|job| job.pixels.max(1) as f64);
        let smallest = sizes.clone().fold(f64::INFINITY, f64::min);
        (smallest, sizes.fold(1.0, f64::max))
    }
}

/// What a step costs: a fixed part and a part per pixel, the line of least squares through the history.
#[derive(Debug, Clone, Copy, Default)]
struct StepCost {
    fixed_ms: f64,
    ms_per_pixel: f64,
}

impl StepCost {
    fn fit(jobs: &[StepTimes], step: usize) -> Self {
        let sizes: Vec<f64> = jobs.iter().map(|job| job.pixels as f64).collect();
        let times: Vec<f64> = jobs.iter().map(|job| f64::from(job.ms[step])).collect();
        let (size, time) = (mean_of(&sizes), mean_of(&times));
        let mut together = 0.0;
        let mut alone = 0.0;
        for (s, t) in sizes.iter().zip(&times) {
            together += (s - size) * (t - time);
            alone += (s - size).powi(2);
        }
        // Neither a larger photo nor none at all takes less than nothing.
        let slope = if alone > 0.0 {
            (together / alone).max(0.0)
        } else {
            0.0
        };
        if slope * size > time && size > 0.0 {
            return Self {
                fixed_ms: 0.0,
                ms_per_pixel: time / size,
            };
        }
        Self {
            fixed_ms: time - slope * size,
            ms_per_pixel: slope,
        }
    }

    fn of(&self, pixels: u64) -> f64 {
        self.fixed_ms + self.ms_per_pixel * pixels as f64
    }
}

fn reason(input: &EstimateInput, place: QueuePlace) -> WaitingReason {
    let ahead = place.own_ahead + place.others_ahead;
    let WorkerCapacity { slots, running } = input.worker_capacity;
    // Only retries have a future `run_at`; for other jobs it means that the clock was set back.
    if place.run_at > input.now && input.attempt_count > 0 {
        WaitingReason::RetryBackoff {
            attempt: input.attempt_count,
        }
    } else if slots == 0 {
        WaitingReason::NoWorkerAlive
    } else if ahead == 0 && running < slots {
        WaitingReason::Next
    } else if ahead == 0 {
        WaitingReason::WorkersBusy
    } else if place.others_ahead == 0 {
        WaitingReason::OwnJobsAhead { ahead }
    } else if place.own_ahead == 0 && place.own_running > 0 {
        WaitingReason::FairnessTurn { ahead }
    } else {
        WaitingReason::QueueAhead {
            ahead,
            own: place.own_ahead,
        }
    }
}

/// The step, by its place in the order, that a job with this progress is in.
fn step_at(progress: u8) -> usize {
    let ends = [
        Checkpoint::LoadingDone,
        Checkpoint::SegmentingDone,
        Checkpoint::RemovingReflectionsDone,
        Checkpoint::EnhancingDone,
    ];
    ends.iter().filter(|end| progress >= end.progress()).count()
}

fn eta_of(low_ms: f64, high_ms: f64) -> Eta {
    let duration = |ms: f64| Duration::from_millis(ms.max(0.0) as u64);
    Eta {
        low: duration(low_ms),
        high: duration(high_ms.max(low_ms)),
    }
}

fn total(ms: &[u32; STEPS]) -> f64 {
    ms.iter().map(|&ms| f64::from(ms)).sum()
}

fn mean_of(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value below which this part of the sorted values lies.
fn part_of(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGAPIXEL: u64 = 1_000_000;
    const NOW: Timestamp = Timestamp::EPOCH;
    const FIRST: QueuePlace = QueuePlace {
        own_ahead: 0,
        others_ahead: 0,
        own_running: 0,
        run_at: NOW,
    };
    const TWO_FREE: WorkerCapacity = WorkerCapacity {
        slots: 2,
        running: 0,
    };

    /// Loading takes 10 ms a megapixel, each other step 100 ms, of photos with 1 to 12 megapixels.
    fn history() -> Estimator {
        let jobs = (1..=12).map(|size| StepTimes {
            pixels: size * MEGAPIXEL,
            ms: [u32::try_from(size).unwrap_or(0) * 10, 100, 100, 100, 100],
        });
        Estimator::of(jobs.collect())
    }

    fn waiting(place: QueuePlace, worker_capacity: WorkerCapacity) -> EstimateInput {
        EstimateInput {
            position: JobPosition::Waiting(place),
            attempt_count: 0,
            pixels: 8 * MEGAPIXEL,
            worker_capacity,
            now: NOW,
        }
    }

    fn running(progress: u8, elapsed_ms: u64) -> EstimateInput {
        EstimateInput {
            position: JobPosition::Running {
                progress,
                since: NOW,
            },
            now: NOW + Duration::from_millis(elapsed_ms),
            ..waiting(FIRST, TWO_FREE)
        }
    }

    fn eta_ms(history: &Estimator, input: &EstimateInput) -> (u128, u128) {
        let eta = history.estimate(input).eta.expect("there is a history");
        (eta.low.as_millis(), eta.high.as_millis())
    }

    #[test]
    fn without_a_history_nothing_is_foretold() {
        let four = Estimator::of(history().jobs[..4].to_vec());
        for input in [waiting(FIRST, TWO_FREE), running(20, 50)] {
            assert_eq!(four.estimate(&input).eta, None);
            assert!(!four.estimate(&input).slower_than_usual);
        }
    }

    #[test]
    fn what_grows_with_the_photo_is_scaled_by_its_pixels() {
        let begun = running(5, 0);
        let (low, high) = eta_ms(&history(), &begun);
        assert!(
            (479..=481).contains(&low) && (479..=481).contains(&high),
            "{low} {high}"
        );
        let small = EstimateInput {
            pixels: 2 * MEGAPIXEL,
            ..begun
        };
        let (low, _) = eta_ms(&history(), &small);
        assert!((419..=421).contains(&low), "{low}");
    }

    #[test]
    fn a_running_job_has_the_rest_of_its_step_and_the_steps_after_it_left() {
        assert_eq!(eta_ms(&history(), &running(70, 0)), (200, 200));
        assert_eq!(eta_ms(&history(), &running(70, 60)), (140, 140));
        assert_eq!(eta_ms(&history(), &running(95, 0)), (100, 100));
        assert_eq!(eta_ms(&history(), &running(95, 900)), (0, 0));
    }

    #[test]
    fn a_later_attempt_may_have_to_do_everything_again() {
        let again = EstimateInput {
            attempt_count: 1,
            ..running(70, 0)
        };
        let (low, high) = eta_ms(&history(), &again);
        assert_eq!(low, 200);
        assert!(high >= 479, "{high}");
    }

    #[test]
    fn a_photo_larger_than_any_known_may_cost_as_its_pixels_do() {
        let same_size = Estimator::of(vec![
            StepTimes {
                pixels: MEGAPIXEL,
                ms: [100; STEPS],
            };
            LEAST_HISTORY
        ]);
        let (low, high) = eta_ms(
            &same_size,
            &EstimateInput {
                pixels: 6 * MEGAPIXEL,
                ..running(5, 0)
            },
        );
        assert_eq!((low, high), (500, 2000));
    }

    #[test]
    fn waiting_adds_the_jobs_ahead_shared_by_the_workers() {
        let place = QueuePlace {
            own_ahead: 1,
            others_ahead: 4,
            ..FIRST
        };
        let alone = eta_ms(&history(), &waiting(FIRST, TWO_FREE));
        let one = WorkerCapacity {
            slots: 1,
            running: 1,
        };
        let two = WorkerCapacity {
            slots: 2,
            running: 2,
        };

        let (by_one, by_two) = (waiting(place, one), waiting(place, two));
        let (one_low, one_high) = eta_ms(&history(), &by_one);
        let (two_low, two_high) = eta_ms(&history(), &by_two);

        // Five whole jobs of 465 ms on average and a part of one under way.
        assert!(
            one_low < alone.0 + 2550 && one_high > alone.1 + 2550,
            "{one_low} {one_high}"
        );
        assert!(
            two_low < alone.0 + 1275 && two_high > alone.1 + 1275,
            "{two_low} {two_high}"
        );
        assert_eq!(history().estimate(&by_two).queue_position, Some(6));
    }

    #[test]
    fn without_a_worker_no_time_is_foretold() {
        let input = waiting(FIRST, WorkerCapacity::default());
        let estimate = history().estimate(&input);
        assert_eq!(estimate.eta, None);
        assert_eq!(estimate.waiting_because, Some(WaitingReason::NoWorkerAlive));
        assert_eq!(estimate.queue_position, Some(1));
    }

    #[test]
    fn each_reason_to_wait_has_its_name() {
        let busy = WorkerCapacity {
            slots: 1,
            running: 1,
        };
        let place = |own_ahead, others_ahead, own_running| QueuePlace {
            own_ahead,
            others_ahead,
            own_running,
            ..FIRST
        };
        for (place, worker_capacity, code) in [
            (place(0, 0, 0), TWO_FREE, "next"),
            (place(0, 0, 0), busy, "workers_busy"),
            (place(3, 0, 1), busy, "own_jobs_ahead"),
            (place(0, 3, 1), busy, "fairness_turn"),
            (place(0, 3, 0), busy, "queue_ahead"),
            (place(1, 3, 1), busy, "queue_ahead"),
        ] {
            let estimate = history().estimate(&waiting(place, worker_capacity));
            assert_eq!(
                estimate.waiting_because.map(WaitingReason::code),
                Some(code)
            );
        }
    }

    #[test]
    fn a_retry_says_so_and_waits_out_its_pause() {
        let input = EstimateInput {
            position: JobPosition::Waiting(QueuePlace {
                run_at: NOW + Duration::from_secs(9),
                ..FIRST
            }),
            attempt_count: 1,
            ..waiting(FIRST, TWO_FREE)
        };
        let estimate = history().estimate(&input);
        let reason = estimate.waiting_because.expect("it waits");
        assert_eq!(reason.code(), "retry_backoff");
        assert_eq!(reason, WaitingReason::RetryBackoff { attempt: 1 });
        assert!(
            estimate
                .eta
                .is_some_and(|eta| eta.low > Duration::from_secs(9))
        );
    }

    #[test]
    fn a_step_that_takes_far_longer_than_it_did_is_slow() {
        let slow = |elapsed| history().estimate(&running(70, elapsed)).slower_than_usual;
        assert!(!slow(600));
        assert!(slow(800));
    }
}
