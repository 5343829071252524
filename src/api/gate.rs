//! Answers while the server starts: a port that is open and says what it waits for is better
//! than one that refuses connections for the time the WAL takes to be read.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tower_service::Service as _;

use super::error::ApiError;

type Saying = Arc<dyn Fn() -> String + Send + Sync>;

/// Stands before the routes; opened once they can be served.
#[derive(Clone)]
pub struct Gate {
    routes: Arc<OnceLock<Router>>,
    saying: Saying,
}

/// When clients should come again.
const RETRY_SECS: u64 = 2;

impl Gate {
    /// `saying` tells what is under way, such as `replaying the WAL: 40%`.
    pub fn new(saying: impl Fn() -> String + Send + Sync + 'static) -> Gate {
        Gate { routes: Arc::default(), saying: Arc::new(saying) }
    }

    /// From here on every request goes to these routes.
    pub fn open(&self, routes: Router) {
        // A second call would be a fault of ours; the first stays.
        let _ = self.routes.set(routes);
    }

    /// What to serve from the first moment on.
    pub fn router(&self) -> Router {
        let gate = self.clone();
        Router::new().fallback(move |request: Request| {
            let gate = gate.clone();
            async move { gate.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        if let Some(routes) = self.routes.get() {
            let answered: Result<Response, Infallible> = routes.clone().call(request).await;
            return answered.unwrap_or_else(|never| match never {});
        }
        let saying = (self.saying)();
        match request.uri().path() {
            // Alive: whoever restarts what does not answer would start the replay anew.
            "/healthz" => (StatusCode::OK, "ok\n").into_response(),
            "/ready" => ApiError::unavailable(saying, RETRY_SECS).into_response(),
            _ => {
                let message = format!("the server is starting ({saying}); ask again in a moment");
                let mut refused = ApiError::unavailable(message, RETRY_SECS).into_response();
                // The body was not read, so the connection cannot carry another request.
                refused
                    .headers_mut()
                    .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;

    async fn ask(gate: &Gate, path: &str) -> (u16, Option<String>, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = gate.router().call(request).await.unwrap();
        let status = response.status().as_u16();
        let retry = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, retry, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn says_what_it_waits_for_and_then_lets_through() {
        let gate = Gate::new(|| "replaying the WAL: 40%".to_owned());
        let retry = Some("2".to_owned());
        let ready = ask(&gate, "/ready").await;
        assert_eq!(ready, (503, retry.clone(), "replaying the WAL: 40%\n".to_owned()));
        let (status, again, text) = ask(&gate, "/loki/api/v1/push").await;
        assert_eq!((status, again), (503, retry));
        assert_eq!(
            text,
            "the server is starting (replaying the WAL: 40%); ask again in a moment\n"
        );
        assert_eq!(ask(&gate, "/healthz").await.0, 200);
        gate.open(Router::new().route("/ready", get(|| async { "ready" })));
        assert_eq!(ask(&gate, "/ready").await, (200, None, "ready".to_owned()));
        assert_eq!(ask(&gate, "/else").await.0, 404);
    }
}
