//! Whole timelines on a simulated clock, with receivers that behave and misbehave.

mod config;
mod http;
mod outage;
mod rig;
mod slack;
mod timeline;
