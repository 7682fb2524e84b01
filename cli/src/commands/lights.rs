//! `bramble identify` and `bramble lights`.

use std::{path::Path, time::Duration};

use api::{
    light::{LightSettings, QuietHours},
    v1::{Identify, WaitingNode},
};
use clap::Args;
use hardware::light::{LightConfig, LightStatus, Player, Says, lamp, svg};
use http::Method;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    connect::{Api, Target},
    failure::{Exit, Failure},
    nodes::pick,
    out::Out,
};

/// A player forgets what was not confirmed for longer.
const CONFIRM: Duration = Duration::from_millis(500);

/// What `identify` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble identify pi-3b-plus-7f2a              its light blinks for a minute
  bramble identify pi-3b-plus-7f2a --for 600
  bramble identify pi-3b-plus-7f2a --stop

A node that waits to be let in does so too: `bramble nodes waiting` shows who does.")]
pub(crate) struct IdentifyArgs {
    /// Name of the node; of one that waits, its id will do too
    node: String,

    #[command(flatten)]
    target: Target,

    /// For how long, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// Not any longer
    #[arg(long, conflicts_with = "seconds")]
    stop: bool,
}

/// What `lights` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble lights                                how bright they are
  bramble lights --brightness 20
  bramble lights --quiet 22:00-07:00
  bramble lights --quiet none
  bramble lights --demo                         play all there is, in this terminal
  bramble lights --demo --light blinkt          play it on a light of this Pi")]
pub(crate) struct LightsArgs {
    #[command(flatten)]
    target: Target,

    /// How bright all lights are, in percent; 0 is dark
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    brightness: Option<u8>,

    /// Hours of every day in which all lights stay dark, such as 22:00-07:00; `none` ends that
    #[arg(long, value_name = "HOURS", value_parser = quiet)]
    quiet: Option<Quiet>,

    /// Play everything that a light can say, here
    #[arg(long, conflicts_with_all = ["brightness", "quiet"])]
    demo: bool,

    /// On which light to play it
    #[arg(long, value_name = "LIGHT", default_value = "terminal", requires = "demo")]
    light: LightConfig,

    /// How long each message is shown, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = each, requires = "demo")]
    each: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Quiet(Option<QuietHours>);

fn quiet(text: &str) -> Result<Quiet, String> {
    match text {
        "none" => Ok(Quiet(None)),
        hours => hours
            .parse()
            .map(|hours| Quiet(Some(hours)))
            .map_err(|error: api::light::ParseQuietHoursError| error.to_string()),
    }
}

/// A time that somebody can watch.
fn each(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "not a number of seconds between 0.1 and 3600".to_owned())
}

/// Has a node's light show which board it is.
pub(crate) async fn identify(args: IdentifyArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let seconds = if args.stop { 0 } else { args.seconds };
    let path = format!("/api/v1/nodes/{}/identify", args.node);
    let body = Identify {
        seconds: Some(seconds),
    };
    match api.send_json(Method::POST, &path, &body).await {
        Err(failure) if failure.exit == Exit::NotFound => {
            // Perhaps it waits to be let in. Where it does not, what was said first is true.
            let all: Vec<WaitingNode> = api.get("/api/v1/waiting").await?;
            let called = |node: &WaitingNode| node.name == args.node || node.id.to_string() == args.node;
            if !all.iter().any(called) {
                return Err(failure);
            }
            let path = format!("/api/v1/waiting/{}/identify", pick(all, &args.node)?.id);
            api.send_json(Method::POST, &path, &body).await?;
        }
        asked => _ = asked?,
    }
    out.line(match seconds {
        0 => format!("{} says what it said before.", args.node),
        _ => format!("The light of {} blinks for {seconds} s.", args.node),
    })
}

/// Says or changes how lights shine, or plays what they can say.
pub(crate) async fn lights(args: LightsArgs, out: &Out) -> Result<(), Failure> {
    if args.demo {
        return play(args.light, args.each, out).await;
    }
    let api = args.target.connect(None).await?;
    let settings: LightSettings = api.get("/api/v1/lights").await?;
    let wanted = LightSettings {
        brightness: args.brightness.unwrap_or(settings.brightness),
        quiet: args.quiet.map_or(settings.quiet, |Quiet(hours)| hours),
    };
    if wanted != settings {
        change(&api, &wanted).await?;
    }
    out.line(match wanted.quiet {
        Some(hours) => format!(
            "Lights shine at {} %, and not at all from {hours}.",
            wanted.brightness
        ),
        None => format!("Lights shine at {} %.", wanted.brightness),
    })
}

async fn change(api: &Api, settings: &LightSettings) -> Result<(), Failure> {
    api.send_json(Method::PUT, "/api/v1/lights", settings).await?;
    Ok(())
}

/// Plays what the table of the documents shows, at everyday brightness.
async fn play(light: LightConfig, each: Duration, out: &Out) -> Result<(), Failure> {
    let lamp = match lamp::open(&light, Path::new("/")) {
        Ok(Some(lamp)) => lamp,
        Ok(None) => {
            return Err(Failure::usage(
                "there is nothing to see on the light `none`: name another",
            ));
        }
        Err(error) => return Err(Failure::failed(with_source(&error))),
    };
    let complain = |error: hardware::light::LightError| complain_of(&error);
    let player = Player::on(lamp, complain)
        .map_err(|error| Failure::failed(format!("failed to start the light: {error}")))?;
    for says in Says::ALL {
        out.line(format!("{} ({})", says.meaning(), says.rhythm()))?;
        let until = Instant::now() + each;
        while Instant::now() < until {
            player.set(LightStatus {
                brightness: LightStatus::BRIGHTNESS,
                ..svg::example(says)
            });
            tokio::select! {
                () = sleep(CONFIRM) => {}
                () = sleep_until(until) => {}
            }
        }
        out.line("")?;
    }
    Ok(())
}

/// What does not work, and why.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A light that does not work is said where errors go.
#[expect(clippy::print_stderr, reason = "complaints of a command belong there")]
fn complain_of(error: &dyn std::error::Error) {
    eprintln!("bramble: {}", with_source(error));
}
