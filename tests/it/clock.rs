//! A Doorbell whose clock the test sets, with libfaketime. Its monotonic clock goes on as usual.

use jiff::Timestamp;

use crate::harness::{Setup, until};

/// A folder whose Doorbell has a clock that the test sets.
pub struct Clocked {
    pub setup: Setup,
}

impl Clocked {
    pub fn with(rules: &str) -> Self {
        let setup = Setup::with(rules).env("LD_PRELOAD", env!("CLOCK_LIBRARY"));
        let file = setup.path("clock");
        let setup = setup.env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap());
        // Each look at the clock reads the file again; the monotonic clock stays correct.
        Self { setup: setup.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1") }
    }

    /// From now on, it is this moment, and time goes on from there.
    pub fn set(&self, moment: &str) {
        sweep();
        let moment: Timestamp = moment.parse().unwrap();
        let offset = moment.as_millisecond() - Timestamp::now().as_millisecond();
        self.setup.write("clock.new", &format!("{:+}\n", offset as f64 / 1000.0));
        // Replaced in one step, since it may be read at any moment.
        std::fs::rename(self.setup.path("clock.new"), self.setup.path("clock")).unwrap();
    }

    /// Serves until the file has this many lines; returns them.
    pub fn serve_until(&self, file: &str, lines: usize) -> Vec<String> {
        let _doorbell = self.setup.serve();
        self.wait_for(file, lines)
    }

    pub fn wait_for(&self, file: &str, lines: usize) -> Vec<String> {
        until(&format!("{file} has {lines} lines"), || self.setup.output(file).lines().count() >= lines);
        self.setup.output(file).lines().map(str::to_owned).collect()
    }
}

impl Drop for Clocked {
    fn drop(&mut self) {
        sweep();
    }
}

/// Removes what libfaketime leaves in shared memory when a process is killed: another one that gets its number could not start.
pub fn sweep() {
    let Ok(all) = std::fs::read_dir("/dev/shm") else { return };
    for file in all.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if number.is_some_and(|number| !std::path::Path::new(&format!("/proc/{number}")).exists()) {
            // Another test may have been faster.
            let _ = std::fs::remove_file(file.path());
        }
    }
}
