//! The front door: parse the command line, call app, choose the exit code.

fn main() {}
