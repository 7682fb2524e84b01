//! The host's side, on a socket: whoever is knocked at.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use api::{NodeId, join::Announcement};
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::{StartHandshake, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    JoinRequest, JoinSecret, Refusal, frame,
    knock::nonce,
    limits::Limits,
    protocol::{Host, Turn},
    tls,
};
use crate::{
    Identity, IdentityError, NodeKey,
    pending::Pending,
    server::{HANDSHAKE_LIMIT, HELLO_LIMIT, Hello},
};

/// Time for each message of a joiner. One that has to prove a key has stretched it long before.
const MESSAGE_LIMIT: Duration = Duration::from_secs(5);

/// Time to decide: one round of Raft, under a leader that may have to be elected first.
const DECIDE_LIMIT: Duration = Duration::from_secs(8);

/// Conversations at a time that are not waiting for a person.
const CONVERSATIONS: usize = 64;

/// Nodes that may wait for a person at a time. Each costs a connection and some 40 kB.
const WAITING: usize = 128;

/// How often it is asked anew what to do with a node that waits.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often a node that waits gets a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What the host is at this moment.
#[derive(Clone, Debug)]
pub struct HostSelf {
    /// What it announces.
    pub announcement: Announcement,
    /// The certificate of its bramble's authority, DER; `None` for a candidate.
    pub authority: Option<CertificateDer<'static>>,
    /// The join key, where it holds one.
    pub secret: Option<Arc<JoinSecret>>,
}

/// What becomes of a node that knocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is let in.
    Admitted(Grant),
    /// A person has to admit it. Asked again every second until that changes.
    Waiting {
        /// Until then it shows which board it is.
        identify_until: Option<Instant>,
    },
    /// We are a candidate ourselves.
    NotYet,
    /// We run no controller; these do.
    Elsewhere(Vec<(NodeId, SocketAddr)>),
    /// No.
    Refused(Refusal),
}

/// What a node that is let in is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its certificate, by [`JoinRequest::certify`].
    pub certificate: CertificateDer<'static>,
    /// The bramble's name.
    pub name: String,
    /// The nodes that run a controller, and where they are reached.
    pub controllers: Vec<(NodeId, SocketAddr)>,
}

/// Someone who was not let in, for the activity list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where from.
    pub from: SocketAddr,
    /// Who, if that was proved.
    pub node: Option<NodeId>,
    /// Whether it showed a certificate of the bramble, which it is no member of any more, or not yet as far as is known
    /// here.
    pub certified: bool,
    /// Why not, as half a sentence.
    pub why: String,
}

/// Who decides about nodes that knock: a controller over the replicated state, or a candidate.
pub trait Admission: Send + Sync + 'static {
    /// What this node is at this moment.
    fn host(&self) -> HostSelf;

    /// What becomes of this node. Asked again every second while the answer is [`Decision::Waiting`], so the same
    /// question must be cheap and must have the same effect twice as once. The request may come from anybody: only
    /// with `proved` does its sender hold the join key, and a node that was removed may hold it still.
    fn decide<'a>(&'a self, request: &'a JoinRequest) -> BoxFuture<'a, Decision>;

    /// Somebody was refused, or went away when it should have proved something. Told at most as often as the limits on
    /// conversations allow. Must not block.
    fn refused(&self, attempt: &Attempt);

    /// A node that waited for a person hung up, or was answered.
    fn waits_no_longer(&self, node: NodeId);
}

/// The part of a listener that takes nodes which are not part of the bramble. Cheap to clone.
#[derive(Clone)]
pub struct JoinHost(Arc<Inner>);

struct Inner {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    admission: Arc<dyn Admission>,
    limits: Mutex<Limits>,
    began: Instant,
    conversations: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl std::fmt::Debug for JoinHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinHost").finish_non_exhaustive()
    }
}

/// A place among those who are spoken with, given back when it is dropped.
struct Place<'a> {
    host: &'a JoinHost,
    from: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.host.limits(|limits, _| limits.end(self.from));
    }
}

impl JoinHost {
    /// For a node that is part of no bramble.
    ///
    /// # Errors
    /// [`IdentityError`] where its key cannot be used.
    pub fn of_candidate(key: &NodeKey, admission: Arc<dyn Admission>) -> Result<Self, IdentityError> {
        Ok(Self::new(tls::candidate(key)?, key.self_signed()?, admission))
    }

    /// For a member of a bramble, beside [`serve_with_join`](crate::serve_with_join).
    ///
    /// # Errors
    /// [`IdentityError`] where its key cannot be used.
    pub fn of_member(identity: &Identity, admission: Arc<dyn Admission>) -> Result<Self, IdentityError> {
        let certificate = identity.certificate().clone();
        Ok(Self::new(tls::member(identity)?, certificate, admission))
    }

    fn new(
        config: Arc<ServerConfig>,
        certificate: CertificateDer<'static>,
        admission: Arc<dyn Admission>,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            certificate,
            admission,
            limits: Mutex::new(Limits::new(Duration::ZERO)),
            began: Instant::now(),
            conversations: Arc::new(Semaphore::new(CONVERSATIONS)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }))
    }

    fn limits<T>(&self, with: impl FnOnce(&mut Limits, Duration) -> T) -> T {
        let now = self.0.began.elapsed();
        with(
            &mut self.0.limits.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        )
    }

    /// Speaks with whoever began a handshake for the join protocol. Limits come before the costly part.
    pub(crate) async fn converse(&self, begun: StartHandshake<TcpStream>, from: SocketAddr) {
        if !self.limits(|limits, now| limits.begin(from.ip(), now)) {
            self.turn_away(from, "it knocks too often");
            return;
        }
        let _place = Place {
            host: self,
            from: from.ip(),
        };
        let Ok(conversation) = Arc::clone(&self.0.conversations).try_acquire_owned() else {
            debug!(%from, "too many knock at once");
            return;
        };
        let handshake = begun.into_stream(Arc::clone(&self.0.config));
        let Ok(Ok(mut stream)) = timeout(HANDSHAKE_LIMIT, handshake).await else {
            debug!(%from, "a stranger did not agree on TLS");
            return;
        };
        let (node, host) = match self.open(&stream, from) {
            Ok(opened) => opened,
            Err(error) => {
                debug!(%from, error, "a stranger could not be spoken with");
                return;
            }
        };
        if let Some(request) = self.hear(host, node, &mut stream, from).await {
            self.settle(&request, &mut stream, conversation).await;
        }
        // Says goodbye, so that the last message is not taken for cut off.
        _ = timeout(MESSAGE_LIMIT, stream.shutdown()).await;
    }

    fn open(
        &self,
        stream: &TlsStream<TcpStream>,
        from: SocketAddr,
    ) -> Result<(NodeId, Host), crate::BoxError> {
        let connection = stream.get_ref().1;
        let (node, certificate) = tls::other_end(connection)?;
        let channel = tls::channel(connection, &self.0.certificate, &certificate)?;
        Ok((
            node,
            Host::new(self.0.admission.host(), channel, node, from, nonce()?),
        ))
    }

    /// The conversation up to the request.
    async fn hear(
        &self,
        mut host: Host,
        node: NodeId,
        stream: &mut TlsStream<TcpStream>,
        from: SocketAddr,
    ) -> Option<Box<JoinRequest>> {
        let mut longest = frame::SHORT;
        loop {
            let message = match timeout(MESSAGE_LIMIT, frame::read(stream, longest)).await {
                Ok(Ok(message)) => message,
                went => {
                    // Someone who goes away after the greeting has another join key, or was after our proof.
                    if longest == frame::LONG {
                        let why = match went {
                            Ok(_) => {
                                "went away when it should have said who it is: it may have another join key"
                            }
                            Err(_) => "fell silent when it should have said who it is",
                        };
                        self.refuse(from, node, why.to_owned());
                    }
                    return None;
                }
            };
            match host.heard(&message) {
                Turn::Say(answer) => {
                    longest = frame::LONG;
                    frame::write(stream, &answer).await.ok()?;
                }
                Turn::SayAndEnd(answer) => {
                    frame::write(stream, &answer).await.ok()?;
                    return None;
                }
                Turn::End => return None,
                Turn::Decide(request) => return Some(request),
                Turn::Refuse(refusal) => {
                    self.refuse(from, node, refusal.to_string());
                    let no = Host::say(&Decision::Refused(refusal));
                    frame::write(stream, &no).await.ok()?;
                    return None;
                }
            }
        }
    }

    /// Somebody who did not get so far as to prove who it is.
    pub(crate) fn turn_away(&self, from: SocketAddr, why: &str) {
        debug!(%from, why, "turned away");
        self.0.admission.refused(&Attempt {
            from,
            node: None,
            certified: false,
            why: why.to_owned(),
        });
    }

    /// Somebody who has a certificate of this bramble and is no member.
    pub(crate) fn turn_away_node(&self, from: SocketAddr, node: NodeId) {
        debug!(%from, %node, "has a certificate and is no member");
        self.0.admission.refused(&Attempt {
            from,
            node: Some(node),
            certified: true,
            why: Refusal::Removed.to_string(),
        });
    }

    fn refuse(&self, from: SocketAddr, node: NodeId, why: String) {
        self.0.admission.refused(&Attempt {
            from,
            node: Some(node),
            certified: false,
            why,
        });
    }

    async fn decide(&self, request: &JoinRequest) -> Decision {
        let decision = timeout(DECIDE_LIMIT, self.0.admission.decide(request)).await;
        decision.unwrap_or(Decision::Refused(Refusal::Busy))
    }

    /// Answers a request, however long a person takes.
    async fn settle(
        &self,
        request: &JoinRequest,
        stream: &mut TlsStream<TcpStream>,
        conversation: tokio::sync::OwnedSemaphorePermit,
    ) {
        let mut decision = self.decide(request).await;
        if let Decision::Waiting { identify_until } = decision {
            match Arc::clone(&self.0.waiting).try_acquire_owned() {
                Ok(_waiting) => {
                    drop(conversation);
                    decision = self.wait(request, stream, identify_until).await;
                    self.0.admission.waits_no_longer(request.node);
                }
                Err(_) => decision = Decision::Refused(Refusal::Busy),
            }
        }
        if let Decision::Refused(refusal) = &decision
            && *refusal != Refusal::Busy
        {
            self.refuse(request.from, request.node, refusal.to_string());
        }
        _ = timeout(MESSAGE_LIMIT, frame::write(stream, &Host::say(&decision))).await;
    }

    /// Keeps the line open until something else than waiting is decided, or the joiner hangs up.
    async fn wait(
        &self,
        request: &JoinRequest,
        stream: &mut TlsStream<TcpStream>,
        mut identify_until: Option<Instant>,
    ) -> Decision {
        let (mut spoken, mut identifies_until) = (None::<Instant>, None);
        loop {
            let mut say = Vec::new();
            if spoken.is_none_or(|spoken| spoken.elapsed() >= SIGN_OF_LIFE) {
                say.push(Host::say(&Decision::Waiting { identify_until }));
            }
            if identify_until != identifies_until {
                say.push(Host::identify(identify_until.map_or(Duration::ZERO, |until| {
                    until.saturating_duration_since(Instant::now())
                })));
                identifies_until = identify_until;
            }
            for message in say {
                let said = timeout(MESSAGE_LIMIT, frame::write(stream, &message)).await;
                if !matches!(said, Ok(Ok(()))) {
                    return Decision::Refused(Refusal::Busy);
                }
                spoken = Some(Instant::now());
            }
            tokio::select! {
                () = sleep(ASK_AGAIN) => {}
                // Nothing is to be said while waiting: whatever this is, it is the end.
                _ = frame::read(stream, frame::SHORT) => return Decision::Refused(Refusal::Busy),
            }
            match self.decide(request).await {
                Decision::Waiting {
                    identify_until: until,
                } => identify_until = until,
                // A leader that is being elected is no reason to hang up on everybody who waits.
                Decision::Refused(Refusal::Busy) => {}
                decision => return decision,
            }
        }
    }
}

/// Takes knocks on `listener` while this node is part of no bramble. Gives the listener back after `shutdown`, so that
/// nobody can take the port before the node serves its bramble on it.
pub async fn serve_candidate(
    listener: TcpListener,
    host: JoinHost,
    shutdown: CancellationToken,
) -> TcpListener {
    let (conversations, pending) = (TaskTracker::new(), Pending::new());
    loop {
        let accepted = async {
            let room = pending.room().await;
            (listener.accept().await, room)
        };
        let (accepted, room) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        let Ok((socket, from)) = accepted else {
            // Out of file descriptors, most likely; a conversation that ends gives one back.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(place) = pending.place(room, from.ip()) else {
            continue;
        };
        let (host, shutdown) = (host.clone(), shutdown.clone());
        conversations.spawn(async move {
            let converse = async {
                if let Ok(Ok(Hello::Join(begun))) = timeout(HELLO_LIMIT, Hello::of(socket)).await {
                    drop(place);
                    host.converse(begun, from).await;
                }
            };
            tokio::select! {
                () = converse => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
    conversations.close();
    conversations.wait().await;
    listener
}
