//! What is asked of the engine once and read whole goes through bollard: containers, their
//! details, the engine's name. Streams of logs and events are in `client`: bollard's `since` is
//! whole seconds in 32 bits and hides the borders of frames, and positions need both.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{ApiError, Client, Endpoint, percent_encode};

const ANSWER_SECS_MAX: u64 = 60;

pub(super) type Filters = HashMap<String, Vec<String>>;

impl Client {
    /// A connection that speaks a version of the API that the engine knows.
    async fn bollard(&self) -> Result<Docker, Error> {
        let docker = match self.endpoint() {
            Endpoint::Unix(socket) => Docker::connect_with_unix(
                &socket.to_string_lossy(),
                ANSWER_SECS_MAX,
                API_DEFAULT_VERSION,
            ),
            Endpoint::Tcp(address) => {
                Docker::connect_with_http(address, ANSWER_SECS_MAX, API_DEFAULT_VERSION)
            }
        }?;
        docker.negotiate_version().await
    }

    pub async fn list<T: DeserializeOwned>(&self, filters: &Filters) -> Result<Vec<T>, ApiError> {
        let asked = async {
            let options = ListContainersOptionsBuilder::default().all(true).filters(filters);
            self.bollard().await?.list_containers(Some(options.build())).await
        };
        let filters = serde_json::to_string(filters)?;
        let path = format!("/containers/json?all=1&filters={}", percent_encode(&filters));
        self.read(asked.await, &path).await
    }

    pub async fn inspect<T: DeserializeOwned>(&self, id: &str) -> Result<T, ApiError> {
        let asked = async {
            self.bollard().await?.inspect_container(id, None::<InspectContainerOptions>).await
        };
        self.read(asked.await, &format!("/containers/{id}/json")).await
    }

    pub async fn info<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let asked = async { self.bollard().await?.info().await };
        self.read(asked.await, "/info").await
    }

    /// Our own view of an answer. What bollard cannot read (other engines leave fields out or
    /// null) is asked for again and read leniently.
    async fn read<M: Serialize, T: DeserializeOwned>(
        &self,
        answer: Result<M, Error>,
        path: &str,
    ) -> Result<T, ApiError> {
        match answer {
            Ok(model) => match serde_json::to_value(model).and_then(serde_json::from_value) {
                Ok(view) => Ok(view),
                Err(_) => self.json(path).await,
            },
            Err(Error::DockerResponseServerError { status_code, message }) => {
                Err(ApiError::Status { code: status_code, message })
            }
            Err(_) => self.json(path).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::extract::RawQuery;
    use axum::http::StatusCode;
    use axum::routing::get;
    use serde_json::{Value, json};

    use super::*;

    /// Answers only requests that look as bollard writes them; the lenient way round would find
    /// nothing there.
    async fn list(RawQuery(query): RawQuery) -> Result<Json<Value>, StatusCode> {
        let by_bollard = query.unwrap_or_default().contains("size=false");
        let listed = json!([{"Id": "abc", "Names": ["/web"], "Labels": {"a": "b"}}]);
        if by_bollard { Ok(Json(listed)) } else { Err(StatusCode::NOT_FOUND) }
    }

    #[tokio::test]
    async fn answers_come_through_bollard() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let version = json!({"ApiVersion": "1.41", "MinAPIVersion": "1.24", "Version": "20"});
        let detail = json!({"Id": "abc", "Config": {"Tty": true}});
        let router = axum::Router::new()
            .route("/version", get(move || async move { Json(version) }))
            .route("/containers/json", get(list))
            .route("/containers/abc/json", get(move || async move { Json(detail) }));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::new(Endpoint::Unix(socket));
        let containers: Vec<Value> = client.list(&Filters::new()).await.unwrap();
        assert_eq!(containers[0]["Names"][0], "/web");
        assert_eq!(containers[0]["Labels"]["a"], "b");
        let inspected: Value = client.inspect("abc").await.unwrap();
        assert_eq!(inspected["Config"]["Tty"], true);
        let missing = client.inspect::<Value>("nobody").await.unwrap_err();
        assert_eq!(missing.code(), Some(404));
    }
}
