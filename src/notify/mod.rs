//! Tells people: routes and groups alerts, holds back what is silenced or inhibited, and
//! delivers messages through an outbox that survives restarts and outages of the receivers.
//!
//! What to tell is decided purely, from the state and the time; the run loop makes it durable
//! and then acts.

mod error;

mod inhibit;
mod integration;
mod intervals;
mod matchers;
mod route;
mod settings;

mod decide;
mod outbox;
mod silence;
mod state;

mod data;
mod deliver;
mod discord;
mod escape;
mod slack;
mod slack_text;
mod webhook;

mod handle;
mod notifier;
#[cfg(test)]
mod tests;

pub use deliver::{Answer, Deliver, FailKind, HttpDeliver, Request};
pub use error::NotifyError;
pub use handle::{AlertView, DeadView, GroupView, Handle, JobView, RouteStep, TestOutcome};
pub use matchers::{matcher, parse_matchers};
pub use notifier::{Guard, Notifier, Parts};
pub use settings::Settings;
pub use silence::{NewSilence, Silence, SilenceMatcher, SilenceState};
