//! A leader whose network works in one direction only.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use tests::hosts::{Host, Lan};

use crate::{SOON, bramble};

/// Whether a change of this name is acknowledged.
fn keeps(host: &Host, name: &str) -> bool {
    let secret = serde_json::json!({"name": name, "value": "x"}).to_string();
    let answer = host.client().try_send("POST", "/system/secrets", secret);
    match answer.map(|answer| answer.status.as_u16()) {
        Some(200 | 202) => true,
        // An attempt that got no answer may have been carried out all the same.
        Some(409) => kept(host).contains(&format!("\"{name}\"")),
        _ => false,
    }
}

/// Which of those changes a host knows of.
fn kept(host: &Host) -> String {
    let answer = host.client().try_send("GET", "/system/secrets", "");
    answer.map_or_else(String::new, |answer| answer.text())
}

/// What of the leader's network is broken.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// It hears nobody.
    Ears,
    /// Nobody hears it.
    Mouth,
}

/// Breaks it towards the other hosts; the laptop reaches everybody all the time.
fn break_network(lan: &Lan, leader: usize, what: Broken) {
    let (chain, side, device) = match what {
        Broken::Ears => ("INPUT", "-s", "-i"),
        Broken::Mouth => ("OUTPUT", "-d", "-o"),
    };
    let host = &lan.hosts[leader];
    for other in (0..lan.hosts.len()).filter(|other| *other != leader) {
        let address = lan.hosts[other].address();
        host.run(&format!("iptables -A {chain} {side} {address} -j DROP"));
    }
    if matches!(what, Broken::Mouth) {
        host.run("iptables -A OUTPUT -d 224.0.0.0/4 -j DROP");
    }
    host.run(&format!("ip6tables -A {chain} {device} eth0 -j DROP"));
}

/// Whether the network works again.
#[derive(Default)]
struct Healed(AtomicBool);

/// Says so when it goes, also where a test fails: who asks meanwhile would do so for ever.
struct HealedAtLast<'a>(&'a Healed);

impl Drop for HealedAtLast<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Relaxed);
    }
}

fn a_leader_that_is_cut_off_one_way_acknowledges_nothing(broken: Broken) {
    let Some(lan) = bramble(3) else { return };
    let leader = lan.wait_for_controllers(3, SOON);
    lan.wait("a change before", SOON, |lan| {
        keeps(&lan.hosts[leader], "before").then_some(())
    });

    break_network(&lan, leader, broken);
    let began = Instant::now();
    let healed = Healed::default();
    let rest: Vec<usize> = (0..3).filter(|host| *host != leader).collect();
    thread::scope(|scope| {
        let old = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let name = format!("old-{number}");
                let done = keeps(&lan.hosts[leader], &name);
                // What is acknowledged afterwards, the new leader did.
                if healed.0.load(Relaxed) {
                    break;
                }
                acknowledged.extend(done.then_some(name));
                thread::sleep(Duration::from_millis(200));
            }
            acknowledged
        });
        let healed_at_last = HealedAtLast(&healed);
        let new = lan.wait("a change on the other side", SOON, |lan| {
            let host = &lan.hosts[rest[0]];
            let leads = lan.leader_among(&host.nodes()).filter(|host| *host != leader);
            leads.filter(|_| keeps(host, "new"))
        });
        println!(
            "{broken:?} broken: host {new} leads and took a change {:?} later",
            began.elapsed()
        );
        // Both sides have their chance for as long again.
        for number in 0..5 {
            lan.wait("another change", SOON, |lan| {
                keeps(&lan.hosts[rest[1]], &format!("new-{number}")).then_some(())
            });
            thread::sleep(Duration::from_secs(1));
        }
        drop(healed_at_last);
        lan.hosts[leader].run("iptables -F && ip6tables -F");
        let acknowledged = old.join().expect("it does not panic");
        assert_eq!(acknowledged, [] as [&str; 0], "by a leader that nobody follows");
    });

    let healed = Instant::now();
    lan.wait_for_one_bramble(SOON);
    println!("one bramble {:?} after the network healed", healed.elapsed());
    for host in &lan.hosts {
        let kept = kept(host);
        for name in ["\"before\"", "\"new\"", "\"new-4\""] {
            assert!(kept.contains(name), "{name} in {kept}");
        }
    }
}

#[test]
fn a_leader_that_hears_nobody_acknowledges_nothing_and_is_taken_back() {
    a_leader_that_is_cut_off_one_way_acknowledges_nothing(Broken::Ears);
}

#[test]
fn a_leader_that_nobody_hears_acknowledges_nothing_and_is_taken_back() {
    a_leader_that_is_cut_off_one_way_acknowledges_nothing(Broken::Mouth);
}

#[test]
fn while_the_leader_is_silent_no_call_fails_of_what_runs_elsewhere() {
    let Some(lan) = bramble(3) else { return };
    let leader = lan.wait_for_controllers(3, SOON);
    let rest: Vec<usize> = (0..3).filter(|host| *host != leader).collect();
    // On the other two.
    let client = lan.hosts[leader].client();
    let name = lan.hosts[leader].name().expect("it runs");
    assert_eq!(
        client.post(&format!("/api/v1/nodes/{name}/cordon"), "").status,
        204
    );
    let deployment = serde_json::json!({
        "service": "env", "image": "bramble/env:latest", "labels": {"com.openfaas.scale.min": "2"}
    });
    assert_eq!(client.post_json("/system/functions", &deployment).status, 202);
    lan.wait("a replica on each of the others", SOON, |lan| {
        let function = lan.hosts[leader].client().get("/system/function/env").json();
        let called = rest.iter().all(|host| {
            let answer = lan.hosts[*host].client().try_send("GET", "/function/env", "");
            answer.is_some_and(|answer| answer.status == 200)
        });
        (function["availableReplicas"] == 2 && called).then_some(())
    });

    for broken in [Broken::Ears, Broken::Mouth] {
        break_network(&lan, leader, broken);
    }
    let (cut, healed) = (Instant::now(), Healed::default());
    thread::scope(|scope| {
        let lan = &lan;
        let callers: Vec<_> = rest
            .iter()
            .map(|host| {
                let healed = &healed;
                scope.spawn(move || {
                    let client = lan.hosts[*host].client();
                    let (mut calls, mut failed) = (0, Vec::new());
                    while !healed.0.load(Relaxed) {
                        let answer = client.try_send("GET", "/function/env", "");
                        calls += 1;
                        match answer.map(|answer| answer.status.as_u16()) {
                            Some(200) => {}
                            other => failed.push((cut.elapsed(), other)),
                        }
                        thread::sleep(Duration::from_millis(5));
                    }
                    (calls, failed)
                })
            })
            .collect();
        let healed_at_last = HealedAtLast(&healed);
        lan.wait("another leader", SOON, |lan| {
            let leads = lan.leader_among(&lan.hosts[rest[0]].nodes());
            leads.filter(|host| *host != leader)
        });
        println!("silent: another leads {:?} later", cut.elapsed());
        // Until the old one counts as down, and for a while afterwards.
        thread::sleep(Duration::from_secs(8));
        drop(healed_at_last);
        for caller in callers {
            let (calls, failed) = caller.join().expect("it does not panic");
            println!("{calls} calls meanwhile");
            assert_eq!(failed, [], "of {calls} calls");
        }
    });
    lan.hosts[leader].run("iptables -F && ip6tables -F");
}
