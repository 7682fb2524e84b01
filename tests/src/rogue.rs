//! Somebody who wants to be taken for a bramble: speaks the real protocol, claims the join key that is on the cards, and
//! does not have it.

use std::{net::SocketAddr, sync::Arc};

use api::{
    Memory, NodeId,
    join::{Announcement, BrambleId, Role, Standing},
};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use transport::{
    Authority, Identity,
    join::{Admission, Attempt, Decision, HostSelf, JoinHost, JoinRequest, JoinSecret},
    serve_with_join,
};

/// The secret of a join key, or of the one that stands on a card.
pub fn secret(key: &str) -> Arc<JoinSecret> {
    let on_card = key.lines().find_map(|line| line.strip_prefix("join_key = "));
    let key = on_card.map_or(key, |quoted| quoted.trim_matches('"'));
    Arc::new(JoinSecret::stretch(key).expect("a key of a test is long enough"))
}

/// What a Pi that stands so says of itself.
pub fn announcement(node: NodeId, standing: Standing) -> Announcement {
    Announcement {
        node,
        standing,
        board: "Raspberry Pi 4 Model B".to_owned(),
        memory: Memory::from_mib(1024),
        version: "0.1.0".to_owned(),
    }
}

/// The leader of a bramble of somebody else's, who would let in whoever comes. Goes away with this.
#[derive(Debug)]
pub struct Rogue {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it says of itself to whoever looks around.
    pub announcement: Announcement,
    _stop: DropGuard,
}

impl Rogue {
    /// Listens there as the leader of a bramble of `key`, and looks better than the `real` one.
    pub async fn listen(at: SocketAddr, real: BrambleId, key: &str) -> Self {
        let id = |authority: &Authority| BrambleId::from_authority(authority.certificate());
        // Of two brambles that people have used, cards try the one with the lower id first.
        let authority = loop {
            let authority = Authority::create().expect("keys can be made");
            if id(&authority) < real {
                break authority;
            }
        };
        let identity = Identity::issued_by(&authority).expect("it is its own authority");
        let identity = Arc::new(identity);
        let standing = Standing::Member {
            bramble: id(&authority),
            key: Some(secret(key).tag()),
            role: Role::Leader(u64::MAX),
            work: true,
        };
        let announcement = announcement(identity.id(), standing);
        let me = HostSelf {
            announcement: announcement.clone(),
            authority: Some(authority.certificate().clone()),
            secret: Some(secret("another key of some length")),
        };
        let join =
            JoinHost::of_member(&identity, Arc::new(Gullible { me })).expect("a certificate can be made");
        let listener = TcpListener::bind(at).await.expect("nobody else listens there");
        let address = listener.local_addr().expect("bound above");
        let nothing = hyper::service::service_fn(|_| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        });
        let stop = CancellationToken::new();
        tokio::spawn(serve_with_join(
            listener,
            identity,
            |_| true,
            nothing,
            join,
            stop.clone(),
        ));
        Self {
            address,
            announcement,
            _stop: stop.drop_guard(),
        }
    }
}

/// Its door.
struct Gullible {
    me: HostSelf,
}

impl Admission for Gullible {
    fn host(&self) -> HostSelf {
        self.me.clone()
    }

    fn decide<'a>(&'a self, _: &'a JoinRequest) -> BoxFuture<'a, Decision> {
        panic!("nobody tells it anything");
    }

    fn refused(&self, _: &Attempt) {}

    fn waits_no_longer(&self, _: NodeId) {}
}
