//! Where photos and results are kept: the keys, the files behind them, and URLs that expire.
//!
//! Keys name user, photo or job, and the epoch of the attempt: nothing is ever overwritten by another
//! attempt. What a database row does not record is swept.

mod file_store;
mod key;
mod outage;
mod signed_url;
mod sweep;

pub use file_store::{FileStore, Incoming, StorageError, StoredFile};
pub use key::ObjectKey;
pub use signed_url::{Access, SignatureError, UrlSigner};
pub use sweep::{delete_all_of_user, delete_swept, swept_objects};
