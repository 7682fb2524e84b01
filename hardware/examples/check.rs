//! Shows what this room knows of the machine it runs on, and plays every light: for `docs/hardware-check.md`.
//!
//! `cargo run -p hardware --example check` prints board, sensors and warnings; with a line of configuration after
//! `--`, such as `onboard`, `rgb:17,27,22` or `terminal`, it shows every message on that light, four seconds each.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use hardware::{
    History, Known, System, board,
    light::{LightStatus, Player, Says},
    measure_card, sensors, warnings,
};

fn main() -> ExitCode {
    let done = match env::args().nth(1) {
        Some(light) => play(&light),
        None => print(),
    };
    if let Err(error) = done {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn print() -> Result<(), Box<dyn Error>> {
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

fn play(light: &str) -> Result<(), Box<dyn Error>> {
    let player = Player::start(light.parse()?, PathBuf::from("/"), |error| println!("{error}"))?;
    for says in Says::ALL {
        println!("\n{}: {} ({})", says.name(), says.meaning(), says.rhythm());
        for _ in 0..8 {
            player.set(LightStatus::of(says));
            thread::sleep(Duration::from_millis(500));
        }
    }
    Ok(())
}
