//! The program `bramble-image`: arguments, and what the library makes of them.

#![expect(clippy::print_stdout, reason = "what inspect and check found is their output")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use image_builder::{
    arch::Arch,
    build::{self, Wanted},
    customise::{self, Settings, WayIn},
    inspect,
};

/// Builds, customises and checks SD-card images
///
/// arm64 is for Raspberry Pi 3, 4, 400, Zero 2 W and 2 B v1.2; armhf for the 2 B v1.1. Both kinds work in one bramble. For the
/// Pi 5, build with pi-gen (pi-gen/README.md).
#[derive(Parser)]
#[command(name = "bramble-image", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build an image (as root; `make dist` comes first)
    Build {
        /// For which boards
        #[arg(long)]
        arch: Arch,
        /// The image; compressed when it ends in .xz [default: bramble-ARCH.img.xz]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// What `make dist` made
        #[arg(long, value_name = "DIR", default_value = "target/dist")]
        dist: PathBuf,
        /// Where Debian systems are kept between builds
        #[arg(long, value_name = "DIR", default_value = "target/image-cache")]
        cache: PathBuf,
        /// A tar file to use as the system, instead of Debian
        #[arg(long, value_name = "TAR")]
        base: Option<PathBuf>,
        /// Make the Debian system anew, with newer packages
        #[arg(long)]
        fresh: bool,
        /// Debian as it was released, without what was mended since: for days on which a mirror's updates are broken
        #[arg(long)]
        without_updates: bool,
    },
    /// Write the settings of a class into an image, and a card to cut out beside it
    Customise(Box<Customise>),
    /// Show what is on an image or a card
    Inspect {
        /// An unpacked image, or a card such as /dev/sdb
        image: PathBuf,
    },
    /// Verify file systems and contents of an image or a card
    Check {
        /// An unpacked image, or a card such as /dev/sdb
        image: PathBuf,
    },
}

#[derive(clap::Args)]
struct Customise {
    /// An unpacked image, or a card such as /dev/sdb
    image: PathBuf,
    /// The image with the settings; the same file again writes into it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Name of the bramble, and of its portal before .local
    #[arg(long, value_name = "NAME", default_value = "bramble")]
    bramble: String,
    /// Another name for the portal
    #[arg(long, value_name = "NAME")]
    portal: Option<String>,
    /// Join key of a bramble that exists, instead of a new one
    #[arg(long, value_name = "KEY")]
    join_key: Option<String>,
    /// With this code the first visitor chooses the admin password, instead of a new one
    #[arg(long, value_name = "CODE")]
    first_visit_code: Option<String>,
    /// A file with the admin password, - for standard input; only its hash is written. Then no code is needed
    #[arg(long, value_name = "FILE", conflicts_with = "first_visit_code")]
    admin_password_file: Option<PathBuf>,
    /// A light; may be given more than once (docs/lights)
    #[arg(long, value_name = "LIGHT")]
    light: Vec<String>,
    /// Wi-Fi to join
    #[arg(long, value_name = "NAME")]
    wifi: Option<String>,
    /// Its password; none for an open network
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "BRAMBLE_WIFI_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    wifi_password: String,
    /// Wi-Fi to make: the Pi becomes the access point
    #[arg(long, value_name = "NAME", requires = "access_point_password")]
    access_point: Option<String>,
    /// Its password
    #[arg(long, value_name = "PASSWORD")]
    access_point_password: Option<String>,
    /// Country of the Wi-Fi, two letters
    #[arg(long)]
    country: Option<String>,
    /// Such as Europe/London
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A file with public keys that may sign in by ssh
    #[arg(long, value_name = "FILE")]
    ssh_keys: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bramble-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Build {
            arch,
            out,
            dist,
            cache,
            base,
            fresh,
            without_updates,
        } => build::build(&Wanted {
            arch,
            out: out.unwrap_or_else(|| format!("bramble-{}.img.xz", arch.name()).into()),
            dist,
            cache,
            base,
            fresh,
            updates: !without_updates,
        })?,
        Command::Customise(wanted) => customise(*wanted)?,
        Command::Inspect { image } => print!("{}", inspect::inspect(&image)?),
        Command::Check { image } => {
            let faults = inspect::check(&image)?;
            for fault in &faults {
                println!("{fault}");
            }
            if !faults.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            println!("{} is whole", image.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn customise(wanted: Customise) -> Result<()> {
    let ssh_keys = match &wanted.ssh_keys {
        None => Vec::new(),
        Some(file) => fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect(),
    };
    let way_in = match (&wanted.admin_password_file, wanted.first_visit_code) {
        (Some(file), _) => WayIn::Password(hash_of_password(file)?),
        (None, Some(code)) => WayIn::Code(code),
        (None, None) => WayIn::Code(customise::secret(2)?),
    };
    let settings = Settings {
        bramble: wanted.bramble,
        join_key: wanted.join_key.map_or_else(|| customise::secret(5), Ok)?,
        way_in,
        portal: wanted.portal,
        lights: wanted.light,
        wifi: wanted.wifi.map(|name| (name, wanted.wifi_password)),
        access_point: wanted.access_point.zip(wanted.access_point_password),
        country: wanted.country,
        time_zone: wanted.time_zone,
        ssh_keys,
    };
    customise::customise(&wanted.image, &wanted.out, &settings)?;
    eprintln!(
        "{}: for all cards of {}\nportal: {}   {}\ncard to cut out: {}",
        wanted.out.display(),
        settings.bramble,
        settings.address(),
        settings.how_to_sign_in(),
        wanted.out.with_extension("svg").display()
    );
    Ok(())
}

/// The hash of the password that is the first line of `file`, or of standard input.
fn hash_of_password(file: &Path) -> Result<String> {
    let text = match file == Path::new("-") {
        true => io::read_to_string(io::stdin()).context("cannot read the password from standard input")?,
        false => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
    };
    let password = text.lines().next().unwrap_or_default();
    password::check(password)?;
    Ok(password::hash(password)?)
}
