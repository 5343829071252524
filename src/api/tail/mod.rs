//! Live tails over a WebSocket: history first, then entries as they reach the disk.

mod frame;
mod outbox;
mod seam;
mod session;

use std::sync::Arc;

use axum::Extension;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use hashbrown::HashMap;
use parking_lot::Mutex;

use frame::Form;
use outbox::Room;
use session::TailRequest;

use super::access::Tenant;
use super::error::ApiError;
use super::params::Params;
use super::{Api, language, query};
use crate::limits;
use crate::model::Timestamp;

pub async fn tail(
    State(api): State<Arc<Api>>,
    Extension(Tenant(tenant)): Extension<Tenant>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let is_legacy = request.uri().path().starts_with("/api/prom/");
    let params = Params::from_request(request, &()).await?;
    let expr = language::query(params.query()?)?;
    let upgrade = upgrade.map_err(|_| ApiError::bad_request("Bad Request"))?;
    let delay_secs: i64 = params.number("delay_for", 0)?;
    if delay_secs < 0 {
        return Err(ApiError::bad_request(format!(
            "delay_for value {delay_secs} is out of range [0, {}]",
            u32::MAX
        )));
    }
    if delay_secs > 5 {
        return Err(ApiError::bad_request("delay_for can't be greater than 5"));
    }
    let now = Timestamp(api.clock.now_ns());
    let start = params.bound("start", now.saturating_add_ns(-3_600_000_000_000))?;
    // Loki knows no tail without history; here 0 is one.
    let limit = if params.get("limit") == Some("0") { 0 } else { params.positive("limit", 100)? };
    let limit = limit.min(query::query_limits(&api).entries_max);
    let place = Place::take(&api, &tenant)?;
    let categorize = query::EncodingFlags::of(&headers).categorize();
    // A start that lies further back than queries may reach begins where they do.
    let length_max_ns = match api.limits.load().max_query_length.ns() {
        0 => i64::MAX,
        length => length,
    };
    let start = start.max(now.saturating_add_ns(-length_max_ns));
    let form = if is_legacy { Form::Legacy } else { Form::Streams(categorize) };
    let tail = TailRequest { expr, tenant, start, limit, form };
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let _place = place;
            session::run(api, tail, socket).await;
        })
        .into_response())
}

/// The tails that are open, by tenant, and the memory that they share.
#[derive(Debug)]
pub struct Tails {
    open: Mutex<HashMap<String, usize>>,
    room: Arc<Room>,
}

impl Tails {
    pub fn new(bytes_max: usize) -> Tails {
        Tails { open: Mutex::default(), room: Room::new(bytes_max) }
    }

    /// Counts one more of a tenant, unless it has so many or all have as many as there may be.
    fn open(&self, tenant: &str, tails_max: usize) -> Result<(), String> {
        let mut open = self.open.lock();
        let all: usize = open.values().sum();
        let tails = open.get(tenant).map_or(1, |count| count + 1);
        let (count, count_max) = if tails_max > 0 && tails > tails_max {
            (tails, tails_max)
        } else {
            (all + 1, limits::TAILS_MAX)
        };
        if count > count_max {
            return Err(format!(
                "max concurrent tail requests limit exceeded, count > limit ({count} > {count_max})"
            ));
        }
        *open.entry_ref(tenant).or_default() += 1;
        Ok(())
    }

    fn close(&self, tenant: &str) {
        let mut open = self.open.lock();
        let Some(count) = open.get_mut(tenant) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(tenant);
        }
    }
}

/// One of the bounded number of tails.
struct Place {
    api: Arc<Api>,
    tenant: String,
}

impl Place {
    fn take(api: &Arc<Api>, tenant: &str) -> Result<Place, ApiError> {
        let tails_max = api.limits.load().max_concurrent_tail_requests;
        api.tails.open(tenant, tails_max).map_err(ApiError::bad_request)?;
        Ok(Place { api: api.clone(), tenant: tenant.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.api.tails.close(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_its_own_count() {
        let tails = Tails::new(0);
        assert_eq!([(); 2].map(|()| tails.open("a", 2)), [Ok(()), Ok(())]);
        let told = "max concurrent tail requests limit exceeded, count > limit (3 > 2)";
        assert_eq!(tails.open("a", 2), Err(told.to_owned()));
        assert_eq!(tails.open("b", 2), Ok(()));
        tails.close("a");
        assert_eq!(tails.open("a", 2), Ok(()));
        for _ in 3..limits::TAILS_MAX {
            assert_eq!(tails.open("c", 0), Ok(()));
        }
        assert!(tails.open("c", 0).is_err() && tails.open("d", 0).is_err());
        ["a", "a", "b"].into_iter().for_each(|tenant| tails.close(tenant));
        assert_eq!(tails.open.lock().len(), 1);
    }
}
