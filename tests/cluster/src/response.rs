//! What comes back from a server: whole, or as it arrives.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

/// A complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers, as they came.
    pub headers: HeaderMap,
    /// The body, as it came: compressed if `Content-Encoding` says so.
    pub body: Bytes,
    /// The trailers; empty if there were none.
    pub trailers: HeaderMap,
}

impl Response {
    /// A header's first value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the error shows it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!("status {}, body {:?}", self.status, String::from_utf8_lossy(&self.body))
        })
    }
}

/// A response whose body is still coming.
#[derive(Debug)]
pub struct Streaming {
    /// The status.
    pub status: StatusCode,
    /// All headers, as they came.
    pub headers: HeaderMap,
    /// The trailers, once the body has ended.
    pub trailers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
}

impl Streaming {
    pub(crate) fn new(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            trailers: HeaderMap::new(),
            body,
            buffer: BytesMut::new(),
        }
    }

    /// The next bytes as the connection delivers them, or `None` at the end.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.buffer.is_empty() {
            return Ok(Some(self.buffer.split().freeze()));
        }
        self.frame().await
    }

    async fn frame(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            match frame?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers = trailers;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next line without its end, or `None` at the end of the body: one event of a JSON watch.
    ///
    /// # Errors
    /// When the body breaks off, or ends within a line.
    pub async fn line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                return Ok(Some(line));
            }
            match self.frame().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => anyhow::bail!("the body ends within a line"),
            }
        }
    }

    /// The next line as JSON, within `patience`; `None` at the end of the body.
    ///
    /// # Errors
    /// As [`Self::line`]; also when nothing comes in time or a line is no JSON.
    pub async fn event(&mut self, patience: Duration) -> Result<Option<Value>> {
        let line = timeout(patience, self.line()).await.context("no event in time")??;
        Ok(line.map(|line| serde_json::from_slice(&line)).transpose()?)
    }

    /// Exactly `count` bytes, as for a length-prefixed frame of a protobuf watch; `None` at the end of the body.
    ///
    /// # Errors
    /// When the body breaks off, or ends before.
    pub async fn exactly(&mut self, count: usize) -> Result<Option<Bytes>> {
        while self.buffer.len() < count {
            match self.frame().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => anyhow::bail!("the body ends {} bytes early", count - self.buffer.len()),
            }
        }
        Ok(Some(self.buffer.split_to(count).freeze()))
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn collect(mut self) -> Result<Response> {
        let mut body = std::mem::take(&mut self.buffer);
        while let Some(data) = self.frame().await? {
            body.extend_from_slice(&data);
        }
        Ok(Response {
            status: self.status,
            headers: self.headers,
            body: body.freeze(),
            trailers: self.trailers,
        })
    }
}
