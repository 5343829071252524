//! The real client against a server that speaks like Slack, over the whole run loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::rig::{START_NS, alert, settings};
use crate::clock::SimClock;
use crate::config::notify::Secret;
use crate::metrics::Metrics;
use crate::notify::{Answer, Deliver as _, FailKind, HttpDeliver, Notifier, Parts, Request};

#[derive(Clone, Copy)]
enum Move {
    Ok,
    TooMany,
    Broken,
    Hang,
    NotOk,
    Invalid,
}

struct Server {
    moves: Mutex<VecDeque<Move>>,
    heard: mpsc::UnboundedSender<(HeaderMap, String)>,
}

async fn hook(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let next = server.moves.lock().pop_front().unwrap_or(Move::Ok);
    let _ = server.heard.send((headers, String::from_utf8_lossy(&body).into_owned()));
    match next {
        Move::Ok => "ok".into_response(),
        Move::TooMany => {
            (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "7")], "").into_response()
        }
        Move::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "oops").into_response(),
        Move::Hang => std::future::pending().await,
        Move::NotOk => r#"{"ok":false,"error":"invalid_auth"}"#.into_response(),
        Move::Invalid => (StatusCode::BAD_REQUEST, "invalid_blocks").into_response(),
    }
}

async fn serve(moves: &[Move]) -> (String, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (heard, hears) = mpsc::unbounded_channel();
    let server = Arc::new(Server { moves: Mutex::new(moves.iter().copied().collect()), heard });
    let app = Router::new().route("/hook", post(hook)).with_state(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, hears)
}

fn request(url: &str) -> Request {
    Request {
        url: Secret(url.to_owned()),
        headers: vec![("X-Test".to_owned(), Secret("1".to_owned()))],
        body: "{}".to_owned(),
        timeout: Duration::from_millis(200),
    }
}

#[tokio::test]
async fn answers_are_read() {
    let moves = [Move::Ok, Move::TooMany, Move::Broken, Move::Hang, Move::NotOk, Move::Invalid];
    let (url, mut hears) = serve(&moves).await;
    let client = HttpDeliver::new().unwrap();
    let status = |code, retry_after_secs, body: &str| Answer::Status {
        code,
        retry_after_secs,
        body: body.to_owned(),
    };
    let expect = [
        status(200, None, "ok"),
        status(429, Some(7), ""),
        status(500, None, "oops"),
        Answer::Failed(FailKind::Timeout),
        status(200, None, r#"{"ok":false,"error":"invalid_auth"}"#),
        status(400, None, "invalid_blocks"),
    ];
    for answer in expect {
        assert_eq!(client.post(request(&url)).await, answer);
    }
    let (headers, _) = hears.recv().await.unwrap();
    assert_eq!(headers["x-test"], "1");
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(
        client.post(request("http://127.0.0.1:1/x")).await,
        Answer::Failed(FailKind::Connect)
    );
    assert_eq!(client.post(request("nonsense")).await, Answer::Failed(FailKind::Invalid));
}

#[tokio::test]
async fn the_whole_way_with_a_failing_receiver() {
    let (url, mut hears) = serve(&[Move::Broken, Move::TooMany, Move::Invalid]).await;
    let yaml = format!(
        "route: {{receiver: w, group_wait: 10s}}\nreceivers: [{{name: w, webhook_configs: [{{url: '{url}', hmac_secret: k, http_config: {{authorization: {{credentials: t}}}}}}]}}]"
    );
    let clock = SimClock::new(START_NS);
    let folder = tempfile::tempdir().unwrap();
    let (notifier, handle) = Notifier::open(Parts {
        settings: settings(&yaml),
        clock: clock.shared(),
        deliver: Arc::new(HttpDeliver::new().unwrap()),
        guard: Arc::new(str::to_owned),
        metrics: Metrics::default(),
        folder: folder.path().to_owned(),
        external_url: String::new(),
    })
    .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(notifier.run(async move {
        let _ = stopped.await;
    }));
    handle.alerts_in().send(vec![alert("A", &[], START_NS)]).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 4 {
        // Time moves on while nothing is heard; the answer of the server ends the wait.
        tokio::select! {
            biased;
            Some(message) = hears.recv() => heard.push(message),
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(100)),
        }
    }
    let _ = stop.send(());
    running.await.unwrap();
    assert!(handle.outbox().is_empty());
    assert!(handle.dead_letters().is_empty());
    let (headers, body) = &heard[3];
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["x-stockade-event-id"], heard[0].0["x-stockade-event-id"]);
    assert!(headers["x-stockade-signature"].to_str().unwrap().starts_with("sha256="));
    assert!(body.contains("\"alertname\":\"A\""));
}
