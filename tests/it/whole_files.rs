//! `write: FILE` and `to_file: FILE`: a file is replaced as a whole, and whoever looks at it sees the old content or the new one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::{SetOnDrop, Setup, Target, json, project_folder, until};
use crate::spreadsheets::{cells, send, with_sheets};

fn hidden(setup: &Setup) -> Vec<String> {
    let all = std::fs::read_dir(setup.path("output")).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    all.filter(|name| name.starts_with('.') && name != ".doorbell.lock" && name != ".doorbell.downloads").collect()
}

#[test]
fn a_file_is_text_json_or_what_was_sent() {
    let steps = "- write: \"pages/{{ body.name }}.html\"\n  text: \"<p>{{ body.text }}</p>\"\n- write: state.json\n  json: { last: \"{{ body.name }}\", list: \"{{ body.list }}\" }\n- write: \"{{ body.photo.name }}\"\n  base64: \"{{ body.photo.base64 }}\"\n- write: report.csv\n  text: |\n    Name,Note\n    {{ body.name }},{{ body.text }}\n";
    let setup = with_sheets(&[], steps);
    setup.write("output/state.json", "old and much longer than the new one");
    std::fs::set_permissions(setup.path("output/state.json"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let body =
        r#"{"name": "../a/b", "text": "=1+1 <b>", "list": [1.50], "photo": {"name": "a.bin", "base64": "data:x/y;base64,/wAB\n/w=="}}"#;
    let said = send(&setup, &[body]);
    assert!(said.contains("1. write  done: wrote to pages/.._a_b.html"), "{said}");
    assert_eq!(setup.output("pages/.._a_b.html"), "<p>=1+1 &lt;b&gt;</p>");
    assert_eq!(setup.output("state.json"), "{\"last\":\"../a/b\",\"list\":[1.50]}\n");
    assert_eq!(std::fs::metadata(setup.path("output/state.json")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read(setup.path("output/a.bin")).unwrap(), [255, 0, 1, 255]);
    assert_eq!(setup.output("report.csv"), "Name,Note\n../a/b,'=1+1 <b>\n");
    assert_eq!(hidden(&setup), [""; 0]);
}

#[test]
fn what_cannot_be_written_is_said_and_nothing_changes() {
    let setup = with_sheets(&[], "- write: \"{{ body.file }}\"\n  base64: \"{{ body.content }}\"");
    std::fs::create_dir(setup.path("output/folder")).unwrap();
    for (file, content, why) in [
        ("folder", r#""YQ==""#, "failed: folder: it is a folder"),
        ("a", r#""?""#, "body.content is not Base64"),
        ("a", r#"{"name": "x", "base64": "YQ=="}"#, "body.content is a file; write its content: {{ body.content.base64 }}"),
        ("a", "[1]", "body.content is not text, so it is not Base64"),
        (".doorbell.x", r#""YQ==""#, "names that begin with .doorbell are reserved for Doorbell"),
    ] {
        let said = send(&setup, &[&format!(r#"{{"file": "{file}", "content": {content}}}"#)]);
        assert!(said.contains(why), "{said}");
    }
    assert!(!setup.path("output/a").exists() && hidden(&setup).is_empty());
}

#[test]
fn whoever_looks_at_a_file_never_sees_a_part_of_it() {
    let setup = with_sheets(&[], "- write: page.txt\n  text: \"{{#each body.list}}{{ body.n }} {{/each}}\"");
    let doorbell = setup.serve();
    let stop = AtomicBool::new(false);
    let list = (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    thread::scope(|scope| {
        let _set = SetOnDrop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let text = setup.output("page.txt");
                let mut words: Vec<&str> = text.split_whitespace().collect();
                assert!(words.is_empty() || words.len() == 5_000, "{}", words.len());
                words.dedup();
                assert!(words.len() <= 1);
            }
        });
        for n in 0..60 {
            doorbell.deliver("/a", &format!(r#"{{"n": {n}, "list": [{list}]}}"#));
        }
        until("all are done", || !setup.printed(&["events", "--last", "100"]).contains("waiting"));
    });
    assert!(!setup.output("page.txt").is_empty());
}

#[test]
fn a_write_that_is_done_is_not_done_again_over_a_newer_one() {
    // The writer crashes after the first file was written, and before its run is recorded.
    let setup = with_sheets(&[], "- write: last.txt\n  first_wait: 1 second\n  text: \"{{ body.n }}\"").env("DOORBELL_PLANTED", "file:1");
    let doorbell = setup.serve();
    let first = doorbell.deliver("/a", r#"{"n": 1}"#);
    until("the writer crashed", || doorbell.logged("planted: File"));
    let second = doorbell.deliver("/a", r#"{"n": 2}"#);
    let done = |event: &str| setup.printed(&["explain", event]).contains("✓ A");
    until("both are done", || done(&first) && done(&second));
    assert_eq!(setup.output("last.txt"), "2");
}

#[test]
fn a_file_that_is_replaced_as_a_whole_is_not_one_that_grows() {
    let rules = "webhooks:\n  /a: { verify: none }\nrules:\n  Grow:\n    when: { webhook: /a }\n    then:\n      - append: logs/a.log\n        text: x\n      - add_row: b.csv\n        columns: { A: x }\n  Replace:\n    when: { webhook: /a }\n    then:\n      - write: logs//a.log\n        text: x\n      - get: https://x.example.com\n        to_file: b.csv\n      - write: c.csv\n        text: x\n      - update_row: c.csv\n        match: A\n        columns: { A: x }\n";
    let said = Setup::with(rules).printed(&["check"]);
    for line in [
        "error: logs//a.log is replaced as a whole here, and `append` of the rule `Grow` changes a part of it",
        "error: b.csv is replaced as a whole here, and `add_row` of the rule `Grow` changes a part of it",
        "error: c.csv is replaced as a whole here, and `update_row` changes a part of it",
        "write to another file, such as one with the date in its name",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let off = rules.replace("  Grow:\n", "  Grow:\n    enabled: false\n").replace("update_row: c", "update_row: d");
    assert!(!Setup::with(&off).printed(&["check"]).contains("as a whole"));
}

#[test]
fn a_workbook_that_was_sent_is_kept_byte_for_byte_and_rows_can_be_found_in_it() {
    let sheet = std::fs::read_dir(project_folder().join("tests/sheets")).unwrap().map(|e| e.unwrap().path());
    let sheet = sheet.filter(|path| path.extension().is_some_and(|e| e == "xlsx")).min().unwrap();
    let setup = with_sheets(&[], "- write: kept.xlsx\n  base64: \"{{ body.base64 }}\"");
    let doorbell = setup.serve();
    let bytes = std::fs::read(&sheet).unwrap();
    let got = doorbell.send("POST", "/a", &[("content-type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")], &bytes);
    assert_eq!(got.status, 200);
    until("it is written", || std::fs::read(setup.path("output/kept.xlsx")).is_ok_and(|kept| kept == bytes));
    assert!(!cells(&setup.path("output/kept.xlsx"), &first_sheet(&sheet)).is_empty());
}

fn first_sheet(file: &std::path::Path) -> String {
    calamine::Reader::sheet_names(&calamine::open_workbook_auto(file).unwrap())[0].clone()
}

/// A server that gives each of these answers on a connection of its own, and closes it.
fn server(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = (&stream).write_all(&answer);
        }
    });
    format!("http://{address}/file")
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn download(url: &str) -> String {
    format!(
        "- get: {url}\n  first_wait: 50 milliseconds\n  max_size: 1 MB\n  to_file: \"files/{{{{ body.n }}}}.bin\"\n  save_as: got\n- append: got.jsonl\n  json: \"{{{{ got }}}}\""
    )
}

#[test]
fn an_answer_becomes_a_file_once_all_of_it_has_come() {
    let content: Vec<u8> = (0..900_000u32).map(|n| (n % 251) as u8).collect();
    let length = format!("200 OK\r\ncontent-type: image/png\r\ncontent-length: {}", content.len());
    // Twice, it is cut off: once before its end by the length, and once in the middle of a chunk.
    let url = server(vec![
        answer(&length, &content[..500_000]),
        answer("200 OK\r\ntransfer-encoding: chunked", b"400\r\nabc"),
        answer("503 Busy\r\ncontent-length: 4", b"busy"),
        answer(&length, &content),
    ]);
    let setup = with_sheets(&[], &download(&url));
    setup.write("output/files/1.bin", "old");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", r#"{"n": 1}"#);
    until("it is done", || {
        let now = std::fs::read(setup.path("output/files/1.bin")).unwrap();
        assert!(now == b"old" || now == content, "{} bytes", now.len());
        setup.printed(&["explain", &event]).contains("✓ A")
    });
    assert!(std::fs::read(setup.path("output/files/1.bin")).unwrap() == content);
    let said = setup.printed(&["explain", &event]);
    assert!(said.contains(&format!("done: GET {url} answered 200, 878 KB in files/1.bin")), "{said}");
    let got = setup.output("got.jsonl");
    assert!(got.starts_with(r#"{"status":200,"header":{"#) && got.ends_with("\"file\":\"files/1.bin\",\"size\":900000}\n"), "{got}");
    assert_eq!(std::fs::read_dir(setup.path("output/.doorbell.downloads")).unwrap().count(), 0);
}

#[test]
fn what_is_not_a_good_answer_leaves_the_file_as_it_was() {
    let large = format!("200 OK\r\ncontent-length: {}", 2 << 20);
    let much = [b"200000\r\n".as_slice(), &vec![b'x'; 2 << 20], b"\r\n0\r\n\r\n"].concat();
    for (answers, why) in [
        (answer("404 Not Found\r\ncontent-length: 4", b"none"), "failed: GET URL answered 404: none"),
        (answer(&large, b""), "failed: GET URL: it sent more than 1 MB; `max_size:` allows more"),
        (answer("200 OK\r\ntransfer-encoding: chunked", &much), "failed: GET URL: it sent more than 1 MB; `max_size:` allows more"),
        (answer("204 No Content", b""), "done: GET URL answered 204, so files/1.bin is not written"),
    ] {
        let url = server(vec![answers]);
        let setup = with_sheets(&[], &download(&url));
        setup.write("output/files/1.bin", "old");
        let said = send(&setup, &[r#"{"n": 1}"#]);
        assert!(said.contains(&why.replace("URL", &url)), "{said}");
        assert_eq!(setup.output("files/1.bin"), "old");
    }
}

#[test]
fn what_a_crash_left_of_a_download_is_removed() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", hangs.local_addr().unwrap());
    let setup = with_sheets(&[], &download(&url));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"n": 1}"#);
    let (mut stream, _) = hangs.accept().unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    stream.write_all(&answer("200 OK\r\ncontent-length: 6", b"abc")).unwrap();
    let parts = || std::fs::read_dir(setup.path("output/.doorbell.downloads")).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    until("a part has come", || parts().iter().any(|part| std::fs::read(part).is_ok_and(|bytes| bytes == b"abc")));
    doorbell.kill();
    assert_eq!(parts().len(), 1);
    let doorbell = setup.serve();
    let (mut stream, _) = hangs.accept().unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    stream.write_all(&answer("200 OK\r\ncontent-length: 6", b"abcdef")).unwrap();
    until("it is there", || setup.output("files/1.bin") == "abcdef");
    until("nothing is left", || parts().is_empty());
    drop(doorbell);
}

#[test]
fn dry_runs_and_tests_show_the_file() {
    let steps = "- get: https://x.example.com/photo\n  to_file: \"{{ body.n }}.png\"\n  save_as: got\n- write: note.txt\n  text: \"{{ got.file }} {{ got.size }}\"";
    let setup = with_sheets(&[], steps);
    setup.write("a.json", r#"{"n": 1}"#);
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    assert!(said.contains("to_file: 1.png") && said.contains("write  note.txt") && said.contains("‹got.file› ‹got.size›"), "{said}");
    let rules = std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap();
    let test = "    tests:\n      - name: it\n        send: { json: { n: 1 } }\n        replies: [{ text: abc }]\n        expect:\n          - get: https://x.example.com/photo\n            to_file: 1.png\n          - write: note.txt\n            text: 1.png 3\n";
    setup.write("rules/rules.yaml", &(rules + test));
    assert!(setup.printed(&["test"]).ends_with("\n1 test passed\n"), "{}", setup.printed(&["test"]));
}

/// The parts of a form, each with its head and its content.
fn parts(body: &str, kind: &str) -> Vec<(String, String)> {
    let boundary = format!("--{}", kind.strip_prefix("multipart/form-data; boundary=").unwrap());
    let inner = body.strip_prefix(&format!("{boundary}\r\n")).unwrap().strip_suffix(&format!("\r\n{boundary}--\r\n")).unwrap();
    inner
        .split(&format!("\r\n{boundary}\r\n"))
        .map(|part| part.split_once("\r\n\r\n").unwrap())
        .map(|(h, c)| (h.into(), c.into()))
        .collect()
}

#[test]
fn a_form_is_sent_with_files_of_the_output_folder_and_files_that_were_sent() {
    let target = Target::new(&[&json(503, "{}"), &json(200, "{}")]);
    let steps = format!(
        "- append: log.txt\n  text: \"{{{{ body.title }}}}\"\n- post: {}\n  first_wait: 50 milliseconds\n  form: {{ title: \"{{{{ body.title }}}}\", tags: \"{{{{ body.tags }}}}\" }}\n  files:\n    log: log.txt\n    photo: {{ base64: \"{{{{ body.photo.base64 }}}}\", name: \"{{{{ body.photo.name }}}}\", type: text/plain }}\n    more: [log.txt, {{ file: log.txt, name: other.csv }}]",
        target.url("/upload")
    );
    let setup = with_sheets(&[], &steps);
    let body = r#"{"title": "a\r\n\"b\"", "tags": ["x", "y"], "photo": {"base64": "aGVsbG8", "name": "c:\\x\\he\"llo\u0001.txt"}}"#;
    send(&setup, &[body]);
    let calls = target.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].body, calls[1].body, "every try sends the same");
    let disposition = |rest: &str| format!("Content-Disposition: form-data; name={rest}");
    let line = "a  \"b\"\n".to_owned();
    assert_eq!(
        parts(&calls[1].body, calls[1].header("content-type")),
        [
            (disposition("\"title\""), "a\r\n\"b\"".to_owned()),
            (disposition("\"tags\""), "x".to_owned()),
            (disposition("\"tags\""), "y".to_owned()),
            (disposition("\"log\"; filename=\"log.txt\"\r\nContent-Type: text/plain"), line.clone()),
            (disposition("\"photo\"; filename=\"he%22llo.txt\"\r\nContent-Type: text/plain"), "hello".to_owned()),
            (disposition("\"more\"; filename=\"log.txt\"\r\nContent-Type: text/plain"), line.clone()),
            (disposition("\"more\"; filename=\"other.csv\"\r\nContent-Type: text/csv"), line),
        ]
    );
}

#[test]
fn a_form_with_files_is_read_by_doorbell_itself_whatever_is_in_it() {
    let receiver = Setup::with(
        "webhooks:\n  /in: { verify: none, max_body: 50 MB }\nrules:\n  A:\n    when: { webhook: /in }\n    then:\n      - write: \"got-{{ body.file.name }}\"\n        base64: \"{{ body.file.base64 }}\"\n      - append: got.jsonl\n        json: [\"{{ body.text }}\", \"{{ body.file.type }}\", \"{{ body.file.size }}\"]\n",
    );
    let other = receiver.serve();
    let setup = with_sheets(
        &[],
        &format!("- post: http://{}/in\n  form: {{ text: \"{{{{ body.text }}}}\" }}\n  files: {{ file: big.pdf }}", other.address),
    );
    let content: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(setup.path("output/big.pdf"), &content).unwrap();
    send(&setup, &[r#"{"text": "--doorbell\r\n\r\nx"}"#]);
    until("it has arrived", || !receiver.output("got.jsonl").is_empty());
    assert!(std::fs::read(receiver.path("output/got-big.pdf")).unwrap() == content);
    assert_eq!(receiver.output("got.jsonl"), "[\"--doorbell\\r\\n\\r\\nx\",\"application/pdf\",20000000]\n");
}

#[test]
fn a_file_that_cannot_be_sent_is_a_failure_and_no_path_leads_out_of_the_folder() {
    let target = Target::new(&[&json(200, "{}")]);
    let setup = with_sheets(&[], &format!("- post: {}\n  files: {{ f: \"{{{{ body.file }}}}\" }}", target.url("/u")));
    setup.write("secret.txt", "hidden");
    std::os::unix::fs::symlink(setup.path("secret.txt"), setup.path("output/link.txt")).unwrap();
    std::fs::create_dir(setup.path("output/folder")).unwrap();
    for (file, why) in [
        ("none.txt", "failed: none.txt does not exist in the output folder"),
        ("link.txt", "failed: link.txt would be outside the output folder"),
        ("../secret.txt", "failed: .._secret.txt does not exist in the output folder"),
        ("folder", "failed: folder: it is a folder"),
    ] {
        let said = send(&setup, &[&format!(r#"{{"file": "{file}"}}"#)]);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(target.calls().len(), 0);
}

#[test]
fn tests_and_dry_runs_show_the_files_of_a_form() {
    let steps =
        "- post: https://x.example.com/u\n  form: { a: 1 }\n  files: { one: a.pdf, two: { base64: \"{{ body.f.base64 }}\", name: b.png } }";
    let setup = with_sheets(&[], steps);
    setup.write("a.json", r#"{"f": {"base64": "aGk="}}"#);
    let said = setup.printed(&["try", "a.json", "--path", "/a"]);
    for line in ["content-type: multipart/form-data", "a: 1", "one: a.pdf (application/pdf)", "two: b.png (image/png, 2 bytes)"] {
        assert!(said.contains(line), "{said}");
    }
    let rules = std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap();
    let test = |files: &str| {
        let test = format!(
            "    tests:\n      - name: it\n        send: {{ json: {{ f: {{ base64: aGk= }} }} }}\n        expect:\n          - post: https://x.example.com/u\n            form: {{ a: 1 }}\n            files: {files}\n"
        );
        setup.write("rules/rules.yaml", &(rules.clone() + &test));
        setup.printed(&["test"])
    };
    for files in ["{ one: a.pdf }", "{ one: { type: application/pdf }, two: { name: b.png, base64: aGk= } }"] {
        assert!(test(files).ends_with("\n1 test passed\n"), "{}", test(files));
    }
    assert!(test("{ one: b.pdf }").contains("≠"), "{}", test("{ one: b.pdf }"));
    // A boundary cannot be guessed, so nobody can write it into a value.
    let target = Target::new(&[&json(200, "{}")]);
    let boundary = || {
        let setup = with_sheets(&[], &format!("- post: {}\n  form: {{ a: b }}\n  type: multipart/form-data", target.url("/u")));
        send(&setup, &["{}"]);
        target.calls().last().unwrap().header("content-type").to_owned()
    };
    assert_ne!(boundary(), boundary());
}
