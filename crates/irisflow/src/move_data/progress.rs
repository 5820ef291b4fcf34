//! Progress lines of `irisflow move`, on stderr.

use std::io::Write as _;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(2);

/// Prints a line at most every two seconds.
pub(super) struct Progress {
    printed: Instant,
}

impl Progress {
    pub(super) fn begin(line: &str) -> Self {
        print(line);
        Self {
            printed: Instant::now(),
        }
    }

    pub(super) fn update(&mut self, line: impl FnOnce() -> String) {
        if self.printed.elapsed() >= INTERVAL {
            print(&line());
            self.printed = Instant::now();
        }
    }
}

/// A closed pipe is ignored.
fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
