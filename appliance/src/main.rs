//! `bramble-firstboot`: applies what a card says, at each start. What follows from what is decided in the library; here it
//! is read and written.
//!
//! - `apply`, before the network: from the card's files to `/run`.
//! - `grow`: the last partition and its file system fill the card.
//! - `watch`: keeps screen and `bramble-status.txt` true.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, symlink},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use appliance::{
    apply::{self, Found},
    grow,
    status::Status,
};

/// Where the first partition of the card is.
const CARD: &str = "/boot/firmware";
/// What the node wants people to read; its unit says the same.
const SIGN: &str = "/run/bramble/sign";
/// A settings file beyond this is none.
const MOST_BYTES: u64 = 64 * 1024;
/// Time between looks at addresses and node: what people wait for before a screen.
const LOOK: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("apply") => apply_card(),
        Some("grow") => fill_card(),
        Some("watch") => watch(),
        _ => {
            eprintln!("bramble-firstboot is started by the system: apply, grow or watch");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn found() -> Found {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(CARD).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        let wanted = name.starts_with("bramble.toml")
            || matches!(
                name.as_str(),
                "rpi-preseed.toml" | "custom.toml" | "user-data" | "network-config"
            );
        let mut bytes = Vec::new();
        if wanted
            && fs::File::open(entry.path())
                .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
                .is_ok()
        {
            files.insert(name, bytes);
        }
    }
    Found {
        files,
        serial: serial(),
    }
}

/// The board's serial number, or its first network address where it has none.
fn serial() -> String {
    let text = fs::read_to_string("/proc/device-tree/serial-number").or_else(|_| {
        fs::read_to_string("/sys/class/net/eth0/address")
            .or_else(|_| fs::read_to_string("/sys/class/net/wlan0/address"))
    });
    text.unwrap_or_default()
        .trim_matches(['\0', '\n'])
        .replace(':', "")
}

fn apply_card() -> io::Result<()> {
    let applied = apply::apply(&found());
    for (path, (mode, content)) in &applied.files {
        let path = Path::new("/").join(path);
        make_parent(&path)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(*mode)
            .open(&path)?;
        file.write_all(content.as_bytes())?;
    }
    for (path, target) in &applied.links {
        let path = Path::new("/").join(path);
        make_parent(&path)?;
        _ = fs::remove_file(&path);
        symlink(target, &path)?;
    }
    for complaint in &applied.complaints {
        eprintln!("{complaint}");
    }
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn fill_card() -> io::Result<()> {
    let device = fs::metadata("/var")?.dev();
    // Linux's numbering, as glibc splits it.
    let (major, minor) = (
        (device >> 8) & 0xfff,
        (device & 0xff) | ((device >> 12) & 0xfff00),
    );
    let partition = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"))?;
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let disk = partition.parent().map(name).unwrap_or_default();
    if !partition.join("partition").exists() {
        return Err(io::Error::other(
            "/var is no partition of its own; the card stays as it is",
        ));
    }
    let sectors = fs::read_to_string(format!("/sys/class/block/{disk}/size"))?;
    let sectors = sectors.trim().parse().map_err(io::Error::other)?;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/dev/{disk}"))?;
    let mut first = [0; 512];
    file.read_exact_at(&mut first, 0)?;
    if let Some(table) = grow::grown(&first, sectors) {
        file.write_all_at(&table, 0)?;
        file.sync_all()?;
    }
    // Also when the table was right: a cut of the power may have come between the two.
    run("partx", &["--update", "--nr", "3", &format!("/dev/{disk}")])?;
    run("resize2fs", &[&format!("/dev/{}", name(&partition))])
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{program} {}: {status}",
            arguments.join(" ")
        ))),
    }
}

fn watch() -> io::Result<()> {
    let applied = apply::apply(&found());
    let mut shown = None;
    loop {
        let status = Status {
            board: fs::read_to_string("/proc/device-tree/model")
                .map_or_else(|_| "a Pi".to_owned(), |text| text.trim_matches('\0').to_owned()),
            hostname: fs::read_to_string("/proc/sys/kernel/hostname")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            portal: applied.portal.clone(),
            addresses: addresses(),
            answers: answers(),
            sign: fs::read_to_string(SIGN).unwrap_or_default().trim().to_owned(),
            complaints: applied.complaints.clone(),
        };
        if shown.as_ref() != Some(&status) {
            show(&status);
            shown = Some(status);
        }
        thread::sleep(LOOK);
    }
}

/// Neither may fail the other: a card without room still leaves the screen.
fn show(status: &Status) {
    let screen = Path::new("/run/issue.d/bramble.issue");
    if let Err(error) = make_parent(screen).and_then(|()| fs::write(screen, status.screen())) {
        eprintln!("cannot write to the screen: {error}");
    }
    let text = status.text();
    let file = Path::new(CARD).join("bramble-status.txt");
    // Cards live longer when nothing is written that is there already.
    if fs::read_to_string(&file).ok().as_ref() != Some(&text)
        && let Err(error) = write_whole(&file, &text)
    {
        eprintln!("cannot write {}: {error}", file.display());
    }
}

/// Either the old file is there after a cut of the power, or the new one.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(CARD)?.sync_all()
}

fn addresses() -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_loopback() && is_real(&interface.name))
        .map(|interface| interface.ip())
        .filter(|address| match address {
            IpAddr::V4(_) => true,
            // Link-local ones need a zone, which browsers do not take.
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
        .collect();
    found.sort_by_key(|address| match address {
        IpAddr::V4(v4) => (v4.is_link_local(), *address),
        IpAddr::V6(_) => (true, *address),
    });
    found.dedup();
    found
}

/// Whether it is a cable or Wi-Fi, and none of Docker's.
fn is_real(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).join("device").exists()
}

fn answers() -> bool {
    let ask = || -> io::Result<bool> {
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], 8080)), patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
