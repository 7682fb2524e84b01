//! The portal: what people see at `/ui/`.
//!
//! Here: the pages (askama) and what browsers may do on them (`policy`), signing in and out (`session`), the first
//! visit (`first_visit`), the static files (`assets`) with their ES modules. Pages are empty frames: their modules fill
//! them with what the management API says, as every other client sees it, live by its one stream of events.
//!
//! May touch: who signs in at the [`Controller`], and the first visit. Not here: what the API answers (`controller::http`).

mod assets;
mod first_visit;
mod pages;
mod policy;
mod session;

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use controller::Controller;

/// The portal's routes, below `/ui/`.
pub fn router(controller: Controller) -> Router {
    Router::new()
        .route("/ui/", get(pages::overview))
        .route("/ui/functions", get(pages::functions))
        .route("/ui/functions/{namespace}/{name}", get(pages::function))
        .route("/ui/store", get(pages::store))
        .route("/ui/deploy", get(pages::deploy))
        .route("/ui/images", get(pages::images))
        .route("/ui/activity", get(pages::activity))
        .route("/ui/sign-in", get(session::sign_in_page).post(session::sign_in))
        .route(
            "/ui/first-visit",
            get(first_visit::page).post(first_visit::choose),
        )
        .route("/ui/sign-out", post(session::sign_out))
        .layer(from_fn(policy::guard))
        .route("/ui/static/{version}/{*file}", get(assets::serve))
        .with_state(controller)
}
