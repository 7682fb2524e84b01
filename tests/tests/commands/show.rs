//! `bramble nodes show`: what board it is and how it is, from a machine's files to what people read.

use serde_json::{Value, json};
use tests::demo::{Demo, machine_says, node_folders};

use crate::{
    operator::Operator,
    warnings::{WELL, keep_card_speed},
};

const THROTTLED: &str = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";

#[test]
fn all_that_is_known_of_a_board_is_told_in_plain_words() {
    let data = tempfile::tempdir().unwrap();
    let node = node_folders(data.path(), 1).remove(0);
    machine_says(&node, WELL);
    machine_says(
        &node,
        &[
            // It was slow before anybody looked.
            (THROTTLED, "40000\n"),
            ("sys/block/mmcblk0/device/type", "SD\n"),
            ("sys/block/mmcblk0/device/name", "SC32G\n"),
            ("sys/block/mmcblk0/device/manfid", "0x000003\n"),
            ("sys/block/mmcblk0/device/date", "09/2023\n"),
            ("sys/block/mmcblk0/device/serial", "0x12345678\n"),
        ],
    );
    keep_card_speed(&node, 4, 9);
    let demo = Demo::builder()
        .data(data.path())
        .nodes(1)
        .engine("process")
        .start();
    let operator = Operator::new();
    operator.logs_in(&demo);
    let name = demo.node_names().remove(0);
    let show = || operator.succeeds(&format!("nodes show {name}"));

    let told = demo.wait("its sensors to be told", || {
        let told = show();
        (told.contains("Power supply") && told.contains("Speed")).then_some(told)
    });
    for line in [
        "version 1.4, revision b03114",
        "BCM2711, ",
        "2 GiB fitted, ",
        "strong enough",
        "at full speed; slowed at some time since its start",
        "SanDisk SC32G, 29 GiB, made 09/2023, serial number 0x12345678",
        "4.0 ms until a small write is safe, 9.0 ms in 1 of 100",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }

    machine_says(&node, &[(THROTTLED, "4\n")]);
    demo.wait("it to be slowed", || {
        show().contains("slowed at this moment").then_some(())
    });
    machine_says(&node, &[(THROTTLED, "40000\n")]);
    let told = demo.wait("it to be fast again", || {
        let told = show();
        told.contains("at full speed; slowed ").then_some(told)
    });
    assert!(told.contains(" s ago"), "with when it last was: {told}");

    let whole: Value =
        serde_json::from_str(&operator.succeeds(&format!("nodes show {name} --json"))).unwrap();
    assert_eq!(whole["details"]["revision"], json!("b03114"));
    assert_eq!(whole["details"]["memory_fitted_bytes"], json!(2_u64 << 30));
    assert_eq!(whole["sensors"]["card"]["maker"], json!("SanDisk"));

    let nobody = operator.does("nodes show pi-9");
    assert!(
        nobody.code != 0 && nobody.err.contains("no node pi-9"),
        "{nobody:?}"
    );
}
