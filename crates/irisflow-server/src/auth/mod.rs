//! Accounts, sessions and authentication: passwords, tokens, rate limits of sign-ins.

pub(crate) mod change_password;
mod current_user;
pub(crate) mod delete_me;
mod device;
pub(crate) mod end_sessions;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod me;
pub(crate) mod passwords;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod sessions;
mod throttle;
mod tokens;

pub(crate) use current_user::CurrentUser;
pub(crate) use device::Devices;
pub(crate) use passwords::Passwords;
pub use throttle::SignInLimits;
pub(crate) use throttle::{Throttle, address_bytes};
pub(crate) use tokens::Tokens;
