//! An upstream without TLS that does what no API server can be made to do, and remembers what it saw.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::HeaderMap;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use watchgate_cluster::{Gateway, Protocol};

use crate::front::{Front, authority_of, start_gateway, wire::Wire};

/// A scripted upstream with a gateway in front of it.
pub(crate) struct Scripted {
    gateway: Gateway,
    authority: String,
    seen: watch::Receiver<Vec<Seen>>,
    task: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Method, target and version.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<String>,
    /// The body had the end that was announced.
    pub(crate) complete: bool,
    /// How many requests the connection had before.
    pub(crate) before: usize,
}

type Connection = BufStream<TcpStream>;

impl Scripted {
    /// Starts both. The script is the path of a request:
    /// `/trailers` answers with trailers, `/cut-chunks` and `/cut-length` break off,
    /// `/hang-up` closes without an answer, `/hang-up-if-reused` only on a connection that was used
    /// before, `/close-behind` closes after the answer without saying so; everything else is 200.
    pub(crate) async fn start(front: &Front) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, seen) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            let sender = Arc::new(sender);
            while let Ok((stream, _)) = listener.accept().await {
                let sender = Arc::clone(&sender);
                tokio::spawn(async move {
                    // A broken connection is what some scripts are about.
                    serve(BufStream::new(stream), &sender).await.ok();
                });
            }
        });
        let kubeconfig = front.cluster.new_path("kubeconfig-scripted", "json");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "c", "user": {} }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        });
        tokio::fs::write(&kubeconfig, content.to_string()).await?;
        let gateway = start_gateway(&kubeconfig).await?;
        let authority = authority_of(&gateway).await?;
        Ok(Self { gateway, authority, seen, task })
    }

    pub(crate) async fn wire(&self) -> Result<Wire> {
        Wire::connect(self.gateway.url(), &self.authority).await
    }

    pub(crate) fn client(&self, protocol: Protocol) -> Result<watchgate_cluster::Client> {
        watchgate_cluster::Client::builder(self.gateway.url(), &self.authority)
            .protocol(protocol)
            .build()
    }

    /// One whose requests take one connection, and so one thread of the gateway and the upstream connections
    /// of that thread.
    pub(crate) fn client_of_one_thread(&self) -> Result<watchgate_cluster::Client> {
        watchgate_cluster::Client::builder(self.gateway.url(), &self.authority)
            .protocol(Protocol::Http1)
            .shared()
            .build()
    }

    /// Requests so far whose target begins with this; the gateway's own are among all.
    pub(crate) fn seen(&self, target: &str) -> Vec<Seen> {
        let is_wanted =
            |seen: &&Seen| seen.line.split(' ').nth(1).is_some_and(|seen| seen.starts_with(target));
        self.seen.borrow().iter().filter(is_wanted).cloned().collect()
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.task.abort();
        ensure!(self.gateway.stop().await?.success());
        Ok(())
    }
}

async fn serve(mut connection: Connection, sender: &watch::Sender<Vec<Seen>>) -> Result<()> {
    let mut before = 0;
    loop {
        let mut seen = head(&mut connection).await?;
        seen.before = before;
        let place = sender.borrow().len();
        sender.send_modify(|all| all.push(seen.clone()));
        let ended = body(&mut connection, &mut seen).await;
        seen.complete = ended.is_ok();
        let line = seen.line.clone();
        sender.send_modify(|all| {
            if let Some(entry) = all.iter_mut().skip(place).find(|entry| entry.line == line) {
                *entry = seen.clone();
            }
        });
        ended?;
        if !answer(&mut connection, &seen).await? {
            return Ok(());
        }
        before += 1;
    }
}

/// Plays the script; `false` to hang up.
async fn answer(connection: &mut Connection, seen: &Seen) -> Result<bool> {
    let target = seen.line.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let (text, stays) = match path {
        "/hang-up" => (String::new(), false),
        "/hang-up-if-reused" if seen.before > 0 => (String::new(), false),
        "/trailers" => {
            (format!("{chunked}Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"), true)
        }
        "/cut-chunks" => (format!("{chunked}\r\n3\r\nabc\r\n"), false),
        "/cut-length" => ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned(), false),
        "/close-behind" => ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), false),
        _ if path.starts_with("/api") => {
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), true)
        }
        _ => ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), true),
    };
    connection.write_all(text.as_bytes()).await?;
    connection.flush().await?;
    Ok(stays)
}

async fn head(connection: &mut Connection) -> Result<Seen> {
    let mut seen = Seen { line: line(connection).await?, ..Seen::default() };
    loop {
        let line = line(connection).await?;
        let Some((name, value)) = line.split_once(':') else { return Ok(seen) };
        seen.headers.append(name.parse::<http::HeaderName>()?, value.trim().parse()?);
    }
}

async fn body(connection: &mut Connection, seen: &mut Seen) -> Result<()> {
    if let Some(length) = seen.headers.get("content-length") {
        let length: usize = length.to_str()?.parse()?;
        while seen.body.len() < length {
            let read = connection.read_buf(&mut seen.body).await?;
            ensure!(read > 0, "the body breaks off");
        }
    } else if seen.headers.contains_key("transfer-encoding") {
        loop {
            let size = usize::from_str_radix(&line(connection).await?, 16)?;
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size + 2];
            connection.read_exact(&mut chunk).await?;
            seen.body.extend_from_slice(&chunk[..size]);
        }
        loop {
            let line = line(connection).await?;
            if line.is_empty() {
                break;
            }
            seen.trailers.push(line);
        }
    }
    Ok(())
}

async fn line(connection: &mut Connection) -> Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    Ok(line.strip_suffix("\r\n").context("the connection ended")?.to_owned())
}
