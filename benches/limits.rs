//! Measures Doorbell at its limits: start and check with many rules, memory with many connections, events and waiting
//! runs, a burst, and a large workbook.
//!
//!     cargo bench --bench limits                  # a hundred thousand events
//!     cargo bench --bench limits -- 1000000       # a million

mod bench;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Server, memory, request, whole};

const RULE: &str = "when: { webhook: /webhook }\n    if: { body.plan: pro }\n    then:";

fn main() {
    let events = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(100_000);
    start();
    check();
    workbook();
    idle();
    took(events);
    waiting(events);
}

fn say(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<66} {figure}");
    std::io::stdout().flush().expect("an output");
}

fn ms(since: Instant) -> String {
    format!("{:.0} ms", since.elapsed().as_secs_f64() * 1_000.0)
}

fn mb(child: &Child) -> String {
    format!("{:.0} MB", memory(child))
}

/// A folder with these rules, whose addresses are open on purpose.
fn folder(rules: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rung = |line: &str| Some(line.trim().strip_prefix("when: { webhook: ")?.strip_suffix(" }")?.to_owned());
    let addresses: String = rules.lines().filter_map(rung).map(|address| format!("  {address}: {{ verify: none }}\n")).collect();
    std::fs::create_dir(folder.path().join("rules")).expect("a folder");
    std::fs::write(folder.path().join("rules/bench.yaml"), format!("webhooks:\n{addresses}rules:\n{rules}")).expect("a file");
    folder
}

fn doorbell(folder: tempfile::TempDir) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
    command.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]);
    Server::start(command, folder, "/webhook")
}

fn many(count: usize) -> String {
    (0..count)
        .map(|n| format!("  Rule {n}:\n    when: {{ webhook: /w{n} }}\n    if: {{ body.a: {n}, body.b: {{ over: 3 }} }}\n    then:\n      - append: a.log\n        text: \"{{{{ body.a }}}}\"\n      - log: \"{{{{ body.b }}}}\"\n"))
        .collect()
}

/// Sends a request on a connection that stays open; returns whether the answer was 200.
fn ask(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> bool {
    answer.clear();
    stream.write_all(request).expect("it is sent");
    let mut bytes = [0; 4096];
    while !whole(answer) {
        let length = stream.read(&mut bytes).expect("it is answered");
        assert!(length > 0, "the connection was closed");
        answer.extend_from_slice(&bytes[..length]);
    }
    answer.starts_with(b"HTTP/1.1 200")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Sends this many requests over 64 connections; refused ones are sent again.
fn ring(server: &Server, events: usize) {
    let next = AtomicUsize::new(0);
    let request = request(server.path);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let (mut stream, mut answer) = (connect(server), Vec::new());
                while next.fetch_add(1, Ordering::Relaxed) < events {
                    while !ask(&mut stream, &request, &mut answer) {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
    });
}

fn lines(server: &Server, name: &str) -> usize {
    std::fs::File::open(server.folder.path().join("output").join(name)).map_or(0, |f| BufReader::new(f).split(b'\n').count())
}

fn start() {
    let folder = folder(&format!("{}  One:\n    {RULE} [ {{ append: out.log, text: hi }} ]\n", many(1_000)));
    let clock = Instant::now();
    let server = doorbell(folder);
    assert!(ask(&mut connect(&server), &request(server.path), &mut Vec::new()));
    say("from start to the first answer, 1,001 rules", ms(clock));
}

fn check() {
    let folder = folder(&many(5_000));
    let clock = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_doorbell"))
        .current_dir(folder.path())
        .arg("check")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it runs");
    say("check of 5,000 rules", format!("{} (exit {})", ms(clock), status.code().unwrap_or(-1)));
}

/// Adds 1,000 rows to a workbook that has 100,000.
fn workbook() {
    let one = "      - add_row: book.xlsx\n        columns: { Id: \"{{ body.id }}\", Title: one, Price: 1, When: \"{{ now }}\" }\n      - append: done.log\n        text: done\n";
    let folder = folder(&format!("  One:\n    {RULE}\n{one}"));
    std::fs::create_dir(folder.path().join("output")).expect("a folder");
    std::fs::write(folder.path().join("output/book.xlsx"), large_workbook(100_000)).expect("a file");
    let server = doorbell(folder);
    let clock = Instant::now();
    ring(&server, 1_000);
    while lines(&server, "done.log") < 1_000 {
        thread::sleep(Duration::from_millis(5));
    }
    say("1,000 rows into a workbook of 100,000, one event each", format!("{}, {}", ms(clock), mb(&server.child)));
}

fn large_workbook(rows: usize) -> Vec<u8> {
    let mut sheet = "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>".to_owned();
    for n in 0..=rows {
        let cells = if n == 0 {
            ["Id".into(), "Title".into(), "Price".into(), "When".into()]
        } else {
            [format!("ord_{n}"), format!("Thing {n}"), format!("{n}.50"), "2026-01-01".into()]
        };
        let cells: String = cells.iter().map(|c: &String| format!("<c t=\"inlineStr\"><is><t>{c}</t></is></c>")).collect();
        sheet += &format!("<row r=\"{}\">{cells}</row>", n + 1);
    }
    sheet += "</sheetData></worksheet>";
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let parts = [
        ("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>".to_owned()),
        ("_rels/.rels", format!("<Relationships xmlns=\"x\"><Relationship Id=\"r\" Type=\"{relation}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>")),
        ("xl/workbook.xml", format!("<workbook xmlns:r=\"{relation}\"><sheets><sheet name=\"One\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>")),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships xmlns=\"x\"><Relationship Id=\"rId1\" Type=\"{relation}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>")),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part");
        zip.write_all(text.as_bytes()).expect("a part");
    }
    zip.finish().expect("a workbook").into_inner()
}

fn idle() {
    let server = doorbell(folder(&format!("  One:\n    {RULE} [ {{ append: out.log, text: hi }} ]\n")));
    thread::sleep(Duration::from_secs(1));
    say("memory, idle, one rule", mb(&server.child));
    let live = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut connections = Vec::new();
    for _ in 0..9_900 {
        let mut stream = connect(&server);
        assert!(ask(&mut stream, live, &mut Vec::new()));
        connections.push(stream);
    }
    say("memory, 9,900 idle connections", mb(&server.child));
}

fn took(events: usize) {
    let server = doorbell(folder(&format!("  One:\n    {RULE} [ {{ append: out.log, text: \"{{{{ body.id }}}}\" }} ]\n")));
    let clock = Instant::now();
    ring(&server, events);
    let answered = ms(clock);
    while lines(&server, "out.log") < events {
        thread::sleep(Duration::from_millis(20));
    }
    say(&format!("a burst of {events} events on 64 connections: answered, and all done"), format!("{answered}, {}", ms(clock)));
    say(&format!("memory after {events} events"), mb(&server.child));
}

/// The app that the rule calls does not answer, so all runs wait.
fn waiting(events: usize) {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("an address");
    let server =
        doorbell(folder(&format!("  One:\n    {RULE} [ {{ post: \"http://{gone}/\", json: {{ id: \"{{{{ body.id }}}}\" }} }} ]\n")));
    let clock = Instant::now();
    ring(&server, events);
    say(&format!("{events} events for a server that is down: answered"), ms(clock));
    say(&format!("memory with {events} runs waiting"), mb(&server.child));
}
