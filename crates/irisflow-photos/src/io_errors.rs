//! Which errors of files mean that the machine or its storage is in trouble, rather than one object.

use std::io::{self, ErrorKind};

/// Numbers without a kind of their own, the same on Linux, macOS and BSD.
mod errno {
    pub(super) const IO: i32 = 5;
    pub(super) const NO_SUCH_DEVICE_OR_ADDRESS: i32 = 6;
    pub(super) const NO_SUCH_DEVICE: i32 = 19;
    pub(super) const TOO_MANY_OPEN_FILES_IN_SYSTEM: i32 = 23;
    pub(super) const TOO_MANY_OPEN_FILES: i32 = 24;
}

pub(crate) fn is_outage(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::PermissionDenied
        | ErrorKind::OutOfMemory
        | ErrorKind::TimedOut
        | ErrorKind::ResourceBusy
        | ErrorKind::WouldBlock
        | ErrorKind::StaleNetworkFileHandle
        | ErrorKind::NotConnected
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => true,
        _ => matches!(
            error.raw_os_error(),
            Some(
                errno::IO
                    | errno::NO_SUCH_DEVICE_OR_ADDRESS
                    | errno::NO_SUCH_DEVICE
                    | errno::TOO_MANY_OPEN_FILES_IN_SYSTEM
                    | errno::TOO_MANY_OPEN_FILES
            )
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn trouble_of_the_machine_is_an_outage() {
        let numbers = [
            ("EIO", 5),
            ("ENXIO", 6),
            ("EAGAIN", 11),
            ("ENOMEM", 12),
            ("EACCES", 13),
            ("EBUSY", 16),
            ("ENODEV", 19),
            ("ENFILE", 23),
            ("EMFILE", 24),
            ("ENOSPC", 28),
            ("EROFS", 30),
            ("ETIMEDOUT", 110),
            ("ESTALE", 116),
            ("EDQUOT", 122),
        ];
        for (name, number) in numbers {
            assert!(is_outage(&io::Error::from_raw_os_error(number)), "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_concerns_one_object_is_none() {
        for (name, number) in [("ENOENT", 2), ("EISDIR", 21), ("ENAMETOOLONG", 36)] {
            assert!(!is_outage(&io::Error::from_raw_os_error(number)), "{name}");
        }
    }
}
