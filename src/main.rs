//! The `cenote` binary.

fn main() {}
