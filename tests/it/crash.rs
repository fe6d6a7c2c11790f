//! `kill -9` at any moment: every event that was answered is acted on, lines and rows exactly once.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::world::{Target, World, json, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  Lines:\n    when: { webhook: /a }\n    then:\n      - append: lines.log\n        text: \"{{ body.n }}\"\n      - add_row: rows.csv\n        columns: { N: \"{{ body.n }}\" }\n  Elements:\n    when: { webhook: /a }\n    then:\n      - append: elements.log\n        for_each: body.list\n        text: \"{{ body.n }}-{{ item }}\"\n  Book:\n    when: { webhook: /a }\n    if: { body.book: true }\n    then:\n      - add_row: book.xlsx\n        columns: { N: \"{{ body.n }}\" }\n  Calls:\n    when: { webhook: /a }\n    if: { body.book: true }\n    then:\n      - post: TARGET\n        json: { n: \"{{ body.n }}\" }\n        first_wait: 10 milliseconds\n  Changed:\n    when: { webhook: /a }\n    then:\n      - add_row: changed.csv\n        columns: { N: \"{{ body.n }}\", State: new }\n      - update_row: changed.csv\n        match: N\n        columns: { N: \"{{ body.n }}\", State: done }\n  Queue:\n    when: { webhook: /a }\n    one_at_a_time: body.book\n    once_per: body.n\n    then:\n      - append: queue.log\n        text: \"{{ body.n }}\"\n";

/// Rings until the other side is gone; remembers what was answered.
fn ring(address: &str, next: &AtomicUsize, answered: &Mutex<Vec<usize>>, stop: &AtomicBool) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    while !stop.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"n": {n}, "list": [1, 2], "book": {}}}"#, n.is_multiple_of(20));
        let request =
            format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut answer = [0; 1024];
        if stream.write_all(request.as_bytes()).is_err() {
            return;
        }
        match stream.read(&mut answer) {
            Ok(length) if String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 200") => answered.lock().unwrap().push(n),
            _ => return,
        }
    }
}

fn counts(text: &str) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for line in text.lines() {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

#[test]
fn what_was_answered_is_done_exactly_once() {
    let target = Target::new(&[&json(200, "{}")]);
    let world = World::with(&RULES.replace("TARGET", &target.url("/x")));
    let (next, answered) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    for round in 0..8u64 {
        let doorbell = world.serve();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ring(&doorbell.address, &next, &answered, &stop));
            }
            let before = answered.lock().unwrap().len();
            // The moment comes with the load, not with the clock: after so many answers, another number each time.
            let wanted = before + 60 + (round * 37 % 150) as usize;
            until("enough was answered", || answered.lock().unwrap().len() >= wanted);
            stop.store(true, Ordering::Relaxed);
            std::process::Command::new("kill").args(["-9", &doorbell.child.id().to_string()]).status().unwrap();
        });
        doorbell.kill();
    }
    let _doorbell = world.serve();
    until("nothing waits any more", || {
        let said = world.said(&["events", "--last", "1"]);
        !said.contains("waiting")
    });
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() > 400);
    let (lines, rows, elements) = (world.output("lines.log"), world.output("rows.csv"), world.output("elements.log"));
    let (lines, rows, elements) = (counts(&lines), counts(&rows), counts(&elements));
    let (changed, queue) = (world.output("changed.csv"), world.output("queue.log"));
    let (changed, queue) = (counts(&changed), counts(&queue));
    let mut book = calamine::open_workbook_auto(world.path("output/book.xlsx")).unwrap();
    let range = calamine::Reader::worksheet_range_at(&mut book, 0).unwrap().unwrap();
    let booked: Vec<String> = range.rows().skip(1).map(|r| r[0].to_string()).collect();
    let booked = booked.join("\n");
    let booked = counts(&booked);
    let called: Vec<String> = target.calls().iter().map(|c| c.body.clone()).collect();
    for n in &answered {
        let n = n.to_string();
        assert_eq!(lines.get(n.as_str()), Some(&1), "line {n}");
        assert_eq!(rows.get(n.as_str()), Some(&1), "row {n}");
        assert_eq!(changed.get(format!("{n},done").as_str()), Some(&1), "changed {n}");
        assert_eq!(queue.get(n.as_str()), Some(&1), "queued {n}");
        assert_eq!(elements.get(format!("{n}-1").as_str()), Some(&1), "element {n}-1");
        assert_eq!(elements.get(format!("{n}-2").as_str()), Some(&1), "element {n}-2");
        if n.parse::<usize>().unwrap().is_multiple_of(20) {
            assert_eq!(booked.get(n.as_str()), Some(&1), "booked {n}");
            assert!(called.contains(&format!(r#"{{"n":{n}}}"#)), "called {n}");
        }
    }
    // What was kept but not answered in time is done once as well, never twice.
    for (what, all) in
        [("line", &lines), ("row", &rows), ("element", &elements), ("booked", &booked), ("changed row", &changed), ("queued line", &queue)]
    {
        assert!(all.values().all(|n| *n == 1), "a {what} stands twice");
    }
    assert!(world.said(&["failed"]).contains("No run has failed."));
}

#[test]
fn a_run_that_brings_doorbell_down_is_set_aside_after_three_times() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Bad:\n    when: {{ webhook: /a }}\n    one_at_a_time: true\n    then: [ {{ get: \"http://{gone}/\" }} ]\n"
    ));
    let doorbell = world.serve();
    let (bad, good) = (doorbell.ring("/a", "{}"), doorbell.ring("/a", "{}"));
    until("it waits for its next try", || world.said(&["explain", &bad]).contains("no connection"));
    doorbell.kill();
    // Nothing is known that brings Doorbell down; so this is the mark that such a run would leave.
    let run: i64 = 1 << 16;
    for times in 1..=3 {
        std::fs::write(world.path("data/at-work"), run.to_le_bytes()).unwrap();
        let doorbell = world.serve();
        let set_aside = world.said(&["failed"]).contains("Doorbell died or hung 3 times while it worked this step out, so it is set aside");
        assert_eq!(set_aside, times == 3, "after {times} times");
        if times == 3 {
            until("it is named", || doorbell.logged("this run made Doorbell die or hang three times and is set aside"));
            until("the next of its lane goes on", || world.said(&["explain", &good]).contains("no connection"));
        }
        doorbell.kill();
    }
    // A replay begins to count anew.
    world.said(&["replay", &bad]);
    std::fs::write(world.path("data/at-work"), run.to_le_bytes()).unwrap();
    let _doorbell = world.serve();
    assert_eq!(world.said(&["failed"]), "No run has failed.\n");
}
