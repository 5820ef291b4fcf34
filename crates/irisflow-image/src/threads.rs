//! How many threads a job may use, and work shared out among them.

use std::sync::Mutex;

/// The number of threads that may work on one photo at a time, the caller's included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(usize);

impl Default for Threads {
    /// The caller's alone.
    fn default() -> Self {
        Self(1)
    }
}

impl Threads {
    pub fn new(count: usize) -> Self {
        Self(count.max(1))
    }

    /// The work done on every item, results in the order of the items. Each thread takes the next item
    /// until none is left; a panic of one is one of the caller.
    pub(crate) fn map<T: Send, R: Send>(
        self,
        items: Vec<T>,
        work: impl Fn(T) -> R + Sync,
    ) -> Vec<R> {
        if self.0 == 1 || items.len() < 2 {
            return items.into_iter().map(work).collect();
        }
        let helpers = self.0.min(items.len()) - 1;
        let queue = Mutex::new(items.into_iter().enumerate());
        let take = || queue.lock().ok().and_then(|mut queue| queue.next());
        let do_all = || {
            let mut done = Vec::new();
            while let Some((number, item)) = take() {
                done.push((number, work(item)));
            }
            done
        };
        let mut done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..helpers).map(|_| scope.spawn(do_all)).collect();
            let mut done = do_all();
            for thread in threads {
                match thread.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

impl Threads {
    /// What two pieces of work give that do not depend on each other; a panic of one is one of the caller.
    pub(crate) fn both<A: Send, B>(
        self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B,
    ) -> (A, B) {
        if self.0 == 1 {
            return (first(), second());
        }
        std::thread::scope(|scope| {
            let first = scope.spawn(first);
            let second = second();
            match first.join() {
                Ok(first) => (first, second),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Threads;

    #[test]
    fn two_pieces_of_work_give_their_own_results() {
        for threads in 1..3 {
            let both = Threads::new(threads).both(|| "first", || 2);
            assert_eq!(both, ("first", 2));
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for threads in 1..4 {
            let doubled = Threads::new(threads).map((0..20).collect(), |item: i32| 2 * item);
            assert_eq!(doubled, (0..20).map(|item| 2 * item).collect::<Vec<_>>());
        }
    }
}
