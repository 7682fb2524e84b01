//! Against a registry on loopback that speaks the real protocol: tokens, lists, redirects.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

#[derive(Clone, Copy, PartialEq)]
enum Door {
    Open,
    Basic,
    Token,
}

struct Registry {
    address: SocketAddr,
    door: Door,
    config: Vec<u8>,
    image: Vec<u8>,
    list: Vec<u8>,
}

const LIST: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

async fn registry(door: Door) -> Arc<Registry> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = br#"{"os":"linux","architecture":"arm64","variant":"v8"}"#.to_vec();
    let image = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {"digest": sha256(&config), "size": config.len()},
        "layers": [{"digest": "sha256:layer", "size": 1000}],
    }))
    .unwrap();
    let list = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": LIST,
        "manifests": [
            {"digest": sha256(&image), "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:never-asked-for", "platform": {"os": "linux", "architecture": "s390x"}},
        ],
    }))
    .unwrap();
    let registry = Arc::new(Registry {
        address: listener.local_addr().unwrap(),
        door,
        config,
        image,
        list,
    });
    let router = Router::new()
        .route("/token", get(token))
        .route("/elsewhere/{digest}", get(elsewhere))
        .fallback(v2)
        .with_state(registry.clone());
    tokio::spawn(async move { serve(listener, router).await });
    registry
}

async fn serve(listener: TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

use hyper_util::rt::TokioIo;

async fn token(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    assert!(
        query.contains("service=test") && query.contains("scope=repository:team/hello:pull"),
        "{query}"
    );
    let shown = request.headers().get(header::AUTHORIZATION);
    if registry.door == Door::Token && shown.is_none_or(|value| value != "Basic YWRhOmxvdmVsYWNl") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(json!({"access_token": "sesame", "expires_in": 60})).into_response()
}

/// The store of files that blobs are in: it must not see the registry's credentials.
async fn elsewhere(State(registry): State<Arc<Registry>>, Path(_): Path<String>) -> Vec<u8> {
    registry.config.clone()
}

async fn v2(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let (wanted, challenge) = match registry.door {
        Door::Open => (None, String::new()),
        Door::Basic => (Some("Basic YWRhOmxvdmVsYWNl"), "Basic realm=\"x\"".to_owned()),
        Door::Token => (
            Some("Bearer sesame"),
            format!(
                "Bearer realm=\"http://{}/token\",service=\"test\"",
                registry.address
            ),
        ),
    };
    if wanted.is_some_and(|wanted| shown.is_none_or(|value| value != wanted)) {
        return Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(header::WWW_AUTHENTICATE, challenge)
            .body(Body::empty())
            .unwrap();
    }
    let path = request.uri().path();
    let is = |end: &str| path == format!("/v2/team/hello/{end}");
    let with = |kind: &str, bytes: &[u8]| {
        ([(header::CONTENT_TYPE, kind.to_owned())], bytes.to_vec()).into_response()
    };
    if is("manifests/1") {
        with(LIST, &registry.list)
    } else if is("manifests/single") || is(&format!("manifests/{}", sha256(&registry.image))) {
        with(IMAGE, &registry.image)
    } else if is(&format!("manifests/{}", sha256(b"damaged"))) {
        with(IMAGE, b"other bytes")
    } else if is(&format!("blobs/{}", sha256(&registry.config))) {
        Redirect::temporary("/elsewhere/x").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

async fn ask(registry: &Registry, image: &str, password: Option<&str>) -> Result<ImageFacts, String> {
    let reference = format!("{}/team/hello{image}", registry.address).parse().unwrap();
    let platforms = ["linux/arm64".parse().unwrap()].into();
    let credentials = password.map(|password| RegistryCredentials {
        username: "ada".to_owned(),
        password: password.to_owned(),
    });
    look_up(&reference, &platforms, credentials.as_ref(), Timestamp::default())
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_list_tells_all_platforms_and_the_ids_of_those_that_nodes_run() {
    let registry = registry(Door::Open).await;
    let facts = ask(&registry, ":1", None).await.unwrap();
    assert_eq!(facts.digest, sha256(&registry.list));
    let platforms: Vec<_> = facts.variants.keys().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/s390x"]);
    let arm64 = &facts.variants[&"linux/arm64".parse().unwrap()];
    assert_eq!(
        arm64.ids,
        [sha256(&registry.image), sha256(&registry.config)].into()
    );
    assert_eq!(arm64.size_bytes, 1000);
}

#[tokio::test]
async fn a_single_image_tells_its_platform_by_its_settings_behind_a_redirect() {
    let registry = registry(Door::Open).await;
    let facts = ask(&registry, ":single", None).await.unwrap();
    assert_eq!(facts.digest, sha256(&registry.image));
    assert!(facts.variants.contains_key(&"linux/arm64".parse().unwrap()));
    let by_digest = ask(&registry, &format!("@{}", sha256(&registry.image)), None).await;
    assert_eq!(by_digest.unwrap().digest, facts.digest);
}

#[tokio::test]
async fn credentials_are_shown_as_the_registry_wants_them() {
    for door in [Door::Basic, Door::Token] {
        let registry = registry(door).await;
        assert!(ask(&registry, ":1", Some("lovelace")).await.is_ok());
        let wrong = ask(&registry, ":1", Some("wrong")).await.unwrap_err();
        assert!(wrong.contains("for these credentials"), "{wrong}");
        let none = ask(&registry, ":1", None).await.unwrap_err();
        assert!(none.contains("without credentials"), "{none}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_words() {
    let registry = registry(Door::Open).await;
    let missing = ask(&registry, ":2", None).await.unwrap_err();
    assert!(missing.contains("has no image of this name and tag"), "{missing}");
    let damaged = ask(&registry, &format!("@{}", sha256(b"damaged")), None)
        .await
        .unwrap_err();
    assert!(
        damaged.contains("another image than the one asked for"),
        "{damaged}"
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told_in_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let reference = format!("{address}/x:1").parse().unwrap();
    let error = look_up(&reference, &BTreeSet::new(), None, Timestamp::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&format!("{address} cannot be reached")), "{error}");
}
