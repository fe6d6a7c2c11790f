//! `one_at_a_time` with many values: the runs of each value stay in order through a crash and a reload.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::harness::{Setup, until};

const KEYS: usize = 10_000;
const SENDERS: usize = 16;

fn rules(word: &str) -> String {
    format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  Write:\n    when: {{ webhook: /a }}\n    one_at_a_time: body.key\n    then: [ {{ append: out.txt, text: \"{{{{ body.key }}}} {{{{ body.n }}}} {word}\" }}, {{ append: second.txt, text: x }} ]\n"
    )
}

/// Sends numbers for the keys of one sender, one after the other; returns those that were answered with 200.
fn send(address: &str, sender: usize, numbers: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    let mut accepted = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return accepted };
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for n in numbers {
        for key in (sender..KEYS).step_by(SENDERS) {
            let body = format!("{{\"key\":\"k{key}\",\"n\":{n}}}");
            let head = format!("POST /a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).is_err() || !is_accepted(&mut answers) {
                return accepted;
            }
            accepted.push((key, n));
        }
    }
    accepted
}

fn is_accepted(answers: &mut BufReader<TcpStream>) -> bool {
    let (mut status, mut length) = (String::new(), 0);
    if answers.read_line(&mut status).unwrap_or(0) == 0 {
        return false;
    }
    loop {
        let mut line = String::new();
        match answers.read_line(&mut line) {
            Ok(n) if n > 2 => {}
            Ok(2) => break,
            _ => return false,
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    answers.read_exact(&mut vec![0; length]).is_ok() && status.contains(" 200 ")
}

fn send_all(address: &str, numbers: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn({
                    let numbers = numbers.clone();
                    move || send(address, sender, numbers)
                })
            })
            .collect();
        senders.into_iter().flat_map(|s| s.join().unwrap()).collect()
    })
}

#[test]
fn ten_thousand_values_keep_their_order_through_a_crash_and_a_reload() {
    let setup = Setup::with(&rules("first"));
    let doorbell = setup.serve();
    let address = doorbell.address.clone();
    let sending = thread::spawn(move || send_all(&address, 0..2));
    until("some lines are written", || setup.output("out.txt").lines().count() > 3_000);
    doorbell.kill();
    let mut accepted = sending.join().unwrap();
    let doorbell = setup.serve();
    setup.write("rules/rules.yaml", &rules("second"));
    accepted.extend(send_all(&doorbell.address, 2..3));
    let lines = || setup.output("out.txt").lines().count();
    until("every accepted number is written", || {
        lines() >= accepted.len() && setup.printed(&["events", "--last", "1"]).lines().last().is_some_and(|l| !l.contains("waiting"))
    });
    let mut written: HashMap<String, Vec<usize>> = HashMap::new();
    for line in setup.output("out.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        written.entry(words[0].to_owned()).or_default().push(words[1].parse().unwrap());
    }
    assert!(written.values().all(|numbers| numbers.is_sorted_by(|a, b| a < b)), "each key is in order and no number is written twice");
    let missing = accepted.iter().filter(|(key, n)| !written.get(&format!("k{key}")).is_some_and(|all| all.contains(n))).count();
    assert_eq!(missing, 0, "of {} that were accepted", accepted.len());
    assert!(accepted.len() > KEYS);
}
