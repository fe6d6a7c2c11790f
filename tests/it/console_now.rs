//! What the console's pages tell by themselves: addresses that nobody listens at, how servers answer, and what changes while one
//! looks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::console_client::Visitor;
use crate::harness::{ClosedPort, MAX_WAIT, Setup, Target, until};

const RULES: &str = "webhooks:\n  /orders: { verify: none }\nrules:\n  A:\n    when: { webhook: /orders }\n    then:\n      - append: a.log\n        text: x\n";

impl Visitor {
    /// Opens a stream of what changes, as a page does.
    fn listen(&self, query: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        write!(stream, "GET /live{query} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nconnection: close\r\n\r\n", self.address, self.cookie)
            .unwrap();
        let mut stream = BufReader::new(stream);
        assert!(says(&mut stream, "text/event-stream"), "it has begun");
        stream
    }
}

/// Reads a stream up to a line that contains some text; `false` if it ends before.
fn says(stream: &mut BufReader<TcpStream>, text: &str) -> bool {
    stream.by_ref().lines().map_while(Result::ok).any(|line| line.contains(text))
}

#[test]
fn addresses_without_a_rule_that_were_called_are_shown_with_the_one_that_was_meant() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    assert!(visitor.get("/").body.contains("Nothing needs you."));
    let mut stream = visitor.listen("?of=/");
    assert!(says(&mut stream, "Nothing needs you."));
    serving.post("/my-app", "{}");
    assert!(says(&mut stream, "/my-app"), "it is shown at once");
    for _ in 0..2 {
        assert_eq!(serving.post("/ordes", "{}").status, 404);
    }
    let page = visitor.get("/").body;
    for words in [
        "Somebody called <code><span>POST</span> <span>/ordes</span></code>.",
        "got 404, 2 times, last at",
        "Did you mean <code>/orders</code>?",
        "href=\"/new?path=%2Fordes\"",
        "An address without a rule was called",
        "href=\"/new?path=%2Fmy-app\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Nothing needs you."));
    assert!(visitor.get("/new?path=/my-app").body.contains("value=\"/my-app\""));
    // A rule is the answer.
    setup.write("rules/app.yaml", &RULES.replace("/orders", "/my-app").replace("  A:", "  B:"));
    serving.reload();
    until("it is gone", || !visitor.get("/").body.contains("An address without a rule was called"));
}

#[test]
fn the_number_of_failed_runs_in_the_menu_changes_on_every_page() {
    let closed = ClosedPort::new();
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: http://{}/x\n        tries: 1\n",
        closed.address()
    );
    let setup = Setup::with(&rules);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    assert!(visitor.get("/edit/rules.yaml").body.contains("<span class=\"count\" id=\"failed-count\" hidden></span>"));
    let mut stream = visitor.listen("");
    assert!(says(&mut stream, "event: failed"));
    serving.deliver("/a", "{}");
    assert!(says(&mut stream, "data: 1"));
    assert!(visitor.get("/edit/rules.yaml").body.contains("<span class=\"count\" id=\"failed-count\">1</span>"));
}

#[test]
fn many_open_pages_of_one_login_neither_lock_it_out_nor_slow_others_down() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let (visitor, other) = (setup.visitor(), setup.visitor());
    let mut open: Vec<_> = (0..40).map(|_| visitor.listen("?of=/events?text=x")).collect();
    let mut last = open.pop().unwrap();
    assert!(says(&mut last, "event: part"), "the latest one is told what changes");
    assert!(!says(&mut open[0], "never said"), "the first one was closed");
    assert!(says(&mut other.listen("?of=/"), "event: part"));
    assert_eq!(other.get("/events").status, 200);
}

#[test]
fn the_page_of_servers_shows_how_long_calls_take() {
    let target = Target::new(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: {}\n",
        target.url("/x")
    );
    let setup = Setup::with(&rules);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    serving.deliver("/a", "{}");
    until("the call is counted", || visitor.get("/servers").body.contains("(1 call)"));
    let page = visitor.get("/servers").body;
    assert!(page.contains("half of them at most ") && page.contains(", the slowest at most "), "{page}");
}
