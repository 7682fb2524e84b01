//! Nodes that join over real sockets, and those that try to without being entitled to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod forger;
mod office;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use api::{NodeId, join::BrambleId};
use forger::{Forger, hear, say};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use office::{Door, KEY, OTHER_KEY, candidate, controller, introduction};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};
use transport::{
    Body, Client, Identity, NodeKey, Peer,
    join::{Answer, JoinError, JoinSecret, Knock, Refusal, knock, look, prove},
};

async fn knocks(
    key: &NodeKey,
    to: SocketAddr,
    meant: Option<NodeId>,
    secret: Option<&Arc<JoinSecret>>,
) -> Result<Answer, JoinError> {
    let introduction = introduction(key.id());
    knock(Knock {
        key,
        to,
        meant,
        secret: secret.cloned(),
        introduction: &introduction,
        vote: true,
    })
    .await
}

/// Lets the node in, and answers its identity.
async fn joins(key: NodeKey, door: &Door, secret: &Arc<JoinSecret>) -> Identity {
    match knocks(&key, door.address, Some(door.id), Some(secret))
        .await
        .unwrap()
    {
        Answer::Admitted(admitted) => {
            assert_eq!(admitted.bramble, BrambleId::from_authority(&admitted.authority));
            Identity::new(key, admitted.certificate, admitted.authority).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

async fn calls(identity: Arc<Identity>, door: &Door) -> Result<StatusCode, transport::ClientError> {
    let peer = Peer {
        id: door.id,
        address: door.address,
    };
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = Client::new(identity).request(peer, request).await?;
    let status = answer.status();
    _ = answer.into_body().collect().await;
    Ok(status)
}

#[tokio::test]
async fn a_node_with_the_join_key_is_let_in_and_then_speaks_as_a_member_on_the_same_port() {
    let door = controller(Some(&KEY)).await;
    let identity = joins(NodeKey::generate().unwrap(), &door, &KEY).await;
    assert!(door.office.last().proved);
    assert_eq!(calls(Arc::new(identity), &door).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_node_without_a_key_waits_until_a_person_admits_it_and_both_show_one_fingerprint() {
    for secret in [None, Some(&*KEY)] {
        let door = controller(secret).await;
        let key = NodeKey::generate().unwrap();
        let Ok(Answer::Waiting(line)) = knocks(&key, door.address, None, None).await else {
            panic!("not told to wait");
        };
        assert_eq!(line.fingerprint(), door.office.last().fingerprint);
        assert!(!door.office.last().proved);
        let decided = tokio::spawn(line.decided(|_| ()));
        sleep(Duration::from_millis(100)).await;
        door.office.pressed.store(true, Ordering::Relaxed);
        let Answer::Admitted(admitted) = decided.await.unwrap().unwrap() else {
            panic!("not admitted");
        };
        let identity = Identity::new(key, admitted.certificate, admitted.authority).unwrap();
        assert_eq!(calls(Arc::new(identity), &door).await.unwrap(), StatusCode::OK);
        assert_eq!(door.office.left.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_waiting_node_hears_for_how_long_it_is_to_show_which_board_it_is_and_that_it_is_no_longer() {
    let door = controller(None).await;
    let key = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(line)) = knocks(&key, door.address, None, None).await else {
        panic!("not told to wait");
    };
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let decided = tokio::spawn(line.decided(move |long| tell.send(long).unwrap()));
    let ask = |until| *door.office.identify_until.lock().unwrap() = until;
    ask(Some(Instant::now() + Duration::from_secs(60)));
    let long = told.recv().await.unwrap();
    assert!(
        long > Duration::from_secs(50) && long <= Duration::from_secs(60),
        "{long:?}"
    );
    ask(None);
    assert_eq!(told.recv().await.unwrap(), Duration::ZERO);
    door.office.pressed.store(true, Ordering::Relaxed);
    assert!(matches!(decided.await.unwrap().unwrap(), Answer::Admitted(_)));
    assert!(told.recv().await.is_none(), "said once");
}

#[tokio::test]
async fn a_waiting_node_that_hangs_up_is_taken_from_the_list() {
    let door = controller(None).await;
    let key = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(line)) = knocks(&key, door.address, None, None).await else {
        panic!("not told to wait");
    };
    drop(line);
    for _ in 0..100 {
        if door.office.left.load(Ordering::Relaxed) == 1 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("still on the list");
}

#[tokio::test]
async fn candidates_tell_each_other_that_there_is_no_bramble_yet() {
    let door = candidate(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let answer = knocks(&key, door.address, Some(door.id), Some(&KEY))
        .await
        .unwrap();
    assert!(matches!(answer, Answer::NotYet(announcement) if announcement.node == door.id));
    let request = door.office.last();
    assert!(request.proved && request.vote);
    assert_eq!(request.sighting.addresses, ["127.0.0.1:7443".parse().unwrap()]);
}

#[tokio::test]
async fn a_look_says_what_mdns_would_say() {
    let door = controller(Some(&KEY)).await;
    let sighting = look(&NodeKey::generate().unwrap(), door.address).await.unwrap();
    assert_eq!(sighting.announcement, door.office.me.announcement);
    assert_eq!(sighting.addresses, [door.address]);
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bramble_proves_itself_to_another_without_learning_anything() {
    let door = controller(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let found = prove(&key, door.address, Some(door.id), Arc::clone(&KEY))
        .await
        .unwrap();
    assert_eq!(found.node, door.id);
    sleep(Duration::from_millis(100)).await;
    assert!(door.office.told().is_empty(), "{:?}", door.office.told());
    let error = prove(&key, door.address, None, Arc::clone(&OTHER_KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey));
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_with_another_key_goes_away_and_the_bramble_is_told() {
    let door = controller(Some(&KEY)).await;
    let key = NodeKey::generate().unwrap();
    let error = knocks(&key, door.address, None, Some(&OTHER_KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    assert!(error.to_string().contains("bramble.toml"), "{error}");
    door.office.is_told("it may have another join key").await;
    assert!(door.office.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_removed_node_stays_out_though_it_still_holds_the_join_key() {
    let door = controller(Some(&KEY)).await;
    let folder = tempfile::tempdir().unwrap();
    let identity = Arc::new(joins(NodeKey::generate().unwrap(), &door, &KEY).await);
    identity.save(folder.path()).unwrap();
    assert_eq!(calls(identity.clone(), &door).await.unwrap(), StatusCode::OK);

    door.office.removed.lock().unwrap().push(identity.id());
    // Cut off at once, or told so first.
    assert!(
        calls(identity.clone(), &door)
            .await
            .map_or(true, |status| status == StatusCode::FORBIDDEN)
    );
    let key = NodeKey::load(folder.path()).unwrap();
    let answer = knocks(&key, door.address, None, Some(&KEY)).await.unwrap();
    assert!(matches!(answer, Answer::Refused(Refusal::Removed)));
    door.office
        .is_told("this node was removed from the bramble")
        .await;
}

#[tokio::test]
async fn a_rogue_controller_without_the_key_gets_nothing_out_of_a_node_that_has_it() {
    for rogue in [controller(None).await, controller(Some(&OTHER_KEY)).await] {
        let error = knocks(&NodeKey::generate().unwrap(), rogue.address, None, Some(&KEY))
            .await
            .unwrap_err();
        assert!(
            matches!(error, JoinError::HoldsNoKey | JoinError::WrongKey),
            "{error}"
        );
        assert!(rogue.office.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn somebody_else_at_the_address_of_a_node_is_hung_up_on() {
    let door = controller(Some(&KEY)).await;
    let meant = NodeKey::generate().unwrap().id();
    let error = knocks(
        &NodeKey::generate().unwrap(),
        door.address,
        Some(meant),
        Some(&KEY),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, JoinError::Tls(..)), "{error}");
}

#[tokio::test]
async fn a_node_of_another_bramble_is_only_a_stranger_here() {
    let (door, foreign) = (controller(Some(&KEY)).await, controller(Some(&OTHER_KEY)).await);
    let member = Arc::new(joins(NodeKey::generate().unwrap(), &foreign, &OTHER_KEY).await);
    assert!(calls(member, &door).await.is_err());
}

// Those who do not use our program.

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[tokio::test]
async fn someone_between_a_node_and_its_bramble_cannot_pass_the_proof_on() {
    let door = controller(Some(&KEY)).await;
    let between = Forger::new().relay(door.address).await;
    let error = knocks(&NodeKey::generate().unwrap(), between, None, Some(&KEY))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::WrongKey), "{error}");
    assert!(
        door.office.asked.lock().unwrap().is_empty(),
        "the node said nothing"
    );
}

#[tokio::test]
async fn someone_between_a_keyless_node_and_its_bramble_is_not_of_the_bramble() {
    let door = controller(None).await;
    let between = Forger::new().relay(door.address).await;
    let error = knocks(&NodeKey::generate().unwrap(), between, None, None)
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::NotOfItsBramble), "{error}");
}

/// Between a keyless node and its bramble someone can stand who plays a bramble to the one and a node to the other;
/// then the two fingerprints differ.
#[tokio::test]
async fn someone_who_plays_both_parts_shows_two_fingerprints() {
    let (real, fake) = (controller(None).await, controller(None).await);
    let victim = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(shown)) = knocks(&victim, fake.address, None, None).await else {
        panic!("not told to wait");
    };
    let attacker = NodeKey::generate().unwrap();
    let Ok(Answer::Waiting(_line)) = knocks(&attacker, real.address, None, None).await else {
        panic!("not told to wait");
    };
    assert_ne!(shown.fingerprint(), real.office.last().fingerprint);
}

#[tokio::test]
async fn a_made_up_proof_is_refused_and_told() {
    let door = controller(Some(&KEY)).await;
    let mut stream = Forger::new().dial(door.address).await.unwrap();
    say(
        &mut stream,
        &format!(r#"{{"v":1,"body":{{"hello":{{"keyed":true,"commitment":"{ZEROS}"}}}}}}"#),
    )
    .await;
    assert!(hear(&mut stream).await.unwrap().contains("greeting"));
    say(
        &mut stream,
        &format!(r#"{{"v":1,"body":{{"request":{{"said":"{{}}","proof":"{ZEROS}"}}}}}}"#),
    )
    .await;
    assert_eq!(
        hear(&mut stream).await.unwrap(),
        r#"{"v":1,"body":{"refused":"wrong_key"}}"#
    );
    door.office.is_told("the join key is not this bramble's").await;
    let forger = door.office.attempts.lock().unwrap()[0].clone();
    assert!(forger.node.is_some() && forger.from.ip().is_loopback());
}

#[tokio::test]
async fn a_certificate_that_names_another_node_is_refused_by_tls() {
    let door = controller(Some(&KEY)).await;
    let mut forger = Forger::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([format!("{}.bramble", forger.id)]).unwrap();
    forger.certificate = params.self_signed(&key).unwrap().der().clone();
    forger.key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut stream = forger.dial(door.address).await.unwrap();
    say(&mut stream, r#"{"v":1,"body":"look"}"#).await;
    assert_eq!(hear(&mut stream).await, None);
}

#[tokio::test]
async fn messages_that_are_too_long_or_no_messages_end_the_conversation() {
    let door = controller(Some(&KEY)).await;
    let mut stream = Forger::new().dial(door.address).await.unwrap();
    _ = stream.write_u32(u32::MAX).await;
    assert_eq!(hear(&mut stream).await, None);

    let mut stream = Forger::new().dial(door.address).await.unwrap();
    say(&mut stream, &"[".repeat(1000)).await;
    assert_eq!(
        hear(&mut stream).await.unwrap(),
        r#"{"v":1,"body":{"refused":"damaged"}}"#
    );
    assert_eq!(hear(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_holds_up_neither_members_nor_for_long_those_who_may_join() {
    let door = Arc::new(controller(Some(&KEY)).await);
    let member = Arc::new(joins(NodeKey::generate().unwrap(), &door, &KEY).await);
    // Some only open connections, some begin to speak, some greet and then say nothing, and come again at once.
    let mut flood = tokio::task::JoinSet::new();
    let until = Instant::now() + Duration::from_secs(8);
    let to = door.address;
    flood.spawn(async move {
        let forger = Forger::new();
        while Instant::now() < until {
            forger.knocks(to, 50).await;
        }
    });
    for _ in 0..40 {
        flood.spawn(async move {
            let mut idle = Vec::new();
            while Instant::now() < until {
                idle.extend(TcpStream::connect(to).await);
                sleep(Duration::from_millis(200)).await;
            }
        });
        flood.spawn(async move {
            let forger = Forger::new();
            while Instant::now() < until {
                if let Ok(mut stream) = forger.dial(to).await {
                    say(
                        &mut stream,
                        &format!(r#"{{"v":1,"body":{{"hello":{{"keyed":true,"commitment":"{ZEROS}"}}}}}}"#),
                    )
                    .await;
                    _ = hear(&mut stream).await;
                }
            }
        });
    }
    sleep(Duration::from_millis(1500)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(calls(member.clone(), &door).await.unwrap(), StatusCode::OK);
        slowest = slowest.max(began.elapsed());
    }
    println!("during the flood, the slowest of 20 new connections of a member took {slowest:?}");
    while flood.join_next().await.is_some() {}
    let key = NodeKey::generate().unwrap();
    for _ in 0..20 {
        if let Ok(Answer::Admitted(_)) = knocks(&key, door.address, None, Some(&KEY)).await {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("nobody can join after a flood");
}
