//! What an idle bramble costs its cards.

use std::{thread::sleep, time::Duration};

use crate::{SOON, bramble};

#[test]
fn nodes_of_an_idle_bramble_write_nothing_to_their_cards() {
    let Some(lan) = bramble(4) else { return };
    let leader = lan.wait_for_controllers(3, SOON);
    assert!(
        lan.hosts[leader].written_bytes() > 0,
        "founding a bramble writes, and that is counted here"
    );
    // The last one to be made a controller learns what there is.
    sleep(Duration::from_secs(10));
    assert_eq!(lan.written_while_idle(Duration::from_secs(20)), [0; 4]);
}
