//! `bramble image`: what the bramble holds, and how an image gets there from this computer, without a registry.

mod archive;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek as _},
    path::{Path, PathBuf},
};

use api::{images::Reference, v1};
use bollard::Docker;
use bytes::Bytes;
use clap::{Args, Subcommand};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{
    connect::{Api, Target},
    failure::Failure,
    human,
    out::Out,
    table::{Column, Table},
};
use archive::Archive;

/// Where the API has images.
const PATH: &str = "/api/v1/images";

/// Bytes that are read of a file at once.
const PIECE: usize = 64 << 10;

/// Pieces that wait to be sent.
const PIECES: usize = 8;

/// What `image` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Show the images, the nodes that hold them and the functions that use them
    #[command(alias = "ls", after_help = "Example:\n  bramble image list")]
    List(ListArgs),
    /// Send an image to the bramble, from a file or from this computer's Docker
    #[command(after_help = "Examples:
  bramble image push hello:1             (an image in this computer's Docker)
  bramble image push hello.tar           (what `docker save hello:1` writes, also packed as .tar.gz)
  bramble image push hello-oci.tar       (an OCI archive, as buildx and buildah write it)

One node takes it; the others fetch it from there when they need it. An image for another kind of processor, sent
under the same name, is added to the name.")]
    Push(PushArgs),
    /// Remove an image that Bramble brought, from all nodes
    #[command(aliases = ["rm", "delete"], after_help = "Example:\n  bramble image remove hello:1")]
    Remove(RemoveArgs),
}

/// What `image list` is told.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: Target,

    /// Show built-in images, too
    #[arg(short, long)]
    all: bool,

    /// Print what the API answers
    #[arg(long)]
    json: bool,
}

/// What `image push` is told.
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// A file, or the name of an image in this computer's Docker
    #[arg(value_name = "FILE|NAME")]
    image: String,

    #[command(flatten)]
    target: Target,

    /// The image's name, where an OCI archive does not tell it
    #[arg(long)]
    name: Option<String>,
}

/// What `image remove` is told.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Its name, as `image list` shows it
    name: String,

    #[command(flatten)]
    target: Target,
}

/// Does what was asked for.
pub(crate) async fn run(command: ImageCommand, out: &Out) -> Result<(), Failure> {
    match command {
        ImageCommand::List(args) => list(args, out).await,
        ImageCommand::Push(args) => push(args, out).await,
        ImageCommand::Remove(args) => remove(args, out).await,
    }
}

async fn list(args: ListArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    if args.json {
        return out.json(&api.get_answer(PATH).await?.body);
    }
    let images: Vec<v1::Image> = api.get(PATH).await?;
    let shown: Vec<&v1::Image> = images
        .iter()
        .filter(|image| args.all || !image.built_in)
        .collect();
    if shown.is_empty() {
        out.note("There are only the built-in images: `bramble image push` brings others.");
        return Ok(());
    }
    let mut table = Table::new([
        Column::new("NAME").flexible(),
        Column::new("SIZE").right(),
        Column::new("PLATFORMS").flexible(),
        Column::new("NODES").flexible(),
        Column::new("USED BY").flexible(),
    ]);
    for image in shown {
        table.row([
            image.name.as_str().into(),
            human::bytes(image.size_bytes).as_str().into(),
            image.platforms.join(" ").as_str().into(),
            image.nodes.join(" ").as_str().into(),
            image.used_by.join(" ").as_str().into(),
        ]);
    }
    out.table(&table)
}

async fn remove(args: RemoveArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", &args.name);
    let path = format!("{PATH}?{}", query.finish());
    let answer = api
        .open(
            Method::DELETE,
            &path,
            HeaderMap::new(),
            crate::client::whole(Bytes::new()),
        )
        .await?;
    if !answer.status().is_success() {
        return Err(api.refusal(answer).await);
    }
    out.line(format!("Removed: {}.", args.name))
}

async fn push(args: PushArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let path = Path::new(&args.image);
    if path.is_file() {
        return push_file(&api, path, args.name.as_deref(), out).await;
    }
    let looks_like_a_file = [".tar", ".gz", ".tgz"]
        .iter()
        .any(|end| args.image.ends_with(end));
    if looks_like_a_file || args.image.starts_with(['/', '.']) {
        return Err(Failure::not_found(format!("there is no file {}", args.image)));
    }
    if let Some(name) = &args.name {
        return Err(Failure::usage(format!(
            "--name is for files; give the image its other name first: docker tag {} {name}",
            args.image
        )));
    }
    push_from_docker(&api, &args.image, out).await
}

/// Sends an image of this computer's Docker.
async fn push_from_docker(api: &Api, name: &str, out: &Out) -> Result<(), Failure> {
    let reference: Reference = name.parse().map_err(|_| {
        Failure::not_found(format!(
            "there is no file {name}, and no image can have this name"
        ))
    })?;
    let no_docker = |error: bollard::errors::Error| {
        Failure::failed(format!(
            "there is no file {name}, and Docker does not answer on this computer ({error})"
        ))
    };
    let docker = Docker::connect_with_defaults().map_err(no_docker)?;
    let docker = docker.negotiate_version().await.map_err(no_docker)?;
    let name = reference.to_string();
    let found = docker.inspect_image(&name).await.map_err(|error| match error {
        bollard::errors::Error::DockerResponseServerError { status_code: 404, .. } => Failure::not_found(
            format!("this computer's Docker has no image {name}: `docker images` shows what it has"),
        ),
        other => no_docker(other),
    })?;
    let size = found.size.and_then(|size| u64::try_from(size).ok());
    let (give, take) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut archive = std::pin::pin!(docker.export_image(&name).map_err(io::Error::other));
        while let Some(piece) = archive.next().await {
            if give.send(piece).await.is_err() {
                return;
            }
        }
    });
    send(api, received(take), None, size, out).await
}

/// Sends a file.
async fn push_file(api: &Api, path: &Path, name: Option<&str>, out: &Out) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let archive = {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || Archive::read(&path)).await;
        read.map_err(|error| Failure::failed(error.to_string()))?
            .map_err(|error| Failure::failed(format!("{shown}: {error}")))?
    };
    match archive {
        Archive::Docker { names } => {
            if name.is_some() {
                return Err(Failure::usage(format!(
                    "--name is for OCI archives, and {shown} is one of Docker's, whose images keep their names; \
                     save it by the name that it shall have: docker tag IMAGE NAME, docker save NAME -o FILE"
                )));
            }
            if names.is_empty() {
                return Err(Failure::failed(format!(
                    "{shown} does not name its image; save it by its name: docker save NAME:TAG -o FILE"
                )));
            }
            let length = path
                .metadata()
                .map_err(|error| Failure::failed(format!("{shown}: {error}")))?
                .len();
            send(api, file(path.to_owned(), None), Some(length), Some(length), out).await
        }
        Archive::Oci(oci) => {
            let name = name.map(str::to_owned).or_else(|| oci.name.clone());
            let name = name.ok_or_else(|| {
                Failure::usage(format!("{shown} does not name its image: add --name NAME:TAG"))
            })?;
            let reference: Reference = name
                .parse()
                .map_err(|error: api::images::ReferenceError| Failure::usage(error.to_string()))?;
            let nodes: Vec<v1::Node> = api.get("/api/v1/nodes").await?;
            let wanted: BTreeSet<String> = nodes.into_iter().flat_map(|node| node.platforms).collect();
            let images: Vec<_> = oci
                .images
                .iter()
                .filter(|image| oci.images.len() == 1 || wanted.contains(&image.platform))
                .collect();
            if images.is_empty() {
                let made_for: Vec<_> = oci.images.iter().map(|image| image.platform.as_str()).collect();
                return Err(Failure::failed(format!(
                    "no node here runs what {shown} is made for ({})",
                    made_for.join(", ")
                )));
            }
            for image in images {
                let tail = oci.tail(image, &reference.to_string());
                let length = oci.end + u64::try_from(tail.len()).unwrap_or(0);
                let rest = Some((oci.end, tail));
                send(api, file(path.to_owned(), rest), Some(length), Some(length), out).await?;
            }
            Ok(())
        }
    }
}

/// The bytes of a file as it is, or, where an end is given, unpacked up to there and with other bytes after it.
fn file(
    path: PathBuf,
    rest: Option<(u64, Vec<u8>)>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (give, take) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let sent = match rest {
            None => File::open(&path).and_then(|file| pieces(file, &give)),
            Some((end, tail)) => archive::unpacked(&path)
                .and_then(|all| pieces(all.take(end), &give))
                .and_then(|()| pieces(tail.as_slice(), &give)),
        };
        if let Err(error) = sent {
            // Nobody listens where the connection broke.
            _ = give.blocking_send(Err(error));
        }
    });
    received(take)
}

fn pieces(mut from: impl Read, give: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        piece.truncate(read);
        if give.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

fn received(
    take: mpsc::Receiver<io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(take, |mut take| async move {
        let piece = take.recv().await?;
        Some((piece, take))
    })
}

/// Sends an archive; `length` is what the bramble is told, `size` about how much it is.
async fn send(
    api: &Api,
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    length: Option<u64>,
    size: Option<u64>,
    out: &Out,
) -> Result<(), Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-tar"),
    );
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let (told, mut tell) = tokio::sync::watch::channel(0_u64);
    let counted = archive.inspect_ok(move |piece| {
        let length = u64::try_from(piece.len()).unwrap_or(0);
        told.send_modify(|sent| *sent += length);
    });
    let body = StreamBody::new(counted.map_ok(Frame::data)).boxed_unsync();
    let mut opened = std::pin::pin!(api.open(Method::POST, PATH, headers, body));
    let answer = loop {
        tokio::select! {
            answer = &mut opened => break answer,
            Ok(()) = tell.changed() => {
                let sent = *tell.borrow_and_update();
                out.progress(&match size {
                    Some(size) if sent < size => {
                        format!("sending: {} of {}", human::bytes(sent), human::bytes(size))
                    }
                    _ => "sent; the node takes it in".to_owned(),
                });
            }
        }
    };
    out.progress_is_over();
    let answer = answer?;
    if !answer.status().is_success() {
        return Err(api.refusal(answer).await);
    }
    let body = answer.into_body().collect().await;
    let body = body
        .map_err(|error| Failure::failed(error.to_string()))?
        .to_bytes();
    let pushed: v1::PushedImages = serde_json::from_slice(&body)
        .map_err(|error| Failure::failed(format!("the bramble answered what is not understood: {error}")))?;
    out.line(format!("Sent to {}: {}.", pushed.node, pushed.images.join(", ")))
}

/// Whether a file is packed by gzip; its position is at the beginning again.
fn is_gzip(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 2];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    Ok(read == 2 && magic == [0x1f, 0x8b])
}
