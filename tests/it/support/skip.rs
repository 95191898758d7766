//! What a test needs and not every machine has. Where it is missing the test says so in one line, which the harness does
//! not keep to itself, and passes; `.ci/run` counts these lines. Where it was asked for by name, the test fails.

use std::io::Write;

/// Says that something was not tested, and how to get what it takes: `skipped: WHAT; HOW`.
pub fn skipped(what: &str, how: &str) {
    // Not by a macro: the harness shows what macros print of failed tests alone.
    let line = format!("skipped: {what}; {how}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("a place for messages");
}

/// What tests need from the environment, as a variable names it or as it is found.
pub fn named_or_found<T>(
    variable: &str,
    default: Option<&str>,
    open: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    match (std::env::var(variable), default) {
        // Who sets the variable wants the test to run.
        (Ok(named), _) => {
            Ok(open(&named).unwrap_or_else(|why| panic!("{variable}={named} is of no use: {why}")))
        }
        (Err(_), Some(default)) => open(default),
        (Err(_), None) => Err(format!("{variable} is not set")),
    }
}
