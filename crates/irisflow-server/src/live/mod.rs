//! Live progress of jobs, pushed after the transaction of each event has committed.
//!
//! `user_stream.rs` is the state machine of a watcher of all jobs of a user; `watcher.rs` connects it to the store and to
//! the user's hub (`hub.rs`); `user_socket.rs` and `events.rs` are its transports. `job_socket.rs` is the socket of one
//! job.

mod client_frames;
pub(crate) mod create_ticket;
mod credentials;
mod event_body;
mod event_schema;
pub(crate) mod events;
mod frames;
mod hub;
mod job_socket;
mod outbox;
mod resumption;
mod resync;
mod session_ends;
mod socket_request;
mod user_frames;
mod user_socket;
mod user_stream;
mod watch_job;
mod watcher;
mod web_socket;

pub use event_schema::{asyncapi, event_schema};
pub(crate) use hub::Hubs;
pub(crate) use job_socket::job_socket;
pub(crate) use resumption::Resumptions;
pub(crate) use resync::resync_watchers;
pub(crate) use session_ends::{SessionEnds, check_sessions};
pub(crate) use user_socket::user_socket;
pub(crate) use web_socket::PingSchedule;
