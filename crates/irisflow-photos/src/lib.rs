//! Where photos and results are kept: the port for objects, its keys, files behind it, and links that expire.
//!
//! Keys name user, photo or job, and the epoch of the attempt or the number of the intake: nothing is
//! ever overwritten by another one. What a database row does not record is swept.

#[cfg(feature = "conformance")]
pub mod conformance;
mod delete_swept;
mod file_store;
mod io_errors;
mod memory_budget;
mod object_key;
mod object_store;
mod signed_url;

pub use delete_swept::{delete_all_of_user, delete_swept, swept_objects};
pub use file_store::FileStore;
pub use memory_budget::{Busy, MemoryBudget, Reservation};
pub use object_key::{AlternativeKeys, JobObject, ObjectKey, ResultKeys};
pub use object_store::{
    LinkSigner, ObjectStore, ObjectStream, ObjectUpload, SignedLink, StorageError,
};
pub use signed_url::{Access, SignatureError, UrlSigner};
