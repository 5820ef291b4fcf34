//! The order of claims:
//!
//! 1. Of the users with waiting jobs, the one with the fewest running jobs.
//! 2. Of these, the one served longest ago. Users that were never served come first, by waiting time.
//! 3. Of this user's due jobs, high priority before default; a default job that waited long counts as high.
//! 4. Of these, the job that waited longest.
//!
//! Stores claim by this rule in SQL (`irisflow-sqlite/src/job_leases.rs`); here the same rule counts the jobs that
//! go before a waiting one.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::estimate::QueuePlace;
use crate::id::{JobId, UserId};
use crate::job::{Job, Priority};

/// A user with waiting jobs, and what the order depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedUser {
    pub user_id: UserId,
    pub queued: u32,
    pub running: u32,
    /// The number of its newest claim, counted over all users; 0 before the first.
    pub claim_mark: i64,
    /// The earliest `run_at` of its waiting jobs.
    pub next_run_at: Timestamp,
    /// Of its timeline: together with the counters it shows whether anything has changed.
    pub last_seq: i64,
}

impl QueuedUser {
    /// The user with the least goes first.
    fn claim_order(&self) -> ClaimOrder {
        (
            self.running,
            self.claim_mark,
            self.next_run_at,
            self.user_id,
        )
    }
}

/// A waiting job of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingJob {
    pub id: JobId,
    pub priority: Priority,
    /// Not claimed before this moment.
    pub run_at: Timestamp,
}

impl WaitingJob {
    pub fn of(job: &Job) -> Self {
        Self {
            id: job.id,
            priority: job.priority,
            run_at: job.run_at,
        }
    }

    /// Of one user's jobs the one with the least goes first: what is due, then high ones and default ones
    /// that waited for `ageing`, then the longest wait.
    pub fn claim_order(&self, now: Timestamp, ageing: Duration) -> (bool, bool, Timestamp, JobId) {
        let counts_as_high = self.priority == Priority::High || self.run_at <= now - ageing;
        (self.run_at > now, !counts_as_high, self.run_at, self.id)
    }
}

/// The place of a waiting job among the waiting jobs of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPlace {
    /// How many of them go first.
    pub ahead: u32,
    /// Not claimed before this moment.
    pub run_at: Timestamp,
}

/// All users with waiting jobs at one moment.
#[derive(Debug, Clone, Default)]
pub struct QueueOrder {
    users: HashMap<UserId, QueuedUser>,
    /// The claim order of all users, sorted.
    claim_order: Vec<ClaimOrder>,
    /// From when on every one of the users has a job that is due.
    all_due_at: Option<Timestamp>,
}

type ClaimOrder = (u32, i64, Timestamp, UserId);

impl QueueOrder {
    pub fn of(users: Vec<QueuedUser>) -> Self {
        let mut claim_order: Vec<ClaimOrder> = users.iter().map(QueuedUser::claim_order).collect();
        claim_order.sort_unstable();
        let all_due_at = users.iter().map(|user| user.next_run_at).max();
        let users = users.into_iter().map(|user| (user.user_id, user));
        Self {
            users: users.collect(),
            claim_order,
            all_due_at,
        }
    }

    /// How many users wait.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// `None` when no job of this user waits.
    pub fn user(&self, user_id: UserId) -> Option<&QueuedUser> {
        self.users.get(&user_id)
    }

    /// The jobs that are claimed before a job of this user. `None` when no job of the user waits.
    ///
    /// Claims alternate between users. If n jobs of this user come first, each other user is served n times
    /// before, and n + 1 times if it precedes this user in the order.
    pub fn place(&self, user_id: UserId, own: OwnPlace, now: Timestamp) -> Option<QueuePlace> {
        let mine = self.users.get(&user_id)?;
        let due_by = now.max(own.run_at);
        Some(QueuePlace {
            own_ahead: own.ahead,
            others_ahead: self.others_ahead(mine, own, due_by),
            own_running: mine.running,
            run_at: own.run_at,
        })
    }

    fn others_ahead(&self, mine: &QueuedUser, own: OwnPlace, due_by: Timestamp) -> u32 {
        if own.ahead == 0 && self.all_due_at <= Some(due_by) {
            // One job of each user that precedes: found without looking at all users, who may be thousands.
            let mine = mine.claim_order();
            let rank = self.claim_order.partition_point(|other| *other < mine);
            return u32::try_from(rank).unwrap_or(u32::MAX);
        }
        let others = self.users.values();
        let others =
            others.filter(|user| user.user_id != mine.user_id && user.next_run_at <= due_by);
        let ahead = others.map(|user| {
            let goes_first = user.claim_order() < mine.claim_order();
            user.queued.min(own.ahead + u32::from(goes_first))
        });
        ahead.fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_job_of_a_user_has_the_same_place_when_another_user_is_not_due() {
        let at = Timestamp::from_millis;
        let user = |number: u32, next_run_at: i64| QueuedUser {
            user_id: UserId::generate(),
            queued: 1 + number % 3,
            running: number % 2,
            claim_mark: i64::from(number * 7 % 5),
            next_run_at: at(next_run_at),
            last_seq: 0,
        };
        let users: Vec<QueuedUser> = (0..20)
            .map(|number| user(number, i64::from(number)))
            .collect();
        let all_due = QueueOrder::of(users.clone());
        let mut with_another = users.clone();
        with_another.push(user(1, 1_000_000));
        let not_all_due = QueueOrder::of(with_another);
        for user in &users {
            let own = OwnPlace {
                ahead: 0,
                run_at: user.next_run_at,
            };
            let place = |order: &QueueOrder| order.place(user.user_id, own, at(100));
            assert_eq!(place(&all_due), place(&not_all_due));
        }
    }
}
