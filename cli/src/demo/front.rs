//! The part of `bramble.local`: one address that always leads to a node that lives.
//!
//! Works on connections and knows nothing of HTTP, as a name does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a new connection may wait for a node to live: a start takes about a second, a restart a few.
const PATIENCE: Duration = Duration::from_secs(15);

/// Hands connections from `listener` to the first of `nodes` that takes them, until `stop`.
pub(super) async fn serve(listener: TcpListener, nodes: Vec<SocketAddr>, stop: CancellationToken) {
    let nodes: Arc<[SocketAddr]> = nodes.into();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) => {
                tokio::spawn(hand_over(client, Arc::clone(&nodes), stop.clone()));
            }
            // Out of file descriptors, or the client is gone already: the next one may fare better.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn hand_over(mut client: TcpStream, nodes: Arc<[SocketAddr]>, stop: CancellationToken) {
    let Some(mut node) = connect_to_any(&nodes).await else {
        return;
    };
    _ = client.set_nodelay(true);
    _ = node.set_nodelay(true);
    tokio::select! {
        () = stop.cancelled() => {}
        // Either side may end the connection at any moment: that is how connections end.
        _ = copy_bidirectional(&mut client, &mut node) => {}
    }
}

async fn connect_to_any(nodes: &[SocketAddr]) -> Option<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for node in nodes {
            if let Ok(Ok(stream)) = timeout(Duration::from_secs(1), TcpStream::connect(node)).await {
                return Some(stream);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}
