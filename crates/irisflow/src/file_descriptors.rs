//! File descriptors: connections, files and the database share them, so it must be known how many there
//! are.

/// Raises this process's own limit as far as it may, and says what it is then. Systems give programs a
/// low one to begin with, for the sake of very old programs.
#[cfg(unix)]
pub(crate) fn raise_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Some systems have a hard limit of infinity and refuse to set it.
    for wanted in [limit.maximum, Some(MOST_NEEDED)] {
        let raised = Rlimit {
            current: wanted,
            ..limit
        };
        if limit.current < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(MOST_NEEDED)
}

/// Where there is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> u64 {
    MOST_NEEDED
}

/// More are of no use to us.
const MOST_NEEDED: u64 = 65_536;

/// With fewer, only a few people can be served at once.
pub(crate) const FEWEST_FOR_COMFORT: u64 = 512;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let raised = raise_limit();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(Some(raised), limit.current);
        assert_eq!(limit.current, limit.maximum);
    }
}
