//! (the notify room)
