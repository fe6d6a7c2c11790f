//! A browser as far as most tests of the console need one: it logs in with the link, keeps the cookie, sends forms.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Doorbell, MAX_WAIT, Response, Setup, parse_response};

/// Somebody who uses the console.
pub struct Visitor {
    /// `127.0.0.1:43210`
    pub address: String,
    pub cookie: String,
}

impl Setup {
    /// Starts Doorbell with a console at a free port.
    pub fn serve_with_console(&self, arguments: &[&str]) -> Doorbell {
        self.serve_with(&[&["--console", "127.0.0.1:0"], arguments].concat())
    }

    /// The link that `doorbell console` prints.
    pub fn console_link(&self) -> String {
        let out = self.run(&["console"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Somebody who has opened that link.
    pub fn visitor(&self) -> Visitor {
        let link = self.console_link();
        let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut visitor = Visitor { address: address.to_owned(), cookie: String::new() };
        let got = visitor.get(&format!("/{path}"));
        assert_eq!((got.status, got.header("location")), (303, "/"), "{got:?}");
        visitor.cookie = got.header("set-cookie").split(';').next().unwrap().to_owned();
        visitor
    }
}

impl Visitor {
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    /// Sends a form as a page of the console does, and returns the page that follows.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let got = self.submit(path, fields);
        if got.status == 303 { self.get(got.header("location")) } else { got }
    }

    /// Sends a form as a page of the console does.
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.send("POST", path, &[("sec-fetch-site", "same-origin")], &form(fields))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let kind = "application/x-www-form-urlencoded";
        let (mut request, length) = (format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n"), body.len().to_string());
        let has = |name: &str| headers.iter().any(|(n, _)| *n == name);
        let host = self.address.as_str();
        let usual = [("host", host), ("content-type", kind), ("cookie", self.cookie.as_str()), ("content-length", length.as_str())];
        for (name, value) in usual.iter().filter(|(n, _)| !has(n)).chain(headers) {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        let _ = stream.write_all((request + body).as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse_response(&String::from_utf8_lossy(&answer))
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    fields.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect::<Vec<_>>().join("&")
}
