//! Where photos and results are kept: the keys, the files behind them, and URLs that expire.
//!
//! Keys name user, photo or job, and the epoch of the attempt or the number of the intake: nothing is
//! ever overwritten by another one. What a database row does not record is swept.

mod file_store;
mod memory_budget;
mod object_key;
mod outage;
mod signed_url;
mod sweep;

pub use file_store::{FileStore, Incoming, StorageError, StoredFile};
pub use memory_budget::{Busy, MemoryBudget, Reservation};
pub use object_key::ObjectKey;
pub use signed_url::{Access, SignatureError, UrlSigner};
pub use sweep::{delete_all_of_user, delete_swept, swept_objects};
