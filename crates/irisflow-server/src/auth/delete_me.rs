//! `DELETE /users/me`: deletes an account with all its data.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use irisflow_jobs::UserId;
use irisflow_messages::{Language, text};
use irisflow_photos::delete_all_of_user;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CurrentUser;
use crate::app::{App, AppState};
use crate::error::{ApiError, ErrorBody, ValidationBody};
use crate::extractors::ApiJson;

#[derive(Deserialize, ToSchema)]
pub(crate) struct DeleteMeRequest {
    /// Must be true.
    confirm: bool,
}

/// Proof of the deletion. The server keeps a copy without any reference to the account.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptBody {
    message: String,
    receipt_id: String,
    /// RFC 3339, UTC.
    deleted_at: String,
    destroyed: DestroyedBody,
}

/// Numbers of deleted items.
#[derive(Serialize, ToSchema)]
pub(crate) struct DestroyedBody {
    photos: u64,
    jobs: u64,
    events: u64,
    sessions: u64,
    consents: u64,
    /// Originals, results, masks. Null when the storage was unavailable: they are deleted once it is back.
    objects: Option<u64>,
}

/// Delete your account with all its data: photos, jobs, results, links, sessions. This cannot be undone.
#[utoipa::path(delete, path = "/users/me", tag = "accounts", security(("bearer" = [])),
    request_body = DeleteMeRequest,
    responses(
        (status = 200, description = "It is gone", body = ReceiptBody),
        (status = 400, description = "`confirmation_missing`", body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 422, body = ValidationBody),
    ))]
pub(crate) async fn delete_me(
    State(app): State<App>,
    user: CurrentUser,
    ApiJson(request): ApiJson<DeleteMeRequest>,
) -> Result<Json<ReceiptBody>, ApiError> {
    if !request.confirm {
        return Err(ApiError::ConfirmationMissing);
    }
    let receipt = app.parts.privacy.delete_account(user.id()).await?;
    // A concurrent request has deleted the account and got the receipt.
    let receipt = receipt.ok_or(ApiError::InvalidToken)?;
    tracing::info!(receipt_id = %receipt.id, "account deleted");
    let objects = app.delete_objects(user.id()).await;
    if let Some(objects) = objects {
        let recorded = app.parts.privacy.add_destroyed_objects(receipt.id, objects);
        recorded.await?;
    }
    let destroyed = receipt.destroyed;
    Ok(Json(ReceiptBody {
        message: text!("account-deleted").in_language(Language::PROGRAM),
        receipt_id: receipt.id.to_string(),
        deleted_at: receipt.at.to_rfc3339(),
        destroyed: DestroyedBody {
            photos: destroyed.photos,
            jobs: destroyed.jobs,
            events: destroyed.events,
            sessions: destroyed.sessions,
            consents: destroyed.consents,
            objects,
        },
    }))
}

impl AppState {
    /// Number of deleted objects. `None` when the storage is unavailable; the sweeps that the deletion recorded
    /// then delete them later.
    async fn delete_objects(&self, user_id: UserId) -> Option<u64> {
        // A task of its own, which a client that hangs up does not interrupt.
        let files = Arc::clone(&self.parts.files);
        let deleted = tokio::spawn(async move { delete_all_of_user(&*files, user_id).await }).await;
        match deleted {
            Ok(Ok(objects)) => Some(objects as u64),
            Ok(Err(error)) => {
                tracing::error!(%error, "could not delete an account's objects yet");
                None
            }
            Err(error) => {
                tracing::error!(%error, "could not delete an account's objects yet");
                None
            }
        }
    }
}
