//! The build script: finds out what this machine can do that some tests need, such as mounting a disk. It changes nothing, and
//! the program itself is built the same everywhere.
//!
//! A test that needs an ability has `cfg_attr(not(…), ignore = "…")`. Without the ability, `cargo test` then shows the test as
//! ignored, instead of letting it pass without having tested anything. The script runs again when something that it found
//! disappears, and after `touch tests/abilities.rs`, which finds what was missing before. It does not watch `PATH`, because
//! editors and terminals have different ones, and each would rebuild everything after the other.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// How many open files the test with 10,000 connections needs.
const MANY_FILES: u64 = 12_000;

fn main() {
    println!("cargo::rerun-if-changed=tests/abilities.rs");
    for variable in ["DOORBELL_TESTS_WITHOUT", "YAML_LANGUAGE_SERVER", "GITHUB_PAYLOADS", "PLAYWRIGHT", "USER"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let mount = has_capability(21) && all(&[program("mount"), program("umount")]);
    let loops = all(&[file("/dev/loop-control"), program("mkfs.ext4"), program("python3")]);
    let faketime = library("faketime/libfaketimeMT.so.1");
    println!("cargo::rustc-env=CLOCK_LIBRARY={}", faketime.iter().map(|path| path.display().to_string()).collect::<String>());
    let (packages, chromium) = (named_by("PLAYWRIGHT"), program("chromium"));
    println!("cargo::rustc-env=PLAYWRIGHT_PACKAGES={}", packages.iter().map(|path| path.display().to_string()).collect::<String>());
    println!("cargo::rustc-env=CHROMIUM_PROGRAM={}", chromium.iter().map(|path| path.display().to_string()).collect::<String>());
    // For machines that seem to have an ability and do not.
    let without = env::var("DOORBELL_TESTS_WITHOUT").unwrap_or_default();
    for (ability, is_found) in [
        ("can_mount", mount),
        ("can_cut_power", mount && loops),
        // To give files to other users, and to start programs as them: CAP_CHOWN and CAP_SETUID.
        ("can_be_others", has_capability(0) && has_capability(7)),
        ("has_user_namespaces", number("/proc/sys/user/max_user_namespaces") > 0 && all(&[program("unshare")])),
        ("can_open_many_files", most_files() >= MANY_FILES && all(&[program("prlimit")])),
        ("has_libreoffice", all(&[program("soffice")])),
        ("has_language_server", all(&[program("node"), named_by("YAML_LANGUAGE_SERVER")])),
        ("has_payloads", all(&[named_by("GITHUB_PAYLOADS")])),
        ("has_faketime", all(std::slice::from_ref(&faketime))),
        ("has_promtool", all(&[program("promtool")])),
        ("has_browser", all(&[program("node"), packages.and_then(|folder| file(folder.join("playwright-core"))), chromium])),
        ("has_smtp_server", all(&[file("/usr/bin/python3"), file("/usr/lib/python3/dist-packages/aiosmtpd")])),
        ("has_postgres", all(&[postgres("initdb"), postgres("postgres")])),
    ] {
        println!("cargo::rustc-check-cfg=cfg({ability})");
        if is_found && !without.split([' ', ',']).any(|w| w == ability) {
            println!("cargo::rustc-cfg={ability}");
        }
    }
}

/// Whether all of these were found. Cargo runs the script again when one of them disappears.
fn all(found: &[Option<PathBuf>]) -> bool {
    for path in found.iter().flatten() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    found.iter().all(Option::is_some)
}

fn file(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    path.exists().then(|| path.to_owned())
}

fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find_map(|folder| file(folder.join(name)))
}

/// A program of the PostgreSQL server; Debian has a folder for each version.
fn postgres(name: &str) -> Option<PathBuf> {
    let versions = || fs::read_dir("/usr/lib/postgresql").ok()?.flatten().find_map(|version| file(version.path().join("bin").join(name)));
    program(name).or_else(versions)
}

/// A library in the folder that Debian has for the architecture.
fn library(path: &str) -> Option<PathBuf> {
    fs::read_dir("/usr/lib").ok()?.flatten().find_map(|folder| file(folder.path().join(path)))
}

/// The file that a variable names.
fn named_by(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).and_then(file)
}

/// Whether this process has the capability of this number (capabilities(7)); 21 is CAP_SYS_ADMIN, which may mount disks.
fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits >> number & 1 == 1)
}

/// The number in a file of the kernel, or 0 if there is none.
fn number(path: &str) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// The highest number of open files that a process may request.
fn most_files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    if most == "unlimited" { u64::MAX } else { most.parse().unwrap_or_default() }
}
