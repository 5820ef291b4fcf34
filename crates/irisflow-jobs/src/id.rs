//! Ids of different things are different types: two of them cannot be swapped by mistake.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id; ids of later milliseconds sort later (UUID version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A person's account.
    UserId
);
uuid_id!(
    /// One signed-in device; its refresh tokens form one family.
    SessionId
);
uuid_id!(
    /// A consent.
    ConsentId
);
uuid_id!(
    /// The proof that something was destroyed. Random, and no other id leads to it.
    ReceiptId
);
uuid_id!(
    /// An uploaded photo.
    PhotoId
);
uuid_id!(
    /// One request to turn a photo into a picture of its iris.
    JobId
);
uuid_id!(
    /// Jobs that were submitted together.
    BatchId
);
uuid_id!(
    /// One running worker process, in the registry and in the leases of all its slots; new at every start.
    /// It says who holds a lease; the [`Fence`](crate::Fence) of an attempt protects its writes.
    WorkerId
);
uuid_id!(
    /// An endpoint to which events of a user's jobs are posted.
    WebhookId
);
uuid_id!(
    /// One message to one webhook: the `webhook-id` of its requests.
    DeliveryId
);
