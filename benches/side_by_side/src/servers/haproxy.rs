//! HAProxy as the hop that forwarding is compared with: TLS on both sides, HTTP/2 to clients.
//!
//! Tuned as one would for this work: a thread per core, connections to the server kept and shared, the server's certificate
//! checked, TLS sessions resumed, no log, no look into bodies.

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use watchgate_cluster::{Cluster, Identity, Process};

use super::stage::Server;
use crate::cpu::Pid;

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether there is one, by its first line of `haproxy -v`.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("haproxy").arg("-v").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

pub(crate) async fn start(cluster: &Cluster, identity: &Identity) -> Result<(Process, Server)> {
    let bundle = cluster.new_path("haproxy", "pem");
    let mut pem = fs::read_to_string(&identity.certificate)?;
    pem.push_str(&fs::read_to_string(&identity.key)?);
    write_private(&bundle, &pem)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let threads = std::thread::available_parallelism()?.get();
    let upstream = cluster.api_server_address();
    let configuration = configuration(
        threads,
        port,
        &bundle.display().to_string(),
        &upstream.to_string(),
        &cluster.authority().certificate().display().to_string(),
    )?;
    let file = cluster.new_path("haproxy", "cfg");
    fs::write(&file, configuration)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let mut process = cluster.spawn("haproxy", command)?;
    let started = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        let ended = process.exited()?;
        ensure!(
            ended.is_none() && started.elapsed() < PATIENCE,
            "HAProxy does not listen\n{}",
            process.log_tail()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let server = Server::new(&format!("https://127.0.0.1:{port}"), Pid(process.pid()), cluster)?;
    Ok((process, server))
}

fn configuration(
    threads: usize,
    port: u16,
    bundle: &str,
    upstream: &str,
    authority: &str,
) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "global\n  nbthread {threads}\n  maxconn 2000\n  tune.bufsize 32768")?;
    writeln!(text, "  tune.ssl.cachesize 20000\n  tune.ssl.default-dh-param 2048")?;
    writeln!(text, "  tune.h2.initial-window-size 1048576")?;
    writeln!(
        text,
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h"
    )?;
    writeln!(text, "  timeout http-keep-alive 1h\n  option http-no-delay\n  http-reuse always")?;
    writeln!(text, "frontend clients\n  bind 127.0.0.1:{port} ssl crt {bundle} alpn h2,http/1.1")?;
    writeln!(text, "  default_backend apiserver")?;
    writeln!(text, "backend apiserver")?;
    writeln!(
        text,
        "  server apiserver {upstream} ssl verify required ca-file {authority} alpn http/1.1 pool-max-conn -1"
    )?;
    Ok(text)
}

fn write_private(path: &std::path::Path, text: &str) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_speaks_tls_to_both_sides() {
        let text =
            configuration(2, 4711, "/tmp/both.pem", "127.0.0.1:6443", "/tmp/ca.crt").unwrap();
        assert!(text.contains("bind 127.0.0.1:4711 ssl crt /tmp/both.pem alpn h2,http/1.1"));
        assert!(
            text.contains(
                "server apiserver 127.0.0.1:6443 ssl verify required ca-file /tmp/ca.crt"
            )
        );
        assert!(text.contains("nbthread 2"));
    }
}
