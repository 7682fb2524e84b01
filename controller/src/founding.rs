//! What a bramble begins with: its name, its key, its authority, and somebody who may sign in.
//!
//! Level-triggered: whoever leads makes what is missing, so a founder that was unplugged half-way goes on where it was.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cluster::{Action, permissions::Role};
use subtle::ConstantTimeEq as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;
use transport::Authority;

use crate::{
    Controller, ControllerConfig, ControllerError, auth, doorkeeper::Visitor, http::ApiError,
    raft::ProposeError,
};

/// The name of the user who may do everything.
const ADMIN: &str = "admin";

/// Pause before what no majority confirmed is proposed again.
const AGAIN: Duration = Duration::from_millis(300);

/// Digits of a code, without those that look alike.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What a founder founds with.
#[derive(Clone)]
pub struct Founding {
    /// Name of the bramble.
    pub name: String,
    /// What nodes are certified with.
    pub authority: Arc<Authority>,
    /// With this code the first visitor chooses the admin password; a random one if not given.
    pub first_visit_code: Option<String>,
    /// Hash of the admin's password, where somebody has chosen it beforehand: then nobody needs a code.
    pub admin_password_hash: Option<String>,
}

impl std::fmt::Debug for Founding {
    /// Without code and hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founding")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Runs until `stop`: whenever this controller leads, it makes what is missing.
pub(crate) async fn run(
    controller: &Controller,
    config: &ControllerConfig,
    stop: &CancellationToken,
) -> Result<(), ControllerError> {
    let mut leadership = controller.raft.leadership();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            led = leadership.wait_for(|leadership| leadership.is_me) => if led.is_err() { return Ok(()) },
        }
        match begin(controller, config).await {
            Ok(()) => {}
            // No majority at the moment, or somebody else leads by now.
            Err(ControllerError::Found(_)) => {
                sleep(AGAIN).await;
                continue;
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            led = leadership.wait_for(|leadership| !leadership.is_me) => if led.is_err() { return Ok(()) },
        }
    }
}

/// Makes whatever is missing. The order matters: what is sealed needs the key.
async fn begin(controller: &Controller, config: &ControllerConfig) -> Result<(), ControllerError> {
    if let Some(founding) = &config.founding
        && !controller.state().is_founded()
    {
        info!(name = founding.name, "founds the bramble");
        let name = founding.name.clone();
        propose(controller, Action::Found { name }).await?;
    }
    if !controller.state().is_founded() {
        return Ok(());
    }
    if let Some(action) = controller.vault.missing(&controller.state())? {
        propose(controller, action).await?;
    }
    if let Some(password) = &config.admin_password {
        set_password(controller, password.clone()).await?;
    }
    let state = controller.state();
    if state.users().is_empty() && state.first_visit_code().is_none() {
        let (given, hash) = match &config.founding {
            Some(founding) => (
                founding.first_visit_code.clone(),
                founding.admin_password_hash.clone(),
            ),
            None => (None, None),
        };
        let action = match hash {
            Some(hash) => put_admin(hash),
            None => Action::PutFirstVisitCode {
                code: given.map_or_else(random_code, Ok)?,
            },
        };
        propose(controller, action).await?;
    }
    // Last, for it ends the founding: who was unplugged before still knows what its card says.
    if let Some(founding) = &config.founding
        && controller.state().authority().is_none()
    {
        let action = controller
            .vault
            .seal_authority(&controller.state(), &founding.authority)?;
        propose(controller, action).await?;
    }
    Ok(())
}

async fn propose(controller: &Controller, action: Action) -> Result<(), ProposeError> {
    controller
        .raft
        .propose(controller.command(action))
        .await
        .map(|_| ())
}

/// Makes the admin's password what it should be.
async fn set_password(controller: &Controller, password: String) -> Result<(), ControllerError> {
    let state = controller.state();
    let known = state.users().get(ADMIN).map(|admin| admin.password_hash.clone());
    drop(state);
    let changed = tokio::task::spawn_blocking(move || match known {
        Some(known) if password::is(&password, &known) => Ok(None),
        _ => password::hash(&password).map(Some),
    });
    let changed = changed.await.map_err(|_| password::HashError);
    if let Some(hash) = changed.flatten().map_err(auth::PasswordError::Hash)? {
        propose(controller, put_admin(hash)).await?;
    }
    Ok(())
}

fn put_admin(password_hash: String) -> Action {
    Action::PutUser {
        name: ADMIN.to_owned(),
        password_hash,
        role: Role::Admin,
    }
}

/// Eight characters in two groups: `k7q2-m9fd`.
fn random_code() -> Result<String, ControllerError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| crate::VaultError::Random)?;
    let mut code: String = bytes
        .iter()
        .map(|byte| char::from(DIGITS[usize::from(byte & 31)]))
        .collect();
    code.insert(4, '-');
    Ok(code)
}

impl Controller {
    /// Whether nobody can sign in yet, so that the first visitor has to choose a password.
    pub fn awaits_first_visit(&self) -> bool {
        let state = self.state();
        state.is_founded() && state.users().is_empty()
    }

    /// The first visitor chooses the admin password.
    ///
    /// # Errors
    /// A status and words: where somebody was here before, the code is wrong, or the password too short.
    pub async fn first_visit(
        &self,
        from: Visitor,
        code: &str,
        password: &str,
    ) -> Result<(), (::http::StatusCode, String)> {
        self.try_first_visit(from, code, password)
            .await
            .map_err(ApiError::into_parts)
    }

    async fn try_first_visit(&self, from: Visitor, code: &str, password: &str) -> Result<(), ApiError> {
        let state = self.state();
        let Some(wanted) = state.first_visit_code().filter(|_| state.users().is_empty()) else {
            return Err(ApiError::with_status(
                ::http::StatusCode::CONFLICT,
                "somebody has chosen the admin password already: sign in with it",
            ));
        };
        if !self.doorkeeper.lets_try(from, Instant::now()) {
            return Err(ApiError::with_status(
                ::http::StatusCode::TOO_MANY_REQUESTS,
                "too many codes were tried from your address: wait a minute",
            ));
        }
        let (given, wanted) = (plain(code), plain(wanted));
        if !bool::from(given.as_bytes().ct_eq(wanted.as_bytes())) {
            return Err(ApiError::forbidden(
                "this is not the code: each Pi shows it on its screen and in its log",
            ));
        }
        password::check(password).map_err(|refusal| ApiError::bad_request(refusal.to_string()))?;
        let password = password.to_owned();
        let hash = tokio::task::spawn_blocking(move || password::hash(&password)).await;
        let Ok(Ok(hash)) = hash else {
            return Err(ApiError::with_status(
                ::http::StatusCode::SERVICE_UNAVAILABLE,
                "the password could not be kept: try again",
            ));
        };
        self.change(ADMIN, put_admin(hash)).await?;
        Ok(())
    }
}

/// A code without what people add or leave out when they copy it.
fn plain(code: &str) -> String {
    let kept = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_out_and_typed_with_or_without_hyphen() {
        let code = random_code().unwrap();
        assert_eq!(code.len(), 9);
        assert_ne!(code, random_code().unwrap());
        assert_eq!(plain(" K7Q2 m9fd "), plain("k7q2-m9fd"));
    }
}
