//! The conversation as bytes: what was recorded, bent or said out of turn gets nobody in.

use std::sync::LazyLock;

use api::{Cpu, Memory, join::Role, node::EngineKind};

use super::*;
use crate::{Identity, NodeKey, verify::public_key_of};

const KEY: &str = "correct horse battery";

static SECRET: LazyLock<Arc<JoinSecret>> = LazyLock::new(|| Arc::new(JoinSecret::stretch(KEY).unwrap()));
static OTHER: LazyLock<Arc<JoinSecret>> =
    LazyLock::new(|| Arc::new(JoinSecret::stretch("another key altogether").unwrap()));

struct World {
    authority: Authority,
    host: Identity,
    joiner: NodeKey,
}

fn announcement(node: NodeId, standing: Standing) -> Announcement {
    Announcement {
        node,
        standing,
        board: "Raspberry Pi 4 Model B".to_owned(),
        memory: Memory::from_mib(1024),
        version: "0.1.0".to_owned(),
    }
}

fn introduction(node: NodeId) -> Introduction {
    Introduction {
        announcement: announcement(node, Standing::Candidate { key: None }),
        port: 7443,
        facts: NodeFacts {
            name: "pi-4b-0001".to_owned(),
            address: "0.0.0.0:7443".parse().unwrap(),
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory: Memory::from_mib(1024),
            cpu: Cpu::from_cores(4),
            platforms: Vec::new(),
            os: String::new(),
            page_bytes: 4096,
            engine: EngineKind::Process,
            version: "0.1.0".to_owned(),
            serial: None,
            devices: Default::default(),
            details: Default::default(),
        },
        serial: None,
        formerly: None,
    }
}

impl World {
    fn new() -> Self {
        let authority = Authority::create().unwrap();
        Self {
            host: Identity::issued_by(&authority).unwrap(),
            authority,
            joiner: NodeKey::generate().unwrap(),
        }
    }

    fn channel(&self, number: u8) -> Channel {
        Channel {
            exporter: [number; 32],
            host_key: hash(&public_key_of(self.host.certificate()).unwrap()),
            joiner_key: hash(&public_key_of(&self.joiner.self_signed().unwrap()).unwrap()),
        }
    }

    fn host(&self, channel: u8, secret: Option<&Arc<JoinSecret>>) -> Host {
        let me = HostSelf {
            announcement: announcement(
                self.host.id(),
                Standing::Member {
                    bramble: BrambleId::from_authority(self.authority.certificate()),
                    key: secret.map(|secret| secret.tag()),
                    role: Role::Controller,
                    work: false,
                },
            ),
            authority: Some(self.authority.certificate().clone()),
            secret: secret.cloned(),
        };
        let from = "192.168.1.7:50000".parse().unwrap();
        Host::new(me, self.channel(channel), self.joiner.id(), from, [channel; 32])
    }

    fn joiner(&self, channel: u8, secret: Option<&Arc<JoinSecret>>) -> Joiner {
        Joiner::new(
            self.joiner.id(),
            self.channel(channel),
            self.host.certificate().clone(),
            secret.cloned(),
            [channel ^ 0xff; 32],
        )
    }

    fn request(&self, joiner: &Joiner, greeted: &Greeted) -> Vec<u8> {
        let certificate_request = self.joiner.request().unwrap();
        joiner.request(
            greeted,
            &introduction(self.joiner.id()),
            true,
            certificate_request,
        )
    }
}

fn say(turn: Turn) -> Vec<u8> {
    match turn {
        Turn::Say(message) => message,
        other => panic!("{other:?}"),
    }
}

/// A whole conversation; what the host is asked to decide, and what the joiner shows.
fn talk(
    world: &World,
    host: Option<&Arc<JoinSecret>>,
    joiner: Option<&Arc<JoinSecret>>,
) -> Result<(JoinRequest, Fingerprint), JoinError> {
    let (mut host, joiner) = (world.host(1, host), world.joiner(1, joiner));
    let greeting = say(host.heard(joiner.hello()));
    let greeted = joiner.greeted(&greeting)?;
    match host.heard(&world.request(&joiner, &greeted)) {
        Turn::Decide(request) => Ok((*request, greeted.fingerprint)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_holders_of_the_key_prove_it_to_each_other() {
    let world = World::new();
    let (request, fingerprint) = talk(&world, Some(&SECRET), Some(&SECRET)).unwrap();
    assert!(request.proved && request.vote);
    assert_eq!(
        (request.node, request.fingerprint),
        (world.joiner.id(), fingerprint)
    );
    assert_eq!(request.sighting.addresses, ["192.168.1.7:7443".parse().unwrap()]);
    assert!(request.certify(&world.authority).is_ok());
}

#[test]
fn a_joiner_without_a_key_proves_nothing_and_both_show_the_same_fingerprint() {
    let world = World::new();
    for host in [None, Some(&*SECRET)] {
        let (request, fingerprint) = talk(&world, host, None).unwrap();
        assert!(!request.proved);
        assert_eq!(request.fingerprint, fingerprint);
    }
}

#[test]
fn a_joiner_with_a_key_says_nothing_to_a_host_with_another_or_none() {
    let world = World::new();
    let error = talk(&world, Some(&OTHER), Some(&SECRET)).unwrap_err();
    assert!(matches!(error, JoinError::WrongKey) && error.is_distrust());
    let error = talk(&world, None, Some(&SECRET)).unwrap_err();
    assert!(matches!(error, JoinError::HoldsNoKey));
}

#[test]
fn the_first_message_does_not_even_name_the_key() {
    let world = World::new();
    let hello = String::from_utf8(world.joiner(1, Some(&SECRET)).hello().to_vec()).unwrap();
    assert!(!hello.contains(&SECRET.tag().to_string()), "{hello}");
}

#[test]
fn what_was_recorded_on_one_channel_proves_nothing_on_another() {
    let world = World::new();
    let (mut host, joiner) = (world.host(1, Some(&SECRET)), world.joiner(1, Some(&SECRET)));
    let greeting = say(host.heard(joiner.hello()));
    let greeted = joiner.greeted(&greeting).unwrap();
    let request = world.request(&joiner, &greeted);

    // The joiner's part, to another host of the bramble, and to the same one with the same nonce.
    for mut host in [world.host(2, Some(&SECRET)), {
        let mut host = world.host(1, Some(&SECRET));
        host.channel.exporter = [2; 32];
        host
    }] {
        say(host.heard(joiner.hello()));
        assert!(matches!(host.heard(&request), Turn::Refuse(Refusal::WrongKey)));
    }
    // The host's part, to the same joiner.
    let again = world.joiner(2, Some(&SECRET));
    assert!(matches!(again.greeted(&greeting), Err(JoinError::WrongKey)));
}

#[test]
fn a_proof_cannot_be_sent_back_to_its_maker() {
    let world = World::new();
    let (mut host, joiner) = (world.host(1, Some(&SECRET)), world.joiner(1, Some(&SECRET)));
    let greeting = say(host.heard(joiner.hello()));
    let Ok(FromHost::Greeting { said, proof }) = decode(&greeting) else {
        panic!("no greeting");
    };
    let reflected = encode(&FromJoiner::Request { said, proof });
    assert!(matches!(host.heard(&reflected), Turn::Refuse(Refusal::WrongKey)));
}

#[test]
fn nobody_without_the_key_can_call_up_a_proof_and_leave_unnoticed() {
    let world = World::new();
    let (mut host, joiner) = (world.host(1, Some(&SECRET)), world.joiner(1, Some(&SECRET)));
    let greeted = joiner.greeted(&say(host.heard(joiner.hello()))).unwrap();
    assert!(matches!(host.heard(&joiner.enough(&greeted).unwrap()), Turn::End));

    let mut host = world.host(1, Some(&SECRET));
    say(host.heard(joiner.hello()));
    let made_up = encode(&FromJoiner::Enough { proof: Blob([0; 32]) });
    assert!(matches!(host.heard(&made_up), Turn::Refuse(Refusal::WrongKey)));
}

#[test]
fn a_host_with_a_certificate_of_another_bramble_is_found_out() {
    let (world, foreign) = (World::new(), World::new());
    for secret in [None, Some(&*SECRET)] {
        let mut host = world.host(1, secret);
        // A rogue that names the bramble's authority, and shows what its own has signed.
        host.channel = foreign.channel(1);
        let joiner = Joiner {
            channel: foreign.channel(1),
            host: foreign.host.certificate().clone(),
            ..world.joiner(1, secret)
        };
        let greeting = say(host.heard(joiner.hello()));
        assert!(matches!(
            joiner.greeted(&greeting),
            Err(JoinError::NotOfItsBramble)
        ));
    }
}

#[test]
fn a_bramble_that_is_not_that_of_its_authority_is_found_out() {
    let world = World::new();
    let mut host = world.host(1, None);
    host.me.announcement.standing = Standing::Member {
        bramble: BrambleId::from_number(1),
        key: None,
        role: Role::Controller,
        work: true,
    };
    let joiner = world.joiner(1, None);
    let greeting = say(host.heard(joiner.hello()));
    assert!(matches!(
        joiner.greeted(&greeting),
        Err(JoinError::NotOfItsBramble)
    ));
}

#[test]
fn a_certificate_for_somebody_else_or_by_somebody_else_is_not_taken() {
    let (world, foreign) = (World::new(), World::new());
    let (mut host, joiner) = (world.host(1, None), world.joiner(1, None));
    let greeted = joiner.greeted(&say(host.heard(joiner.hello()))).unwrap();
    let admitted = |certificate: &CertificateDer<'static>| {
        let grant = super::super::host::Grant {
            certificate: certificate.clone(),
            name: "bramble".to_owned(),
            controllers: Vec::new(),
        };
        joiner.answered(&greeted, &Host::say(&Decision::Admitted(grant)))
    };
    let request = world.joiner.request().unwrap();
    assert!(admitted(&world.authority.issue(&request).unwrap().1).is_ok());
    for wrong in [
        world.host.certificate().clone(),
        foreign.authority.issue(&request).unwrap().1,
        CertificateDer::from(vec![1, 2, 3]),
    ] {
        assert!(matches!(admitted(&wrong), Err(JoinError::NotOfItsBramble)));
    }
}

#[test]
fn nobody_can_ask_for_a_certificate_for_a_key_that_it_did_not_knock_with() {
    let world = World::new();
    let (mut request, _) = talk(&world, Some(&SECRET), Some(&SECRET)).unwrap();
    request.certificate_request = NodeKey::generate().unwrap().request().unwrap();
    assert!(matches!(
        request.certify(&world.authority),
        Err(AuthorityError::AnotherKey { .. })
    ));
}

#[test]
fn nobody_can_speak_for_another_node() {
    let world = World::new();
    let (mut host, joiner) = (world.host(1, None), world.joiner(1, None));
    let greeted = joiner.greeted(&say(host.heard(joiner.hello()))).unwrap();
    let lie = introduction(NodeId::from_number(1));
    let request = joiner.request(&greeted, &lie, false, Vec::new());
    assert!(matches!(host.heard(&request), Turn::Refuse(Refusal::Damaged)));
}

#[test]
fn a_nonce_that_was_not_committed_to_is_refused() {
    let world = World::new();
    let (mut host, mut joiner) = (world.host(1, None), world.joiner(1, None));
    let greeted = joiner.greeted(&say(host.heard(joiner.hello()))).unwrap();
    joiner.nonce = [9; 32];
    assert!(matches!(
        host.heard(&world.request(&joiner, &greeted)),
        Turn::Refuse(Refusal::Damaged)
    ));
}

#[test]
fn no_bent_byte_gets_a_keyed_conversation_to_its_end() {
    let world = World::new();
    let (mut host, joiner) = (world.host(1, Some(&SECRET)), world.joiner(1, Some(&SECRET)));
    let greeting = say(host.heard(joiner.hello()));
    for at in 0..greeting.len() {
        let mut bent = greeting.clone();
        bent[at] ^= 1;
        assert!(joiner.greeted(&bent).is_err(), "byte {at} of the greeting");
    }
    let greeted = joiner.greeted(&greeting).unwrap();
    let request = world.request(&joiner, &greeted);
    for at in 0..request.len() {
        let mut host = world.host(1, Some(&SECRET));
        say(host.heard(joiner.hello()));
        let mut bent = request.clone();
        bent[at] ^= 1;
        assert!(
            matches!(host.heard(&bent), Turn::Refuse(_)),
            "byte {at} of the request"
        );
    }
}

#[test]
fn words_out_of_turn_end_the_conversation() {
    let world = World::new();
    let mut host = world.host(1, None);
    let request = encode(&FromJoiner::Request {
        said: String::new(),
        proof: None,
    });
    assert!(matches!(host.heard(&request), Turn::Refuse(Refusal::Damaged)));
    assert!(
        matches!(host.heard(&look()), Turn::Refuse(Refusal::Damaged)),
        "and stays so"
    );
    assert!(matches!(
        world.host(1, None).heard(b"GET / HTTP/1.1"),
        Turn::Refuse(Refusal::Damaged)
    ));
}
