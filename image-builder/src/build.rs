//! An image from the Debian system to what lies beside it, in order.

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    arch::Arch,
    assemble,
    base::{self, Base},
    inspect,
    overlay::{self, Programs},
    release::{self, Facts},
    tools,
    tree::{Entry, Tree},
};

/// What somebody wants built.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// For which boards.
    pub arch: Arch,
    /// Where the image goes; compressed when it ends in `.xz`.
    pub out: PathBuf,
    /// What `make dist` made.
    pub dist: PathBuf,
    /// Where Debian systems are kept.
    pub cache: PathBuf,
    /// A system to use instead of making one.
    pub base: Option<PathBuf>,
    /// Whether to make the Debian system anew, with newer packages.
    pub fresh: bool,
    /// Whether with what Debian mended since the release.
    pub updates: bool,
}

/// Says how far it is, on standard error.
struct Steps {
    began: Instant,
    step: u8,
}

impl Steps {
    fn next(&mut self, what: &str) {
        self.step += 1;
        let filled = usize::from(self.step);
        eprintln!(
            "[{}{}] {:>4} s  {what}",
            "█".repeat(filled),
            "░".repeat(5_usize.saturating_sub(filled)),
            self.began.elapsed().as_secs()
        );
    }

    /// How far it is within a step.
    fn within(&self, what: &str) {
        eprintln!("        {:>4} s    {what}", self.began.elapsed().as_secs());
    }
}

/// Builds the image, checks it, and puts what belongs beside it.
///
/// # Errors
/// In words that say what to do.
pub fn build(wanted: &Wanted) -> Result<()> {
    let base = Base {
        arch: wanted.arch,
        firmware: firmware(&overlay::overlay(wanted.arch, &Programs::default(), "")),
        updates: wanted.updates,
    };
    let mut needed = tools::ASSEMBLE.to_vec();
    if wanted.base.is_none() {
        needed.extend(base.tools());
    }
    tools::check(&needed)?;
    if fs::metadata("/proc/self")?.uid() != 0 {
        bail!("files on a card belong to root: start this with sudo, or with fakeroot when --base is given");
    }
    let programs = programs(&wanted.dist.join(wanted.arch.dist()))?;
    let mut steps = Steps {
        began: Instant::now(),
        step: 0,
    };

    steps.next("Debian (some minutes, unless it is kept from last time)");
    let tar = match &wanted.base {
        Some(tar) => tar.clone(),
        None => base.make(&wanted.cache, wanted.fresh, |line| steps.within(line))?,
    };

    steps.next("the card's partitions");
    let version = env!("CARGO_PKG_VERSION");
    let tree = overlay::overlay(wanted.arch, &programs, version);
    let packed = wanted.out.extension().is_some_and(|end| end == "xz");
    let image = if packed {
        wanted.out.with_extension("")
    } else {
        wanted.out.clone()
    };
    let work = image.with_extension("work");
    _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    assemble::assemble(&tar, &tree, &work, &image)?;
    let status = fs::read_to_string(work.join("var/lib/dpkg/status")).unwrap_or_default();
    fs::remove_dir_all(&work)?;

    steps.next("is everything whole?");
    let faults = inspect::check(&image)?;
    if !faults.is_empty() {
        bail!("the image is not right:\n  {}", faults.join("\n  "));
    }

    steps.next("sums, bill of materials, block map");
    let beside = |end: &str| PathBuf::from(format!("{}{end}", image.display()));
    write(&beside(".bmap"), &release::block_map(&image)?)?;
    let sum = release::sum(&image)?;
    sum_file(&image, &sum.1)?;
    let mut facts = Facts {
        arch: wanted.arch,
        version: version.to_owned(),
        url: file_name(&wanted.out),
        date: release::day(base::EPOCH),
        image: sum.clone(),
        download: sum,
    };
    write(&beside(".spdx.json"), &pretty(&release::bill(&facts, &status))?)?;

    steps.next(if packed {
        "compresses (some minutes)"
    } else {
        "done"
    });
    if packed {
        let mut told = 0;
        tools::pack(&image, &wanted.out, |hundredths| {
            if hundredths >= told + 10 {
                told = hundredths / 10 * 10;
                steps.within(&format!("{told} %"));
            }
        })?;
        facts.download = release::sum(&wanted.out)?;
        sum_file(&wanted.out, &facts.download.1)?;
    }
    write(
        &beside(".rpi-imager-manifest"),
        &pretty(&release::manifest(&facts))?,
    )?;
    eprintln!(
        "{}: {} MB, {} MB on the card, for {}",
        wanted.out.display(),
        facts.download.0 / 1_000_000,
        facts.image.0 / 1_000_000,
        wanted.arch.boards()
    );
    Ok(())
}

/// The settings of the package raspi-firmware within an overlay, in the order in which [`Base`] has them.
fn firmware(tree: &Tree) -> [String; 3] {
    ["raspi-firmware", "raspi-firmware-custom", "raspi-extra-cmdline"].map(|name| {
        match tree.0.get(&format!("etc/default/{name}")) {
            Some(Entry::File(_, content)) => String::from_utf8_lossy(content).trim_end().to_owned(),
            _ => String::new(),
        }
    })
}

fn programs(folder: &Path) -> Result<Programs> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("{} is not there: make dist builds it", path.display()))
    };
    Ok(Programs {
        bramble: read("bramble")?,
        firstboot: read("bramble-firstboot")?,
        fwatchdog: read("builtin/fwatchdog")?,
        functions: read("builtin/functions")?,
    })
}

fn pretty(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn sum_file(of: &Path, sum: &str) -> Result<()> {
    let path = PathBuf::from(format!("{}.sha256", of.display()));
    write(&path, &format!("{sum}  {}\n", file_name(of)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
