//! (the alert room)
