//! The management API over HTTP: one file per audience.
//!
//! [`openfaas`] is what OpenFaaS clients use, [`v1`] is what OpenFaaS has no place for, live as [`events`], and
//! [`nodes`] what changes who takes part; [`store`] is open to everybody. [`mod@guard`] lets in who may,
//! [`error`] alone chooses status codes of errors. The table of routes and permissions is here.
//!
//! Not here: invocations (the gateway), the portal's pages (`web`).

mod error;
mod events;
mod guard;
mod nodes;
mod openfaas;
mod store;
mod v1;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect},
    routing::{MethodRouter, delete, get, post, put},
};
use cluster::permissions::Permission;
use http::StatusCode;

pub(crate) use error::ApiError;

use crate::{Controller, images};
use guard::{Gate, guard};

/// Longest body of a management request, in bytes: a deployment with all its environment stays far below.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Every route of the management API, with what somebody must be allowed to use it. `portal` answers below `/ui/`.
pub(crate) fn router(controller: Controller, portal: Router) -> Router {
    use Permission::{ChangeFunctions, ChangeNodes, ViewFunctions, ViewInfo, ViewNodes};

    let needs = |permission: Permission, route: MethodRouter<Controller>| {
        let gate = Gate {
            auth: controller.auth.clone(),
            state: controller.raft.watch(),
            permission,
        };
        route.route_layer(from_fn_with_state(gate, guard))
    };

    let functions = needs(ViewFunctions, get(openfaas::functions::list))
        .merge(needs(ChangeFunctions, post(openfaas::functions::create)))
        .merge(needs(ChangeFunctions, put(openfaas::functions::update)))
        .merge(needs(ChangeFunctions, delete(openfaas::functions::remove)));

    let secrets = needs(ViewFunctions, get(openfaas::secrets::list))
        .merge(needs(ChangeFunctions, post(openfaas::secrets::create)))
        .merge(needs(ChangeFunctions, put(openfaas::secrets::update)))
        .merge(needs(ChangeFunctions, delete(openfaas::secrets::remove)))
        .layer(DefaultBodyLimit::max(openfaas::secrets::MAX_BODY_BYTES));

    let controllers =
        needs(ViewNodes, get(nodes::controllers)).merge(needs(ChangeNodes, put(nodes::want_controllers)));

    let node = needs(ViewNodes, get(v1::node)).merge(needs(ChangeNodes, delete(nodes::remove)));
    let lights = needs(ViewNodes, get(nodes::lights)).merge(needs(ChangeNodes, put(nodes::set_lights)));

    let images = needs(ViewFunctions, get(images::http::list))
        .merge(needs(ChangeFunctions, post(images::http::push)))
        .merge(needs(ChangeFunctions, delete(images::http::remove)));

    Router::new()
        .route("/system/functions", functions)
        .route(
            "/system/function/{name}",
            needs(ViewFunctions, get(openfaas::functions::status)),
        )
        .route(
            "/system/scale-function/{name}",
            needs(ChangeFunctions, post(openfaas::scale::scale)),
        )
        .route(
            "/system/namespaces",
            needs(ViewFunctions, get(openfaas::info::namespaces)),
        )
        .route("/system/secrets", secrets)
        .route("/system/logs", needs(ViewFunctions, get(openfaas::logs::logs)))
        .route("/system/info", needs(ViewInfo, get(openfaas::info::info)))
        .route("/api/v1/nodes", needs(ViewNodes, get(v1::nodes)))
        .route("/api/v1/nodes/{name}", node)
        .route(
            "/api/v1/nodes/{name}/name",
            needs(ChangeNodes, put(nodes::rename)),
        )
        .route(
            "/api/v1/nodes/{name}/replace",
            needs(ChangeNodes, post(nodes::replace)),
        )
        .route(
            "/api/v1/nodes/{name}/cordon",
            needs(ChangeNodes, post(nodes::cordon)),
        )
        .route(
            "/api/v1/nodes/{name}/uncordon",
            needs(ChangeNodes, post(nodes::uncordon)),
        )
        .route(
            "/api/v1/nodes/{name}/controller",
            needs(ChangeNodes, put(nodes::wish_controller)),
        )
        .route(
            "/api/v1/nodes/{name}/devices",
            needs(ChangeNodes, put(nodes::allow_devices)),
        )
        .route(
            "/api/v1/nodes/{name}/identify",
            needs(ChangeNodes, post(nodes::identify)),
        )
        .route("/api/v1/meetings", needs(ViewNodes, get(nodes::meetings)))
        .route("/api/v1/dissolve", needs(ChangeNodes, post(nodes::dissolve)))
        .route("/api/v1/lights", lights)
        .route("/api/v1/waiting", needs(ViewNodes, get(nodes::waiting)))
        .route(
            "/api/v1/waiting/admit",
            needs(ChangeNodes, post(nodes::admit_all)),
        )
        .route(
            "/api/v1/waiting/{id}/admit",
            needs(ChangeNodes, post(nodes::admit)),
        )
        .route(
            "/api/v1/waiting/{id}/replace",
            needs(ChangeNodes, post(nodes::admit_in_place)),
        )
        .route(
            "/api/v1/waiting/{id}/refuse",
            needs(ChangeNodes, post(nodes::refuse)),
        )
        .route(
            "/api/v1/waiting/{id}/identify",
            needs(ChangeNodes, post(nodes::identify_waiting)),
        )
        .route("/api/v1/controllers", controllers)
        .route("/api/v1/first-visit", post(nodes::first_visit))
        .route("/api/v1/functions", needs(ViewFunctions, get(v1::functions)))
        .route(
            "/api/v1/functions/{namespace}/{name}",
            needs(ViewFunctions, get(v1::function)),
        )
        .route("/api/v1/images", images)
        // Who may see nodes may see functions.
        .route("/api/v1/activity", needs(ViewNodes, get(v1::activity)))
        .route("/api/v1/events", needs(ViewNodes, get(events::events)))
        .route("/api/v1/session", needs(ViewInfo, get(v1::session)))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route("/store.json", get(store::store))
        .route("/store/icons/{file}", get(store::icon))
        .route("/healthz", get(|| async { "OK" }))
        .route("/", get(|| async { Redirect::temporary("/ui/") }))
        .route("/ui", get(|| async { Redirect::temporary("/ui/") }))
        .with_state(controller)
        .merge(portal)
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here\n").into_response() })
}
