//! Live progress of jobs over WebSockets: events are pushed after their transaction has committed.

mod frames;
mod job_socket;
mod resumption;
mod resync;
mod watch_job;

pub(crate) use job_socket::job_socket;
pub(crate) use resumption::Resumptions;
pub(crate) use resync::resync_watchers;
