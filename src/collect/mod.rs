//! (the collect room)
