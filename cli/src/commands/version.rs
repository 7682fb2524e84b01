//! `bramble version` and `bramble completions`.

use api::openfaas::GatewayInfo;
use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::{connect::Target, failure::Failure, out::Out};

/// What `version` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble version
  bramble version --client
  bramble version --json | jq -r .gateway.version")]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    target: Target,

    /// Only that of this program
    #[arg(long)]
    client: bool,

    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// What `completions` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble completions bash >~/.local/share/bash-completion/completions/bramble
  bramble completions zsh >~/.zfunc/_bramble
  bramble completions fish >~/.config/fish/completions/bramble.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Tells the version of this program, and of the bramble that it speaks to if it can be asked.
pub(crate) async fn version(args: VersionArgs, out: &Out) -> Result<(), Failure> {
    let (system, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if args.json {
        return as_json(&args, out).await;
    }
    out.line(format!("bramble {} ({system}/{arch})", env!("CARGO_PKG_VERSION")))?;
    if args.client {
        return Ok(());
    }
    let api = args.target.connect(None).await?;
    match api.get::<GatewayInfo>("/system/info").await {
        Ok(info) => out.line(format!(
            "gateway {}: {} {} on {} ({})",
            api.base(),
            info.provider.provider,
            info.version.release,
            info.provider.orchestration,
            info.arch
        )),
        // This program's version is the answer; the other is welcome.
        Err(failure) => {
            out.note(format!("gateway {}: {}", api.base(), failure.words));
            Ok(())
        }
    }
}

/// The same for programs; without `gateway` where that was not asked, or does not answer.
async fn as_json(args: &VersionArgs, out: &Out) -> Result<(), Failure> {
    let mut told = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    });
    if !args.client {
        let api = args.target.connect(None).await?;
        match api.get::<GatewayInfo>("/system/info").await {
            Ok(info) => {
                told["gateway"] = json!({
                    "url": api.base().to_string(),
                    "version": info.version.release,
                    "provider": info.provider.provider,
                    "orchestration": info.provider.orchestration,
                    "arch": info.arch,
                });
            }
            Err(failure) => out.note(format!("gateway {}: {}", api.base(), failure.words)),
        }
    }
    out.line(told.to_string())
}

/// Prints the script that makes a shell complete commands.
pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
    out: &Out,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "bramble", &mut script);
    out.raw(&script)
}
