//! Accounts and sessions: passwords, tokens, and who a request comes from.

mod current_user;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod me;
mod passwords;
pub(crate) mod refresh;
pub(crate) mod register;
mod throttle;
mod tokens;

pub(crate) use current_user::CurrentUser;
pub(crate) use passwords::Passwords;
pub(crate) use throttle::Throttle;
pub(crate) use tokens::{AccessClaims, Tokens};
