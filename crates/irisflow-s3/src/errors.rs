//! Errors of the S3 client as those of the port. What is not about one object counts as an outage: the worker then
//! probes the storage, and only when that fails, too, it waits.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use irisflow_photos::StorageError;
use object_store::client::{HttpError, HttpErrorKind};

pub(crate) fn failed(operation: &'static str) -> impl FnMut(object_store::Error) -> StorageError {
    move |error| StorageError::new(operation, io::Error::new(kind_of(&error), error))
}

/// The bucket does not exist, or may not be listed.
pub(crate) fn bucket_is_missing(error: object_store::Error) -> StorageError {
    StorageError::new(
        "looking for the bucket",
        io::Error::new(ErrorKind::NotConnected, error),
    )
}

fn kind_of(error: &object_store::Error) -> ErrorKind {
    use object_store::Error;
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        Error::InvalidPath { .. }
        | Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. } => ErrorKind::Other,
        error if has_timed_out(error) => ErrorKind::TimedOut,
        _ => ErrorKind::NotConnected,
    }
}

fn has_timed_out(error: &object_store::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return http.kind() == HttpErrorKind::Timeout;
        }
        cause = error.source();
    }
    false
}
