//! Raises the limit of open files (RLIMIT_NOFILE), which connections, files and the database share.

/// Raises the soft limit to the hard limit and returns it. Systems start programs with a low soft limit for
/// compatibility with `select(2)`.
#[cfg(unix)]
pub(crate) fn raise_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Some systems have an infinite hard limit but reject it as a soft limit.
    for target in [limit.maximum, Some(MAX_NEEDED)] {
        let raised = Rlimit {
            current: target,
            ..limit
        };
        if limit.current < target && setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(MAX_NEEDED)
}

/// Systems without such a limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> u64 {
    MAX_NEEDED
}

/// The server never needs more than this.
const MAX_NEEDED: u64 = 65_536;

/// Below this the server warns, because it can serve only a few clients at once.
pub(crate) const RECOMMENDED_MIN: u64 = 512;

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
