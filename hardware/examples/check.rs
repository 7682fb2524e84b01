//! Shows what this room knows of the machine it runs on: for `docs/hardware-check.md`.
//!
//! `cargo run -p hardware --example check` prints board, sensors and warnings. Lights are played by
//! `bramble lights --demo`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{env, error::Error, path::Path, time::Instant};

use hardware::{History, Known, System, board, measure_card, sensors, warnings};

fn main() -> Result<(), Box<dyn Error>> {
    let (root, disk) = (Path::new("/"), env::current_dir()?);
    let board = board::read(root);
    let system = System::read(root);
    let readings = sensors::read(root, &disk);
    let began = Instant::now();
    let card_speed = measure_card(&disk, || began.elapsed())?;
    let mut history = History::default();
    history.note(&readings, began.elapsed());
    println!(
        "{board:#?}\n{:?}\n{system:#?}\n{readings:#?}\n{card_speed:#?}",
        board.platforms(&system)
    );
    let known = Known {
        board: &board,
        system: &system,
        history: &history,
        card_speed: Some(&card_speed),
        now: began.elapsed(),
    };
    for warning in warnings(&readings, &known) {
        println!("{} ({:?}): {warning}", warning.code, warning.code.severity());
    }
    Ok(())
}
