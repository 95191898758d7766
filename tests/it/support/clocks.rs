//! Wall clocks of processes that can be moved while they run: a few lines of C that are loaded before the C library.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/clocks.c");

/// The clocks of some processes.
pub struct MovedClocks {
    directory: TempDir,
}

impl MovedClocks {
    /// Builds what it takes; a C compiler is there, as librdkafka takes one.
    pub fn build() -> MovedClocks {
        let clocks = MovedClocks { directory: tempfile::tempdir().expect("a temporary directory") };
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clocks.library()).arg(SOURCE);
        let output = command.output().expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clocks
    }

    /// What a process needs in its environment, so that its clock can be moved.
    pub fn variables(&self, number: usize) -> [(&'static str, String); 2] {
        self.set(number, 0);
        [
            ("LD_PRELOAD", self.library().display().to_string()),
            ("TEST_CLOCK_MOVED", self.file(number).display().to_string()),
        ]
    }

    /// From now on the clock is so far off.
    pub fn set(&self, number: usize, seconds: i64) {
        // The file stays the same one, as it is mapped.
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(self.file(number));
        file.expect("a file").write_all(&seconds.to_ne_bytes()).expect("eight bytes");
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("clocks.so")
    }

    fn file(&self, number: usize) -> PathBuf {
        self.directory.path().join(number.to_string())
    }
}
