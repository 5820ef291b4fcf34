//! `GET /users/me`: the signed-in account.

use axum::Json;

use super::CurrentUser;
use super::register::UserBody;
use crate::error::ErrorBody;

/// Show the signed-in account.
#[utoipa::path(get, path = "/users/me", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = UserBody), (status = 401, body = ErrorBody)))]
pub(crate) async fn me(user: CurrentUser) -> Json<UserBody> {
    Json(UserBody::from(&user.account))
}
