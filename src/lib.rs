//! Stockade collects, redacts, stores, searches and alerts on container logs.
//!
//! Modules stand in reading order: first the leaves that everybody may use, then the
//! rooms in the order in which a line walks through them, then the doors and the wiring.

pub mod clock;
pub mod durable;
pub mod limits;
pub mod metrics;

pub mod model;
pub mod text;

pub mod config;

pub mod collect;
pub mod pipeline;
pub mod redact;
pub mod store;

pub mod query;

pub mod alert;
pub mod notify;

pub mod api;
pub mod ui;

pub mod app;
