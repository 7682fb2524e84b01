//! Images that come from another node, on the real Docker: the node is played by this test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use agent::{
    engine::{Engine, docker::DockerEngine},
    images::{Sources, clean::Disk, cleaner::make_room},
};
use api::{
    NodeId, Timestamp,
    images::{Brought, EXPORT_PATH, HeldImage, ImageFacts, ImageSource, ImageVariant},
    sync::{DesiredReplica, Routes},
};
use bollard::{
    body_full,
    query_parameters::{ImportImageOptions, RemoveImageOptions},
};
use bytes::Bytes;
use futures_util::StreamExt;
use gateway::{Gateway, GatewayConfig};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tar::{Builder, Header};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use transport::{Authority, Client, Identity};

use crate::world::{R1, World, builtin_dir, desired, start, stop, with_docker};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(archive: &mut Builder<Vec<u8>>, name: &str, mode: u32, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes).unwrap();
}

/// An image that answers with its environment, as an archive; `mark` makes it another one than all others.
fn archive(name: Option<&str>, platform: &str, mark: &str) -> Vec<u8> {
    use sha2::Digest as _;
    let mut layer = Builder::new(Vec::new());
    for file in ["fwatchdog", "functions"] {
        let bytes = std::fs::read(builtin_dir().join(file)).unwrap();
        add(&mut layer, &format!("usr/bin/{file}"), 0o755, &bytes);
    }
    add(&mut layer, "mark", 0o644, mark.as_bytes());
    let layer = layer.into_inner().unwrap();
    let diff_id = format!("sha256:{}", hex(&sha2::Sha256::digest(&layer)));
    let mut parts = platform.split('/').skip(1);
    let config = serde_json::json!({
        "os": "linux", "architecture": parts.next(), "variant": parts.next().unwrap_or_default(),
        "config": {
            "Env": ["PATH=/usr/bin", "fprocess=functions env", "mode=serializing"],
            "Entrypoint": ["fwatchdog"],
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [],
    })
    .to_string();
    let config_name = format!("{}.json", hex(&sha2::Sha256::digest(config.as_bytes())));
    let names: Vec<&str> = name.into_iter().collect();
    let table = serde_json::json!([{"Config": config_name, "RepoTags": names, "Layers": ["layer.tar"]}]);
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(&mut archive, &config_name, 0o644, config.as_bytes());
    add(&mut archive, "manifest.json", 0o644, table.to_string().as_bytes());
    archive.into_inner().unwrap()
}

/// Another node, which gives `archive` to whoever asks and says that its image has this `content`.
async fn holder(world: &mut World, archive: Vec<u8>, content: &str) -> CancellationToken {
    let authority = Authority::create().unwrap();
    let (own, other) = (
        Arc::new(Identity::issued_by(&authority).unwrap()),
        Arc::new(Identity::issued_by(&authority).unwrap()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (content, bytes) = (content.to_owned(), Bytes::from(archive));
    let service = service_fn(move |request: Request<Incoming>| {
        assert_eq!(request.uri().path(), EXPORT_PATH);
        let answer = Response::builder()
            .status(StatusCode::OK)
            .header("x-bramble-node", "pi-other")
            .header("x-bramble-content", &content)
            .header("x-bramble-size", bytes.len())
            .body(Full::new(bytes.clone()));
        async move { answer }
    });
    let (id, stop) = (other.id(), CancellationToken::new());
    tokio::spawn(transport::serve(listener, other, |_| true, service, stop.clone()));
    let gateway = Gateway::new(GatewayConfig::default(), Client::new(own.clone()));
    gateway.set_routes(Routes {
        nodes: [(id, address)].into(),
        ..Routes::default()
    });
    let holders: BTreeMap<String, BTreeSet<NodeId>> = [("sha256:wanted".to_owned(), [id].into())].into();
    // Who listens keeps what was said last.
    let (_, said) = watch::channel(holders);
    world.config.sources = Sources::new(Client::new(own.clone()), Client::bulk(own), gateway, said);
    world.engine = DockerEngine::new(world.config.clone());
    world.engine.open().await.unwrap();
    stop
}

fn wanted(world: &World, content: &str) -> DesiredReplica {
    let variant = ImageVariant {
        ids: ["sha256:as-its-holder-calls-it".to_owned()].into(),
        content: Some(content.to_owned()),
        ..ImageVariant::default()
    };
    let facts = ImageFacts {
        digest: "sha256:wanted".to_owned(),
        source: ImageSource::Pushed("pi-other".to_owned()),
        variants: [(world.abilities.platforms[0].clone(), variant)].into(),
        resolved_at: Timestamp::default(),
        problem: None,
    };
    DesiredReplica {
        image: Some(Arc::new(facts)),
        ..desired("copied", "team/copied:1", "")
    }
}

async fn ids(world: &World) -> BTreeSet<String> {
    let output = world
        .docker
        .list_images(None::<bollard::query_parameters::ListImagesOptions>)
        .await;
    output.unwrap().into_iter().map(|image| image.id).collect()
}

/// What an image is told by: Docker is asked, and forgets it again.
async fn content_of(world: &World, mark: &str) -> String {
    let name = format!("bramble-test/{mark}:1");
    let archive = archive(Some(&name), &world.abilities.platforms[0].to_string(), mark);
    let mut loading =
        world
            .docker
            .import_image(ImportImageOptions::default(), body_full(archive.into()), None);
    while let Some(message) = loading.next().await {
        message.unwrap();
    }
    let held = world.engine.images().await.unwrap();
    let content = held
        .into_iter()
        .find(|image| image.names.contains(&name))
        .unwrap()
        .content;
    let options = None::<RemoveImageOptions>;
    world.docker.remove_image(&name, options, None).await.unwrap();
    content
}

async fn copy_of(world: &World, content: &str) -> Option<HeldImage> {
    let held = world.engine.images().await.unwrap();
    held.into_iter().find(|image| image.content == content)
}

#[test]
fn a_copy_runs_and_is_removed_when_the_disk_is_low_and_nothing_uses_it() {
    with_docker(async |world| {
        let mark = format!("copied-{}", world.config.node.tail());
        let content = content_of(world, &mark).await;
        let nameless = archive(None, &world.abilities.platforms[0].to_string(), &mark);
        let stop_serving = holder(world, nameless, &content).await;
        let replica = wanted(world, &content);
        world.run(start(R1, replica)).await;
        world.ready(R1).await;
        let told = world.words.lock().unwrap().join("\n");
        assert!(told.contains("fetching team/copied:1 from pi-other: "), "{told}");
        let copy = copy_of(world, &content).await.unwrap();
        assert_eq!(copy.brought, Some(Brought::Copied));
        assert!(copy.page_bytes.is_some_and(|bytes| bytes >= 4096), "{copy:?}");

        let full = Disk {
            total_bytes: 8_000_000_000,
            free_bytes: 0,
        };
        // What other tests on this Docker brought is none of this one's business.
        let mut used = ids(world).await;
        used.remove(&copy.id);
        let cleaned = make_room(&world.config.yard, &used, full).await;
        assert!(cleaned.images.is_empty(), "a container uses it: {cleaned:?}");
        world.run(stop(R1)).await;
        let mut in_use = used.clone();
        in_use.insert(content.clone());
        let cleaned = make_room(&world.config.yard, &in_use, full).await;
        assert!(cleaned.images.is_empty(), "a function uses it: {cleaned:?}");
        let cleaned = make_room(&world.config.yard, &used, full).await;
        assert_eq!(cleaned.images, [copy.id]);
        assert_eq!(copy_of(world, &content).await, None);
        stop_serving.cancel();
    });
}

#[test]
fn a_copy_that_is_another_image_than_its_holder_says_is_refused_and_removed() {
    with_docker(async |world| {
        let mark = format!("other-{}", world.config.node.tail());
        let other = archive(None, &world.abilities.platforms[0].to_string(), &mark);
        let real = content_of(world, &mark).await;
        let stop_serving = holder(world, other, "sha256:something-else").await;
        let replica = wanted(world, "sha256:something-else");
        let words = world.refusal(start(R1, replica)).await;
        assert!(
            words.contains("what pi-other gave is not image `team/copied:1`"),
            "{words}"
        );
        assert!(world.list().await.is_empty());
        assert_eq!(copy_of(world, &real).await, None);
        stop_serving.cancel();
    });
}
