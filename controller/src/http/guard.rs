//! Lets in who may: before every route that is not open.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use cluster::permissions::Permission;
use tokio::sync::watch;

use super::error::ApiError;
use crate::auth::{Auth, SignedIn};

/// What one route asks for.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) auth: Auth,
    pub(super) state: watch::Receiver<Arc<cluster::State>>,
    pub(super) permission: Permission,
}

/// Passes on requests of users who have the permission, with [`SignedIn`] in their extensions.
pub(super) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let signed_in = match gate.auth.identify(request.method(), request.headers()).await {
        Ok(signed_in) => signed_in,
        Err(error) => return ApiError::from_auth(error, request.headers()).into_response(),
    };
    if !may(&gate, &signed_in) {
        return ApiError::forbidden(format!("{} may not do this", signed_in.user)).into_response();
    }
    request.extensions_mut().insert(signed_in);
    next.run(request).await
}

fn may(gate: &Gate, signed_in: &SignedIn) -> bool {
    gate.state
        .borrow()
        .users()
        .get(&signed_in.user)
        .is_some_and(|user| user.role.may(gate.permission))
}
