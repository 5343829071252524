//! (the pipeline room)
