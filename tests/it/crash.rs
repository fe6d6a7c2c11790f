//! `kill -9`, power cuts, lost disks and clock changes at any moment: every answered event is processed, and every line and
//! row is written exactly once.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock;
use crate::harness::{ClosedPort, Doorbell, SetOnDrop, Setup, Target, json, unable, until};

/// Rules with every kind of step, each of which leaves something that can be counted.
const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Lines:\n    when: { webhook: /a }\n    then:\n      - append: lines.log\n        text: \"{{ body.n }}\"\n        first_wait: 50 milliseconds\n      - add_row: rows.csv\n        columns: { N: \"{{ body.n }}\" }\n        first_wait: 50 milliseconds\n  Elements:\n    when: { webhook: /a }\n    then:\n      - append: elements.log\n        for_each: body.list\n        text: \"{{ body.n }}-{{ item }}\"\n        first_wait: 50 milliseconds\n  Book:\n    when: { webhook: /a }\n    if: { body.book: true }\n    then:\n      - add_row: book.xlsx\n        columns: { N: \"{{ body.n }}\" }\n        first_wait: 50 milliseconds\n  Calls:\n    when: { webhook: /a }\n    if: { body.book: true }\n    then:\n      - post: TARGET\n        json: { n: \"{{ body.n }}\" }\n        first_wait: 10 milliseconds\n  Changed:\n    when: { webhook: /a }\n    then:\n      - add_row: changed.csv\n        columns: { N: \"{{ body.n }}\", State: new }\n        first_wait: 50 milliseconds\n      - update_row: changed.csv\n        match: N\n        columns: { N: \"{{ body.n }}\", State: done }\n        first_wait: 50 milliseconds\n  Whole:\n    when: { webhook: /a }\n    then:\n      - write: \"whole/{{ body.n }}.txt\"\n        text: \"{{ body.n }} and all of it\"\n        first_wait: 50 milliseconds\n      - write: last.json\n        json: { n: \"{{ body.n }}\" }\n        first_wait: 50 milliseconds\n      - find_row: changed.csv\n        where: { N: \"{{ body.n }}\" }\n        save_as: found\n        first_wait: 50 milliseconds\n      - append: found.log\n        text: \"{{ body.n }} {{ found.count }}\"\n        first_wait: 50 milliseconds\n  Queue:\n    when: { webhook: /a }\n    one_at_a_time: body.book\n    once_per: body.n\n    then:\n      - append: queue.log\n        text: \"{{ body.n }}\"\n        first_wait: 50 milliseconds\n        tries: 20\n  Answer:\n    when: { webhook: /a }\n    if: { body.book: true }\n    answer_within: 10 minutes\n    then:\n      - append: answers.log\n        text: \"{{ body.n }}\"\n        first_wait: 50 milliseconds\n      - respond: 200\n        text: \"{{ body.n }}\"\n";

/// How long a caller waits for an answer before it calls again. This is short, because a rule that answers may have to wait
/// much longer for its disk.
const CALLER_WAITS: Duration = Duration::from_secs(3);

/// Sends numbered events and remembers which were answered. Even numbers go to the workbook and wait for the answer of a rule;
/// odd ones are answered once they are saved, whatever happens to the output disk.
#[derive(Default)]
struct Load {
    next: [AtomicUsize; 2],
    answered: Mutex<Vec<usize>>,
    /// Sending pauses after so many answers, so that a long wait elsewhere does not create work for minutes.
    most: AtomicUsize,
}

impl Load {
    fn count(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// Waits until so many more events were answered.
    fn wait_for(&self, more: usize) {
        let wanted = self.count() + more;
        self.most.store(wanted + 1_000, Ordering::Relaxed);
        until("enough was answered", || self.count() >= wanted);
    }

    /// Sends on eight connections until so many more events were answered, and while `then` runs.
    fn run(&self, doorbell: &Doorbell, more: usize, then: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _set = SetOnDrop(&stop);
            for n in 0..8 {
                let is_odd = n > 0;
                let stop = &stop;
                scope.spawn(move || while self.send_on(&doorbell.address, is_odd, stop) {});
            }
            self.wait_for(more);
            then();
        });
    }

    /// Sends on one connection; returns whether to continue on another one, because an answer did not arrive in time.
    fn send_on(&self, address: &str, is_odd: bool, stop: &AtomicBool) -> bool {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        stream.set_read_timeout(Some(CALLER_WAITS)).unwrap();
        while !stop.load(Ordering::Relaxed) {
            if self.count() >= self.most.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let n = self.next[usize::from(is_odd)].fetch_add(1, Ordering::Relaxed) * 2 + usize::from(is_odd);
            let body = format!(r#"{{"n": {n}, "list": [1, 2], "book": {}}}"#, !is_odd);
            let request =
                format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let mut answer = [0; 1024];
            if stream.write_all(request.as_bytes()).is_err() {
                return false;
            }
            match stream.read(&mut answer) {
                Ok(length) if answer[..length].starts_with(b"HTTP/1.1 200") => self.answered.lock().unwrap().push(n),
                Ok(length) if answer[..length].starts_with(b"HTTP/1.1 50") => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
                _ => return false,
            }
        }
        false
    }
}

/// Kills it without waiting for its end.
fn kill(doorbell: &Doorbell) {
    Command::new("kill").args(["-9", &doorbell.child.id().to_string()]).status().unwrap();
}

fn count_lines(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for line in text.lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// Asserts that the output folder and the calls to the other app contain every answered event exactly once.
fn assert_done_once(folder: &Path, answered: &[usize], target: &Target) {
    let read = |name: &str| count_lines(&std::fs::read_to_string(folder.join(name)).unwrap_or_default());
    let (lines, rows, elements, changed) = (read("lines.log"), read("rows.csv"), read("elements.log"), read("changed.csv"));
    let (queue, answers, found) = (read("queue.log"), read("answers.log"), read("found.log"));
    let whole = |name: String| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let last = whole("last.json".to_owned());
    let is_last = last.strip_prefix("{\"n\":").and_then(|rest| rest.strip_suffix("}\n")).and_then(|n| n.parse::<usize>().ok());
    assert!(is_last.is_some(), "a part of a file was left: {last}");
    let mut book = calamine::open_workbook_auto(folder.join("book.xlsx")).unwrap();
    let range = calamine::Reader::worksheet_range_at(&mut book, 0).unwrap().unwrap();
    let booked = count_lines(&range.rows().skip(1).map(|r| r[0].to_string()).collect::<Vec<_>>().join("\n"));
    let called: Vec<String> = target.calls().iter().map(|c| c.body.clone()).collect();
    for n in answered {
        let line = n.to_string();
        assert_eq!(lines.get(&line), Some(&1), "line {n}");
        assert_eq!(whole(format!("whole/{n}.txt")), format!("{n} and all of it"));
        let looked_up = [0, 1].map(|count| found.get(&format!("{n} {count}")).copied().unwrap_or_default());
        assert_eq!(looked_up.iter().sum::<usize>(), 1, "found {n}");
        assert_eq!(rows.get(&line), Some(&1), "row {n}");
        assert_eq!(changed.get(&format!("{n},done")), Some(&1), "changed {n}");
        assert_eq!(queue.get(&line), Some(&1), "queued {n}");
        assert_eq!(elements.get(&format!("{n}-1")), Some(&1), "element {n}-1");
        assert_eq!(elements.get(&format!("{n}-2")), Some(&1), "element {n}-2");
        if n.is_multiple_of(2) {
            assert_eq!(booked.get(&line), Some(&1), "booked {n}");
            assert_eq!(answers.get(&line), Some(&1), "answered {n}");
            assert!(called.contains(&format!(r#"{{"n":{n}}}"#)), "called {n}");
        }
    }
    // An event that was saved but not answered in time is processed once as well, not twice.
    for (what, all) in [
        ("line", &lines),
        ("row", &rows),
        ("element", &elements),
        ("booked row", &booked),
        ("changed row", &changed),
        ("queued line", &queue),
        ("line about a row that was found", &found),
        ("answered line", &answers),
    ] {
        assert!(all.values().all(|n| *n == 1), "a {what} was written twice");
    }
    // A call is repeated only with the same key.
    let mut keys: HashMap<&str, &str> = HashMap::new();
    let calls = target.calls();
    for call in &calls {
        let key = keys.entry(&call.body).or_insert(call.header("idempotency-key"));
        assert_eq!(*key, call.header("idempotency-key"), "{}", call.body);
    }
}

fn wait_for_all_runs(setup: &Setup, data: &str) {
    until("no run waits any more", || {
        let all = setup.printed(&["events", "--data", data, "--last", "1000000"]);
        !all.contains("waiting")
    });
    assert_eq!(setup.printed(&["failed", "--data", data]), "No runs have failed.\n");
}

#[test]
fn every_answered_event_is_processed_exactly_once() {
    let target = Target::new(&[&json(200, "{}")]);
    let rules = RULES.replace("TARGET", &target.url("/x"));
    let setup = Setup::with(&rules);
    let load = Load::default();
    for round in 0..8 {
        let doorbell = setup.serve();
        load.run(&doorbell, 60 + round * 37 % 150, || {
            // Waiting runs finish with the old text, whenever the edit takes effect.
            setup.write("rules/rules.yaml", &format!("{rules}# edited {round} times\n"));
            kill(&doorbell);
        });
    }
    let _doorbell = setup.serve();
    wait_for_all_runs(&setup, "data");
    let answered = load.answered.into_inner().unwrap();
    assert!(answered.len() > 400);
    assert_done_once(&setup.path("output"), &answered, &target);
}

/// Sends events and closes each connection while the last one is being sent.
fn hang_up_on(address: &str, first: usize, stop: &AtomicBool) {
    for n in (first..).step_by(4) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let request = |n: usize| {
            let body = format!(r#"{{"n": {n}, "list": [1, 2], "book": false}}"#);
            format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        let _ = stream.write_all(request(n).as_bytes());
        let _ = stream.peek(&mut [0]);
        // Closing a connection with an unread answer resets it.
        let _ = stream.write_all(request(n + 2).as_bytes());
        std::thread::sleep(Duration::from_micros(n as u64 % 40 * 100));
    }
}

#[test]
fn task_crashes_hang_ups_edits_and_commands_leave_no_run_without_an_owner() {
    let target = Target::new(&[&json(200, "{}")]);
    let rules = RULES.replace("TARGET", &target.url("/x"));
    let setup = Setup::with(&rules).env("DOORBELL_PLANTED", "lease:4,file:6,watch:2,retention:1,handover:6");
    let load = Load::default();
    for round in 0..3 {
        let doorbell = setup.serve();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _set = SetOnDrop(&stop);
            scope.spawn(|| hang_up_on(&doorbell.address, (round + 1) * 1_000_000 + 1, &stop));
            load.run(&doorbell, 80 + round * 60, || {
                for n in 0..3 {
                    setup.write("rules/rules.yaml", &format!("{rules}# edited {round}.{n}\n"));
                    setup.printed(&["prune", "--older-than", "1 day"]);
                    setup.printed(&["replay", "--rule", "Lines", "--since", "1 day", "--yes"]);
                    setup.printed(&["cancel", "--rule", "Nobody"]);
                    load.wait_for(40);
                }
                if round == 1 {
                    kill(&doorbell);
                }
            });
        });
        if round != 1 {
            // Everything is finished without a restart.
            wait_for_all_runs(&setup, "data");
        }
    }
    assert_done_once(&setup.path("output"), &load.answered.lock().unwrap(), &target);
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "needs libfaketime: apt-get install faketime")]
fn a_clock_that_jumps_loses_nothing_and_repeats_nothing() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = Setup::with(&RULES.replace("TARGET", &target.url("/x"))).env("LD_PRELOAD", env!("CLOCK_LIBRARY"));
    let offset = setup.path("offset");
    let setup = setup.env("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap());
    // Each look at the clock reads the file again; the monotonic clock stays correct.
    let setup = setup.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let jump = |seconds: i64| {
        clock::sweep();
        // Replaced in one step, since it may be read at any moment.
        setup.write("offset.new", &format!("{seconds:+}\n"));
        std::fs::rename(setup.path("offset.new"), &offset).unwrap();
    };
    jump(0);
    let load = Load::default();
    for jumps in [[3_600, -3_600, 40], [-86_400, 0, 7_200], [5, -30, 0]] {
        let doorbell = setup.serve();
        load.run(&doorbell, 60, || {
            for seconds in jumps {
                jump(seconds);
                load.wait_for(40);
            }
            kill(&doorbell);
        });
    }
    let _doorbell = setup.serve();
    // Runs that were postponed while the clock was ahead are due only at that time.
    jump(7_200);
    wait_for_all_runs(&setup, "data");
    let answered = load.answered.into_inner().unwrap();
    assert!(answered.len() > 500);
    assert_done_once(&setup.path("output"), &answered, &target);
    let events = setup.printed(&["events", "--last", "1000000"]);
    let days: HashSet<&str> =
        events.lines().filter_map(|line| line.split_whitespace().nth(1)).filter(|day| day.starts_with("20")).collect();
    assert!(days.len() > 1, "the clock has jumped to other days: {days:?}");
}

/// A disk whose power can be cut.
struct FailingDisk {
    image: PathBuf,
    folder: PathBuf,
}

impl FailingDisk {
    fn new(setup: &Setup) -> Self {
        let disk = Self { image: setup.path("disk.img"), folder: setup.path("disk") };
        std::fs::create_dir(&disk.folder).unwrap();
        std::fs::File::create(&disk.image).and_then(|f| f.set_len(64 << 20)).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image).status();
        if !made.is_ok_and(|s| s.success()) || !disk.mount() {
            unable("can_cut_power", "no disk can be made in a file and mounted");
        }
        disk
    }

    fn mount(&self) -> bool {
        Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.folder).output().is_ok_and(|o| o.status.success())
    }

    /// From now on nothing reaches the disk, and unflushed data is lost (EXT4_IOC_SHUTDOWN without a flush of the journal).
    fn cut_power(&self) {
        let cut = "import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        assert!(Command::new("python3").args(["-c", cut]).arg(&self.folder).status().unwrap().success());
    }

    /// Mounts a copy of what reached the disk at the same place, while Doorbell still has the failed one open.
    fn replace(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(&self.folder).status().unwrap().success());
        let image = self.image.with_extension("again");
        std::fs::copy(&self.image, &image).unwrap();
        self.image = image;
        assert!(self.mount());
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.folder).output().is_ok_and(|o| o.status.success())
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}

#[test]
#[cfg_attr(not(can_cut_power), ignore = "needs root, `mount`, loop devices, `mkfs.ext4` and `python3`: no disk's power can be cut here")]
fn a_power_cut_loses_no_answered_event_and_repeats_nothing() {
    for (data, output) in [("disk/data", "disk/output"), ("disk/data", "output"), ("data", "disk/output")] {
        let target = Target::new(&[&json(200, "{}")]);
        let setup = Setup::with(&RULES.replace("TARGET", &target.url("/x")));
        let disk = FailingDisk::new(&setup);
        let folders = ["--data", data, "--output", output];
        let load = Load::default();
        for round in 0..3 {
            let doorbell = setup.serve_with(&folders);
            load.run(&doorbell, 80 + round * 31, || {
                disk.cut_power();
                kill(&doorbell);
            });
            doorbell.kill();
            until("it can be unmounted", || disk.unmount());
            until("it can be mounted again", || disk.mount());
        }
        let doorbell = setup.serve_with(&folders);
        wait_for_all_runs(&setup, data);
        let answered = load.answered.lock().unwrap().clone();
        assert!(answered.len() > 200);
        assert_done_once(&setup.path(output), &answered, &target);
        doorbell.kill();
    }
}

#[test]
#[cfg_attr(not(can_cut_power), ignore = "needs root, `mount`, loop devices, `mkfs.ext4` and `python3`: no disk's power can be cut here")]
fn steps_wait_for_a_missing_output_disk_and_write_nothing_twice() {
    for more in [40, 70, 100] {
        let target = Target::new(&[&json(200, "{}")]);
        let setup = Setup::with(&RULES.replace("TARGET", &target.url("/x")));
        let mut disk = FailingDisk::new(&setup);
        let doorbell = setup.serve_with(&["--output", "disk/output"]);
        let load = Load::default();
        // The data folder is on another disk, so events are accepted all the time.
        load.run(&doorbell, more, || {
            disk.cut_power();
            load.wait_for(30);
            disk.replace();
            load.wait_for(30);
        });
        wait_for_all_runs(&setup, "data");
        assert_done_once(&setup.path("disk/output"), &load.answered.lock().unwrap(), &target);
        doorbell.kill();
    }
}

#[test]
fn lines_that_were_half_written_in_a_crash_are_removed_and_written_once() {
    const LIMIT: usize = 4 << 20;
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  One:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"one {{ body.n }} {{ body.text }}\" } ]\n  Two:\n    when: { webhook: /a }\n    then: [ { append: out.txt, text: \"two {{ body.n }} {{ body.text }}\" } ]\n",
    );
    // The system writes up to the file size limit and then kills the process. The limit is in units of 512 bytes and applies to
    // every file; the database stays far below it.
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -c 0; ulimit -f {}; exec \"$0\" \"$@\"", LIMIT / 512), env!("CARGO_BIN_EXE_doorbell")]);
    // There is room for the lines of one event and half of one more line.
    let (old, text) = ("old\n".repeat((LIMIT - 50_000) / 4), "x".repeat(20_000));
    setup.write("output/out.txt", &old);
    let mut doorbell = setup.serve_with_command(limited, &[]);
    doorbell.deliver("/a", &format!("{{\"n\": 1, \"text\": \"{text}\"}}"));
    until("the first lines are written", || setup.output("out.txt").len() == old.len() + 2 * (text.len() + 7));
    doorbell.post("/a", &format!("{{\"n\": 2, \"text\": \"{text}\"}}"));
    until("the process is killed", || doorbell.child.try_wait().unwrap().is_some());
    let torn = setup.output("out.txt");
    assert!(torn.len() == LIMIT && torn.ends_with('x'), "only a part of a line was written");
    let _doorbell = setup.serve();
    wait_for_all_runs(&setup, "data");
    let all = setup.output("out.txt");
    let mut lines: Vec<&str> = all.strip_prefix(&old).unwrap().lines().collect();
    lines.sort_unstable();
    assert!(lines == ["one 1", "one 2", "two 1", "two 2"].map(|line| format!("{line} {text}")), "each line is complete and there once");
}

#[test]
fn a_run_that_crashes_doorbell_three_times_is_quarantined() {
    let gone = ClosedPort::new();
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Bad:\n    when: {{ webhook: /a }}\n    one_at_a_time: true\n    then: [ {{ get: \"http://{}/\" }} ]\n",
        gone.address()
    ));
    let doorbell = setup.serve();
    let (bad, good) = (doorbell.deliver("/a", "{}"), doorbell.deliver("/a", "{}"));
    until("it waits for its next try", || setup.printed(&["explain", &bad]).contains("the connection failed"));
    doorbell.kill();
    // No run is known that crashes Doorbell, so the test writes the mark that such a run would leave.
    let run: i64 = 1 << 16;
    for times in 1..=3 {
        std::fs::write(setup.path("data/at-work"), run.to_le_bytes()).unwrap();
        let doorbell = setup.serve();
        let is_quarantined = setup
            .printed(&["failed"])
            .contains("Doorbell crashed or hung 3 times while it was computing this step, so the run is quarantined");
        assert_eq!(is_quarantined, times == 3, "after {times} times");
        if times == 3 {
            until("it is logged", || doorbell.logged("run made Doorbell crash or hang three times and is quarantined"));
            until("the next run of its lane continues", || setup.printed(&["explain", &good]).contains("the connection failed"));
        }
        doorbell.kill();
    }
    // After a replay, crashes are counted from zero.
    setup.printed(&["replay", &bad]);
    std::fs::write(setup.path("data/at-work"), run.to_le_bytes()).unwrap();
    let _doorbell = setup.serve();
    assert_eq!(setup.printed(&["failed"]), "No runs have failed.\n");
}
