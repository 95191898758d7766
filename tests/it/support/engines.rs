//! DuckDB, pyarrow and polars, by a script in Python: what each of them reads in a topic's files.

use super::skip::{named_or_found, skipped};
use std::io::Write;
use std::process::{Command, Stdio};

/// What the script can read with.
pub const ENGINES: [&str; 3] = ["duckdb", "pyarrow", "polars"];

/// Names a Python that has the engines; otherwise `python3` is looked at.
const VARIABLE: &str = "CENOTE_TEST_PYTHON";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/engines.py");
const REQUIREMENTS: &str = "tests/it/support/engines.txt";

/// A Python with all engines.
pub struct Engines {
    python: String,
}

/// How a list of files is read as one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As they are: they agree in whether keys and values are text.
    AsTheyAre,
    /// Keys and values as bytes, whatever they are in a file.
    AsBytes,
}

impl Engines {
    /// The engines of this machine. If they are missing it is said that `what` was not tested.
    pub fn find(what: &str) -> Option<Engines> {
        let open = |python: &str| {
            let engines = Engines { python: python.to_owned() };
            engines.run(&["versions"], "").map(|_versions| engines)
        };
        let found = named_or_found(VARIABLE, Some("python3"), open);
        if found.is_err() {
            let how = format!("`pip install -r {REQUIREMENTS}` in a venv, and {VARIABLE}=VENV/bin/python");
            skipped(what, &how);
        }
        found.ok()
    }

    /// The records in these files, a line each, by partition and offset.
    pub fn read(&self, engine: &str, files: &str, reading: Reading) -> Vec<String> {
        let arguments: &[&str] = match reading {
            Reading::AsTheyAre => &["read", engine],
            Reading::AsBytes => &["read", engine, "bytes"],
        };
        let lines = self.run(arguments, files).unwrap_or_else(|why| panic!("{engine}: {why}"));
        lines.lines().map(str::to_owned).collect()
    }

    /// The sum over a field of the values, which are JSON, by DuckDB.
    pub fn sum(&self, field: &str, files: &str) -> i64 {
        let sum = self.run(&["sum", field], files).unwrap_or_else(|why| panic!("sum of {field}: {why}"));
        sum.trim().parse().expect("a number")
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(&self.python);
        command.arg(SCRIPT).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.python))?;
        let mut pipe = child.stdin.take().expect("a piped stdin");
        // The script reads all of its input before it writes, unless it fails.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }
}
