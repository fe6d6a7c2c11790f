//! A PostgreSQL server for the tests: in a temporary folder, reachable only by a socket in it, and stopped when the test
//! process ends, even if it crashes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::Config;

/// Where Debian installs the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

pub(in crate::store) struct Server {
    /// Waits for the end of its input, which comes when this process ends, and then stops the server.
    guard: Child,
    folder: TempDir,
}

impl Server {
    pub(in crate::store) fn start() -> Self {
        let programs = programs().expect("PostgreSQL is installed: apt-get install postgresql");
        let folder = tempfile::tempdir().unwrap();
        let user = unprivileged();
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let run = |program: &str| {
            let mut command = Command::new(program);
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command
        };
        // What a power cut would lose is lost with the folder anyway.
        let made = run(programs.join("initdb").to_str().unwrap())
            .args(["--pgdata=data", "--username=doorbell", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
            .status();
        assert!(made.unwrap().success(), "initdb has failed");
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let guard = run("/bin/sh")
            .args(["-c", r#""$0" "$@" & read -r _; kill -QUIT $!; wait $!"#, programs.join("postgres").to_str().unwrap()])
            .args(["-D", "data", "-k", folder.path().to_str().unwrap(), "-c", "listen_addresses="])
            .args(["-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "deadlock_timeout=200ms"])
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { guard, folder };
        server.wait_until_it_answers();
        server
    }

    /// How to connect to its database.
    pub(in crate::store) fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user("doorbell").dbname("postgres");
        config
    }

    fn wait_until_it_answers(&self) {
        let socket = self.folder.path().join(".s.PGSQL.5432");
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while !socket.exists() || runtime.block_on(self.config().connect(tokio_postgres::NoTls)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The server's log, with deadlocks for example.
    pub(in crate::store) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The folder with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    let all = |folder: &Path| ["initdb", "postgres"].iter().all(|name| folder.join(name).exists());
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| all(folder));
    let debian = || {
        let versions = fs::read_dir(DEBIAN).ok()?.flatten();
        let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
        versions.map(|version| version.path().join("bin")).filter(|folder| all(folder)).max_by_key(version)
    };
    on_path.or_else(debian)
}

/// The user that runs the server if the tests run as root, because PostgreSQL does not start as root.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0).unwrap_or_default();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = |fields: &[&str], n: usize| fields.get(n).and_then(|text| text.parse().ok());
    let find = |name: &str| {
        let line = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
        number(&line, 2).zip(number(&line, 3))
    };
    if is_root { find("postgres").or_else(|| find("nobody")) } else { None }
}
