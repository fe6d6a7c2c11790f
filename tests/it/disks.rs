//! Full disks, replaced folders and damaged databases: senders are asked to retry, no accepted event is lost, and Doorbell
//! continues by itself as soon as it can.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::{Setup, Target, json, unable, until};

/// A small disk in memory, mounted at a folder.
pub struct MemoryDisk(PathBuf);

impl MemoryDisk {
    pub fn new(folder: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let options = format!("size={size}");
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output();
        if !out.is_ok_and(|o| o.status.success()) {
            unable("can_mount", "no disk can be mounted");
        }
        Self(folder)
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Write:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"{{ body.n }} {{ default body.text '' }}\", first_wait: 100 milliseconds } ]\n";

#[test]
#[cfg_attr(not(can_mount), ignore = "needs root and `mount`: no disk can be mounted here")]
fn a_full_data_disk_asks_senders_to_retry_and_loses_nothing() {
    let setup = Setup::with(RULES);
    let disk = MemoryDisk::new(setup.path("data"), "4m");
    let doorbell = setup.serve();
    let text = "x".repeat(100_000);
    let send = |n: usize| doorbell.post("/a", &format!("{{\"n\": {n}, \"text\": \"{text}\"}}"));
    let mut accepted = Vec::new();
    let mut rejected = None;
    for n in 0..200 {
        let got = send(n);
        match got.status {
            200 => accepted.push(n),
            _ => {
                rejected = Some(got);
                break;
            }
        }
    }
    let rejected = rejected.expect("200 events of 100 KB do not fit on 4 MB");
    assert_eq!((rejected.status, rejected.header("retry-after")), (503, "10"));
    assert_eq!(rejected.body, r#"{"status":"refused","message":"The event could not be saved; please retry."}"#);
    until("the log says what to do", || doorbell.logged("the disk of the data folder is full; free some space on it"));
    disk.resize("64m");
    until("it continues by itself", || send(1_000).status == 200);
    let written = || -> Vec<usize> {
        setup.output("out.txt").lines().map(|l| l.split(' ').next().unwrap().parse().unwrap()).filter(|n| *n < 1_000).collect()
    };
    until("every accepted event is processed", || written().len() >= accepted.len());
    let mut done = written();
    done.sort_unstable();
    assert_eq!(done, accepted, "once each");
}

#[test]
#[cfg_attr(not(can_mount), ignore = "needs root and `mount`: no disk can be mounted here")]
fn while_the_data_disk_is_full_no_heartbeat_is_sent() {
    let target = Target::new(&[&json(200, "")]);
    let setup = Setup::with(RULES);
    let disk = MemoryDisk::new(setup.path("data"), "4m");
    let doorbell = setup.serve_with(&["--heartbeat", &target.url("/ping"), "--heartbeat-every", "1 second"]);
    until("it is sent", || !target.calls().is_empty());
    let mut text = "x".repeat(100_000);
    // Until nothing fits any more, however small it is.
    until("the disk is full", || {
        if doorbell.post("/a", &format!("{{\"n\": 1, \"text\": \"{text}\"}}")).status == 503 {
            text.truncate(text.len() / 2);
        }
        doorbell.logged("heartbeat could not be sent: nothing can be saved")
    });
    disk.resize("64m");
    let sent = target.calls().len();
    until("it is sent again", || target.calls().len() > sent);
}

#[test]
#[cfg_attr(not(can_mount), ignore = "needs root and `mount`: no disk can be mounted here")]
fn steps_wait_for_a_full_output_disk_and_write_every_line_once() {
    let setup = Setup::with(RULES);
    let disk = MemoryDisk::new(setup.path("output"), "1m");
    let doorbell = setup.serve();
    let text = "y".repeat(50_000);
    for n in 0..40 {
        doorbell.deliver("/a", &format!("{{\"n\": {n}, \"text\": \"{text}\"}}"));
    }
    until("it is shown", || {
        let event = setup.printed(&["events", "--last", "1"]);
        let event = event.split_whitespace().next().unwrap().to_owned();
        setup.printed(&["explain", &event]).contains("the disk is full")
    });
    disk.resize("64m");
    until("all lines are written", || setup.output("out.txt").lines().count() == 40);
    let mut numbers: Vec<usize> = setup
        .output("out.txt")
        .lines()
        .map(|line| {
            let (n, rest) = line.split_once(' ').unwrap();
            assert_eq!(rest, text);
            n.parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[test]
#[cfg_attr(not(can_mount), ignore = "needs root and `mount`: no disk can be mounted here")]
fn a_full_output_disk_leaves_a_workbook_as_it_was() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  Book:\n    when: { webhook: /a }\n    then: [ { add_row: book.xlsx, columns: { N: \"{{ body.n }}\", Text: \"{{ body.text }}\" }, first_wait: 100 milliseconds } ]\n",
    );
    let _disk = MemoryDisk::new(setup.path("output"), "512k");
    let doorbell = setup.serve();
    let numbers = || -> Vec<String> {
        let Ok(mut book) = calamine::open_workbook_auto(setup.path("output/book.xlsx")) else { return Vec::new() };
        let range = calamine::Reader::worksheet_range_at(&mut book, 0).unwrap().unwrap();
        range.rows().skip(1).map(|r| r[0].to_string()).collect()
    };
    // Text that cannot be compressed, so that the disk is full in the middle of the sheet.
    let mut seed = 1u32;
    let mut send = |n: usize| {
        let mut character = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[(seed >> 26) as usize])
        };
        let text: String = (0..30_000).map(|_| character()).collect();
        doorbell.deliver("/a", &format!("{{\"n\": {n}, \"text\": \"{text}\"}}"))
    };
    for n in 1..=4 {
        send(n);
        until("it is in the workbook", || numbers().len() == n);
    }
    // Less space is left than the workbook needs to be written again.
    let other = setup.path("output/other");
    assert!(fs::write(&other, vec![0; 1 << 20]).is_err());
    let taken = fs::metadata(&other).unwrap().len();
    fs::OpenOptions::new().write(true).open(&other).unwrap().set_len(taken - (48 << 10)).unwrap();
    let event = send(5);
    until("it is shown", || setup.printed(&["explain", &event]).contains("book.xlsx: the disk is full"));
    assert_eq!(numbers(), ["1", "2", "3", "4"], "the workbook is as it was");
    fs::remove_file(&other).unwrap();
    until("it is written", || numbers().len() == 5);
    assert_eq!((numbers().join(","), setup.printed(&["failed"])), ("1,2,3,4,5".into(), "No runs have failed.\n".into()));
}

#[test]
fn nothing_is_written_to_a_replaced_output_folder() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"n\": 1}");
    until("it is written", || !setup.output("out.txt").is_empty());
    fs::rename(setup.path("output"), setup.path("elsewhere")).unwrap();
    fs::create_dir(setup.path("output")).unwrap();
    let event = doorbell.deliver("/a", "{\"n\": 2}");
    until("it is shown", || {
        let told = setup.printed(&["explain", &event]);
        told.contains("output was moved, emptied or replaced while Doorbell was using it; put it back, or restart Doorbell")
    });
    assert_eq!(fs::read_dir(setup.path("output")).unwrap().count(), 0);
    fs::remove_dir(setup.path("output")).unwrap();
    fs::rename(setup.path("elsewhere"), setup.path("output")).unwrap();
    until("it continues", || setup.output("out.txt") == "1 \n2 \n");
}

#[test]
fn no_event_is_accepted_while_the_database_file_is_moved_away() {
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"n\": 1}");
    fs::rename(setup.path("data/doorbell.db"), setup.path("data/elsewhere.db")).unwrap();
    assert_eq!(doorbell.post("/a", "{\"n\": 2}").status, 503);
    until("it is logged", || {
        doorbell.logged("the file data/doorbell.db was moved, deleted or replaced while Doorbell was using it; put it back")
    });
    let cannot_save = || setup.printed(&["health", "--listen", &doorbell.address]).contains("the latest event or step could not be saved");
    assert!(cannot_save());
    fs::rename(setup.path("data/elsewhere.db"), setup.path("data/doorbell.db")).unwrap();
    until("it continues", || doorbell.post("/a", "{\"n\": 3}").status == 200);
    until("health says so", || !cannot_save());
}

#[test]
fn a_database_that_cannot_be_used_is_explained_in_plain_english() {
    let serve = |setup: &Setup| {
        let mut child = setup.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        until("it does not start", || {
            let ended = child.try_wait().unwrap().is_some();
            if !ended && setup.path("data/at-work").exists() {
                let _ = child.kill();
            }
            ended
        });
        let out = child.wait_with_output().unwrap();
        String::from_utf8(out.stderr).unwrap().lines().last().unwrap_or_default().to_owned()
    };
    let setup = Setup::with(RULES);
    let doorbell = setup.serve();
    (0..50).for_each(|n| drop(doorbell.deliver("/a", &format!("{{\"n\": {n}, \"text\": \"{}\"}}", "z".repeat(2_000)))));
    doorbell.stop();
    // Everything in one file, without a log from which SQLite would repair it.
    setup.printed(&["backup", "whole.db"]);
    let file = setup.path("data/doorbell.db");
    fs::rename(setup.path("whole.db"), &file).unwrap();
    for other in ["data/doorbell.db-wal", "data/doorbell.db-shm"] {
        let _ = fs::remove_file(setup.path(other));
    }
    let good = fs::read(&file).unwrap();
    // Not a database at all.
    let mut bad = good.clone();
    bad[..16].copy_from_slice(b"not a database..");
    fs::write(&file, &bad).unwrap();
    let damaged =
        "doorbell: the file doorbell.db in the data folder is damaged; move it away, and start from a backup or with an empty folder";
    assert_eq!(serve(&setup), damaged);
    // From a newer version of Doorbell.
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    fs::write(&file, &newer).unwrap();
    let said =
        "doorbell: the data folder was written by a newer version of Doorbell; start that version, or choose another folder with --data";
    assert_eq!(serve(&setup), said);
    // Damaged pages.
    let mut torn = good.clone();
    torn[4096..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x5a);
    fs::write(&file, &torn).unwrap();
    assert_eq!(serve(&setup), damaged);
    // Only the first half.
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert_eq!(serve(&setup), damaged);
    fs::write(&file, &good).unwrap();
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{\"n\": 99}");
}
