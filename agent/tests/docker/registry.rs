//! A registry with one image, on loopback: Docker speaks plain HTTP to it there.

use std::{convert::Infallible, io::Read, net::SocketAddr, sync::Arc};

use agent::builtin::{Archive, Builtins};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

struct Stored {
    config: Bytes,
    layer: Bytes,
    manifest: Bytes,
    /// Names only a processor that nobody has.
    foreign: Bytes,
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Starts it; it has `team/env:1`, which is our `bramble/env`, and `team/foreign:1`, which runs nowhere here.
pub(crate) async fn start() -> SocketAddr {
    let builtins = Builtins::load(&crate::world::builtin_dir()).unwrap();
    let archive = Archive::pack(&builtins).unwrap();
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(&archive.bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name, Bytes::from(bytes));
    }
    let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let name = |pointer: &str| index.pointer(pointer).unwrap().as_str().unwrap();
    let (config, layer) = (
        files[name("/0/Config")].clone(),
        files[name("/0/Layers/0")].clone(),
    );
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(),
            "digest": digest(&config),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
            "size": layer.len(),
            "digest": digest(&layer),
        }],
    });
    let manifest = Bytes::from(manifest.to_string());
    let foreign = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": LIST,
        "manifests": [{
            "mediaType": MANIFEST,
            "size": manifest.len(),
            "digest": digest(&manifest),
            "platform": {"os": "linux", "architecture": "s390x"},
        }],
    });
    let stored = Arc::new(Stored {
        config,
        layer,
        manifest,
        foreign: Bytes::from(foreign.to_string()),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stored = stored.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let answer = stored.answer(request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

impl Stored {
    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let by_digest = |wanted: &str| {
            [&self.config, &self.layer, &self.manifest]
                .into_iter()
                .find(|b| digest(b) == wanted)
        };
        let found = match path {
            "/v2/" => Some((Bytes::from_static(b"{}"), "application/json")),
            "/v2/team/env/manifests/1" => Some((self.manifest.clone(), MANIFEST)),
            "/v2/team/foreign/manifests/1" => Some((self.foreign.clone(), LIST)),
            path if path.ends_with(&digest(&self.foreign)) => Some((self.foreign.clone(), LIST)),
            path if path.contains("/manifests/sha256:") => {
                by_digest(path.rsplit('/').next().unwrap()).map(|bytes| (bytes.clone(), MANIFEST))
            }
            path => by_digest(path.rsplit('/').next().unwrap())
                .map(|bytes| (bytes.clone(), "application/octet-stream")),
        };
        let answer = Response::builder();
        match found {
            Some((bytes, kind)) => answer
                .header(header::CONTENT_TYPE, kind)
                .header("docker-content-digest", digest(&bytes))
                .body(Full::new(bytes)),
            None => answer
                .status(StatusCode::NOT_FOUND)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(
                    r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.into(),
                )),
        }
        .unwrap()
    }
}
