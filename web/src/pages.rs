//! The pages for who is signed in: each a frame with its module, and the sign-in page for everybody else.

use std::convert::Infallible;

use askama::Template;
use axum::{
    extract::{FromRequestParts, Path},
    response::{Html, IntoResponse, Response},
};
use controller::{AuthError, Controller};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};

use crate::{assets::VERSION, first_visit, policy::Nonce, session};

/// What every page has.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Lets its scripts and styles run.
    pub(crate) nonce: String,
    /// Who looks; empty on the sign-in page.
    pub(crate) user: String,
    /// The entry of the navigation that the page belongs to.
    pub(crate) here: &'static str,
    /// The module that fills the page, of `static/pages/`.
    pub(crate) module: &'static str,
}

impl Frame {
    /// Of a page for who has not signed in.
    pub(crate) fn at_the_door(nonce: String) -> Self {
        Self {
            nonce,
            user: String::new(),
            here: "",
            module: "",
        }
    }

    /// Where the static files are.
    pub(crate) fn files(&self) -> String {
        format!("/ui/static/{VERSION}")
    }
}

/// Shown while the controllers choose a new leader: nobody knows for sure who is signed in.
#[derive(Template)]
#[template(path = "no_leader.html")]
struct NoLeaderPage {
    frame: Frame,
}

/// When the browser asks again where nobody leads.
const LOOK_AGAIN_SECONDS: &str = "1";

/// Somebody who asks for a page.
pub(crate) struct Visit {
    controller: Controller,
    nonce: String,
    headers: HeaderMap,
    /// The page that was asked for, to come back to after signing in.
    to: String,
}

impl FromRequestParts<Controller> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, controller: &Controller) -> Result<Self, Infallible> {
        let nonce = parts.extensions.get::<Nonce>();
        Ok(Self {
            controller: controller.clone(),
            nonce: nonce.map(|nonce| nonce.0.clone()).unwrap_or_default(),
            headers: parts.headers.clone(),
            to: parts
                .uri
                .path_and_query()
                .map_or("/ui/", |path| path.as_str())
                .to_owned(),
        })
    }
}

impl Visit {
    /// The page that `make` makes, for who is signed in; the sign-in page, which leads here, for everybody else.
    async fn show<T: Template>(
        self,
        here: &'static str,
        module: &'static str,
        make: impl FnOnce(Frame) -> T,
    ) -> Response {
        match self.controller.auth().identify(&Method::GET, &self.headers).await {
            Ok(signed_in) => {
                let frame = Frame {
                    nonce: self.nonce,
                    user: signed_in.user,
                    here,
                    module,
                };
                render(StatusCode::OK, &make(frame))
            }
            Err(AuthError::NoLeader) => {
                let mut response = render(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &NoLeaderPage {
                        frame: Frame::at_the_door(self.nonce),
                    },
                );
                let soon = HeaderValue::from_static(LOOK_AGAIN_SECONDS);
                response.headers_mut().insert(header::REFRESH, soon);
                response
            }
            Err(_) if self.controller.awaits_first_visit() => {
                first_visit::ask(StatusCode::OK, self.nonce, String::new(), None)
            }
            // A program that came without a session learns by the status that it is not signed in.
            Err(_) if controller::is_browser(&self.headers) => {
                session::ask(StatusCode::OK, self.nonce, &self.to, None)
            }
            Err(_) => session::ask(StatusCode::UNAUTHORIZED, self.nonce, &self.to, None),
        }
    }
}

/// Answers with a page that no cache keeps.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The page of the template `$file`, at the entry `$here` of the navigation.
macro_rules! page {
    ($(#[$doc:meta])* $handler:ident, $page:ident, $file:literal, $here:literal) => {
        #[derive(Template)]
        #[template(path = $file)]
        struct $page {
            frame: Frame,
        }

        $(#[$doc])*
        pub(crate) async fn $handler(visit: Visit) -> Response {
            visit.show($here, stringify!($handler), |frame| $page { frame }).await
        }
    };
}

page!(
    /// The nodes as a stack, with the replicas on each.
    overview, OverviewPage, "overview.html", "overview"
);
page!(
    /// All functions.
    functions, FunctionsPage, "functions.html", "functions"
);
page!(
    /// The built-in functions, to deploy with one press.
    store, StorePage, "store.html", "store"
);
page!(
    /// A form for any image.
    deploy, DeployPage, "deploy.html", "functions"
);
page!(
    /// What images there are, and where.
    images, ImagesPage, "images.html", "images"
);
page!(
    /// What happened.
    activity, ActivityPage, "activity.html", "activity"
);

#[derive(Template)]
#[template(path = "function.html")]
struct FunctionPage {
    frame: Frame,
    namespace: String,
    name: String,
}

/// One function: trying it, its replicas, logs, settings.
pub(crate) async fn function(Path((namespace, name)): Path<(String, String)>, visit: Visit) -> Response {
    visit
        .show("functions", "function", |frame| FunctionPage {
            frame,
            namespace,
            name,
        })
        .await
}
