//! Somebody on the network who wants to be taken for the bramble.

use std::{collections::BTreeSet, net::Ipv6Addr};

use agent::discovery::{Discovery, Interfaces, Mdns};
use api::join::BrambleId;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tests::rogue::Rogue;
use tokio_util::sync::CancellationToken;

use crate::{CARD, SOON, bramble};

/// Ends what goes on elsewhere, also where a test fails.
struct Until<'a>(&'a CancellationToken);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[test]
fn a_card_that_finds_a_rogue_by_multicast_joins_its_own_bramble_and_people_are_told() {
    let Some(mut lan) = bramble(1) else { return };
    lan.add(1, CARD);
    let authority = lan.hosts[0].authority().expect("it has founded a bramble");
    let authority = CertificateDer::from_pem_slice(&authority).unwrap();
    let real = BrambleId::from_authority(&authority);
    let (stop, heard) = (CancellationToken::new(), CancellationToken::new());
    let mut joiner = lan.hosts.pop().expect("added above");
    std::thread::scope(|scope| {
        let until = Until(&stop);
        scope.spawn(|| {
            lan.elsewhere(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let rogue = Rogue::listen((Ipv6Addr::UNSPECIFIED, 7443).into(), real, CARD).await;
                    let interfaces = Interfaces {
                        only: BTreeSet::from(["eth0".to_owned()]),
                        loopback: false,
                    };
                    let mut mdns = Mdns::start(interfaces, "rogue", rogue.address.port()).unwrap();
                    mdns.announce(&rogue.announcement).unwrap();
                    heard.cancel();
                    while stop.run_until_cancelled(mdns.next()).await.is_some() {}
                });
            });
        });
        lan.wait("the rogue to be there", SOON, |_| {
            heard.is_cancelled().then_some(())
        });
        // So that it meets the rogue first.
        lan.cable(0, false);
        joiner.power_on();
        lan.wait("it to trust nobody there", SOON, |_| {
            let log = joiner.log();
            let told = log
                .lines()
                .any(|line| line.contains("does not trust who answers"));
            told.then_some(())
        });
        lan.cable(0, true);
        lan.wait("the real one to let it in", SOON, |lan| {
            (lan.hosts[0].nodes().len() == 2).then_some(())
        });
        drop(until);
    });
    lan.hosts.push(joiner);
    lan.wait_for_one_bramble(SOON);
    let client = lan.hosts[0].client();
    lan.wait("people to be told", SOON, |_| {
        let activity = client.get("/api/v1/activity").text();
        activity
            .contains("was not believed to be a bramble")
            .then_some(())
    });
}
