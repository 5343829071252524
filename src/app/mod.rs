//! (the app room)
