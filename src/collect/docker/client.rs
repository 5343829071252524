//! Streams of the container engine's API, over a socket: logs with their frame borders and a
//! `since` in nanoseconds, and events. What is read whole is in `engine`.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::limits::DOCKER_ANSWER_BYTES_MAX;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For answers that are read whole; log and event streams have no limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::collect) enum Endpoint {
    Unix(PathBuf),
    Tcp(String),
}

impl Endpoint {
    /// `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let text = text.trim().trim_end_matches('/');
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Endpoint::Unix(PathBuf::from(path)));
        }
        if let Some(address) = text.strip_prefix("tcp://").or(text.strip_prefix("http://")) {
            let port = if address.contains(':') { "" } else { ":2375" };
            return Ok(Endpoint::Tcp(format!("{address}{port}")));
        }
        Err(format!("docker host {text:?} is not known; use unix:///path or tcp://host:port"))
    }

    /// `DOCKER_HOST`, else the socket's usual place.
    pub fn from_environment() -> Result<Endpoint, String> {
        match std::env::var("DOCKER_HOST") {
            Ok(host) if !host.is_empty() => Endpoint::parse(&host),
            _ => Ok(Endpoint::Unix(PathBuf::from("/var/run/docker.sock"))),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{endpoint} does not answer: {reason}; is the engine running and may we use it?")]
    Connect { endpoint: String, reason: String },
    #[error("the engine answered {code}: {message}")]
    Status { code: u16, message: String },
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("the answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

impl ApiError {
    pub fn code(&self) -> Option<u16> {
        match self {
            ApiError::Status { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Client {
    endpoint: Endpoint,
}

impl Client {
    pub fn new(endpoint: Endpoint) -> Self {
        Client { endpoint }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Starts a request; the body is read as it comes.
    pub async fn open(&self, path: &str) -> Result<Response<Incoming>, ApiError> {
        let refused =
            |reason: String| ApiError::Connect { endpoint: self.endpoint.to_string(), reason };
        let connect = async {
            match &self.endpoint {
                Endpoint::Unix(socket) => {
                    Ok::<_, std::io::Error>(Either::Unix(UnixStream::connect(socket).await?))
                }
                Endpoint::Tcp(address) => {
                    Ok(Either::Tcp(TcpStream::connect(address.as_str()).await?))
                }
            }
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| refused("timed out".to_owned()))?
            .map_err(|error| refused(error.to_string()))?;
        let response = match connected {
            Either::Unix(stream) => self.request(stream, path).await?,
            Either::Tcp(stream) => self.request(stream, path).await?,
        };
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let body = tokio::time::timeout(ANSWER_TIMEOUT, read_body(response, 64 * 1024)).await;
        let text = body.ok().and_then(Result::ok).unwrap_or_default();
        let message = serde_json::from_slice::<Message>(&text).map(|m| m.message);
        Err(ApiError::Status { code, message: message.unwrap_or_default() })
    }

    async fn request<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        stream: T,
        path: &str,
    ) -> Result<Response<Incoming>, ApiError> {
        let broken = |error: hyper::Error| ApiError::Broken(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends by itself when the answer is dropped.
        tokio::spawn(connection);
        let host = match &self.endpoint {
            Endpoint::Unix(_) => "docker",
            Endpoint::Tcp(address) => address,
        };
        let request = Request::get(path)
            .header("Host", host)
            .header("User-Agent", "stockade")
            .body(Empty::<Bytes>::new())
            .map_err(|error| ApiError::Broken(error.to_string()))?;
        sender.send_request(request).await.map_err(broken)
    }

    pub async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let answer = async { read_body(self.open(path).await?, DOCKER_ANSWER_BYTES_MAX).await };
        let body = tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .map_err(|_| ApiError::Broken("no answer in time".to_owned()))??;
        Ok(serde_json::from_slice(&body)?)
    }
}

enum Either {
    Unix(UnixStream),
    Tcp(TcpStream),
}

#[derive(serde::Deserialize)]
struct Message {
    message: String,
}

async fn read_body(response: Response<Incoming>, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut body).await? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(ApiError::Broken("the answer is too long".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The next bytes of a body; `None` at its end. May be dropped and called again.
pub(super) async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, ApiError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::Broken(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// For a query string.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, expect) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("tcp://box:1234/", "tcp://box:1234"),
            ("tcp://box", "tcp://box:2375"),
            ("http://box:80", "tcp://box:80"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), expect);
        }
        assert!(Endpoint::parse("ssh://box").is_err());
        assert_eq!(percent_encode("{\"a\":1}"), "%7B%22a%22%3A1%7D");
    }
}
