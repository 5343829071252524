//! The engine on a simulated clock, with scripted answers in place of a store.

mod api;
mod restarts;
mod running;
mod script;
