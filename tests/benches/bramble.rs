//! Figures of a whole bramble, from the programs as released: the invocation path beside nginx, memory of nodes, and the
//! time from creating a function to its first answer beside a bare `docker run`.
//!
//! `make bench` runs it. Absolute figures depend on the machine; the ratios are of one run on one machine.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tests::demo::{Demo, engine};

const CONNECTIONS: [u32; 3] = [1, 16, 64];
const SECONDS: u64 = 5;
const ROUNDS: usize = 3;

/// What one run of wrk says, and what the processes between it and the function used meanwhile.
#[derive(Clone)]
struct Run {
    per_second: f64,
    p50: String,
    p99: String,
    cpu_us: f64,
}

fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

fn wrk(url: &str, connections: u32, pids: &[i32]) -> Run {
    let before: u64 = pids.iter().map(|pid| ticks(*pid)).sum();
    let output = Command::new("wrk")
        .args([
            "-t1",
            "--latency",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{SECONDS}s"),
            url,
        ])
        .output()
        .expect("wrk is installed (apt-get install wrk)");
    let used = pids.iter().map(|pid| ticks(*pid)).sum::<u64>() - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let word = |line_start: &str, index: usize| {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(line_start))
            .unwrap_or_default();
        line.split_whitespace().nth(index).unwrap_or("?").to_owned()
    };
    let per_second: f64 = word("Requests/sec:", 1).parse().unwrap_or(f64::NAN);
    let requests = per_second * SECONDS as f64;
    Run {
        per_second,
        p50: word("50%", 1),
        p99: word("99%", 1),
        cpu_us: used as f64 * 10_000.0 / requests,
    }
}

/// nginx as a plain reverse proxy to `upstream`, with two workers and kept connections.
struct Nginx {
    child: Child,
    url: String,
    pids: Vec<i32>,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(upstream: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let path = folder.path().display();
        let config = format!(
            "daemon off; worker_processes 2; pid {path}/pid; error_log {path}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s; keepalive_requests 100000000;\n\
             upstream f {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://f; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed (apt-get install nginx-light)");
        let url = format!("http://127.0.0.1:{port}/");
        thread::sleep(Duration::from_millis(500));
        let master = i32::try_from(child.id()).unwrap();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        Self {
            child,
            url,
            pids,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        _ = self.child.wait();
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    runs.swap_remove(runs.len() / 2)
}

fn invocation_path() {
    let demo = Demo::builder().nodes(2).start();
    demo.deploy(json!({"service": "echo", "image": "bramble/echo:latest"}));
    let placement = demo.function("echo")["placements"][0].clone();
    let upstream = placement["address"].as_str().unwrap().to_owned();
    let home = placement["node"].as_str().unwrap().to_owned();
    let away = demo.node_names().into_iter().find(|name| *name != home).unwrap();
    let url = |node: &str| {
        let address = fs::read_to_string(demo.node_file(node, "http")).unwrap();
        format!("{}/function/echo", address.trim())
    };
    let nodes: Vec<i32> = demo.node_names().iter().map(|name| demo.pid(name)).collect();
    let nginx = Nginx::start(&upstream);
    let ways = [
        ("the function directly", format!("http://{upstream}/"), Vec::new()),
        ("nginx, 2 workers", nginx.url.clone(), nginx.pids.clone()),
        ("gateway, local replica", url(&home), nodes.clone()),
        ("gateway, mutual-TLS hop", url(&away), nodes),
    ];
    println!(
        "\nInvocation path ({} engine; wrk, 1 thread; median of {ROUNDS} rounds of {SECONDS} s, ways in turn)",
        engine()
    );
    println!(
        "{:<26} {:>4} {:>10} {:>9} {:>9} {:>13} {:>9}",
        "way", "conn", "requests/s", "p50", "p99", "CPU/request", "of nginx"
    );
    for connections in CONNECTIONS {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); ways.len()];
        for _ in 0..ROUNDS {
            for (way, runs) in ways.iter().zip(&mut runs) {
                runs.push(wrk(&way.1, connections, &way.2));
            }
        }
        let medians: Vec<Run> = runs.into_iter().map(median).collect();
        for ((way, _, pids), run) in ways.iter().zip(&medians) {
            let cpu = if pids.is_empty() {
                "–".to_owned()
            } else {
                format!("{:.0} µs", run.cpu_us)
            };
            let ratio = run.per_second / medians[1].per_second * 100.0;
            println!(
                "{way:<26} {connections:>4} {:>10.0} {:>9} {:>9} {cpu:>13} {ratio:>7.0} %",
                run.per_second, run.p50, run.p99
            );
        }
    }
    println!("\nMemory after this load");
    print_memory(&demo);
}

fn resident(pid: i32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

fn print_memory(demo: &Demo) {
    let leader = demo.leader();
    for name in demo.node_names() {
        let what = if name == leader {
            "with controller"
        } else {
            "without"
        };
        let pid = demo.pid(&name);
        let (all, own) = (resident(pid, "VmRSS"), resident(pid, "RssAnon"));
        println!("{name:<18} {what:<16} {all:>6.1} MiB resident, of which {own:>5.1} MiB its own");
    }
}

fn memory_at_rest() {
    let demo = Demo::start();
    demo.deploy(json!({"service": "env", "image": "bramble/env:latest"}));
    thread::sleep(Duration::from_secs(5));
    println!("\nMemory at rest (four nodes, one function)");
    print_memory(&demo);
}

fn first_answer() {
    let demo = Demo::builder().nodes(1).start();
    let client = demo.client();
    // The image is made once per node; what is timed is what every further function costs.
    demo.deploy(json!({"service": "first", "image": "bramble/echo:latest"}));
    let mut ours = Vec::new();
    for round in 0..7 {
        let name = format!("echo-{round}");
        let began = Instant::now();
        let answer = client.post_json(
            "/system/functions",
            &json!({"service": name, "image": "bramble/echo:latest"}),
        );
        assert_eq!(answer.status, 202);
        assert_eq!(client.post(&format!("/function/{name}"), "x").status, 200);
        ours.push(began.elapsed());
        client.send(
            "DELETE",
            "/system/functions",
            json!({"functionName": name}).to_string(),
        );
        thread::sleep(Duration::from_millis(500));
    }
    println!(
        "\nFrom creating a function to its first answer ({} engine, median of {})",
        engine(),
        ours.len()
    );
    ours.sort();
    println!(
        "bramble                {:>6.0} ms",
        ours[ours.len() / 2].as_secs_f64() * 1000.0
    );
    if engine() == "docker" {
        let bare = bare_docker_run(ours.len());
        println!("bare docker run        {:>6.0} ms", bare.as_secs_f64() * 1000.0);
        println!(
            "bramble / bare         {:>6.2}",
            ours[ours.len() / 2].as_secs_f64() / bare.as_secs_f64()
        );
    }
}

/// `docker run` of the same image until it answers.
fn bare_docker_run(rounds: usize) -> Duration {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let run = Command::new("docker")
            .args(["run", "--detach", "bramble/echo:latest"])
            .output()
            .unwrap();
        let id = String::from_utf8_lossy(&run.stdout).trim().to_owned();
        let inspect = Command::new("docker")
            .args(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &id])
            .output()
            .unwrap();
        let address = format!("http://{}:8080", String::from_utf8_lossy(&inspect.stdout).trim());
        let client = tests::http_client::Client::new(&address);
        while client.try_send("GET", "/", "").is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        times.push(began.elapsed());
        Command::new("docker")
            .args(["rm", "--force", &id])
            .output()
            .unwrap();
    }
    times.sort();
    times[times.len() / 2]
}

fn main() {
    for program in ["/usr/bin/wrk", "/usr/sbin/nginx"] {
        assert!(
            Path::new(program).exists(),
            "{program} is missing: apt-get install wrk nginx-light"
        );
    }
    memory_at_rest();
    first_answer();
    invocation_path();
}
