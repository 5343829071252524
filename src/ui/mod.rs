//! (the ui room)
