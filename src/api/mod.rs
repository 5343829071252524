//! (the api room)
