//! The servers that the benches call, each in a folder of its own, and the order of 1.5 KB that they send.

#![allow(dead_code, reason = "each bench needs its part of it")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A request with an order.
pub fn request(path: &str) -> Vec<u8> {
    let body = include_str!("../order.json");
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A server under load, in a folder of its own.
pub struct Server {
    pub child: Child,
    pub address: String,
    pub path: &'static str,
    pub folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start(mut command: Command, folder: tempfile::TempDir, path: &'static str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it has an output")).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit('/').next().unwrap_or("").to_owned();
        Self { child, address, path, folder }
    }

    pub fn floor() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("floor");
        Self::start(command, tempfile::tempdir().expect("a folder"), "/webhook")
    }

    pub fn doorbell(job: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let step = match job {
            "B" => {
                format!("post: http://{}/\n        json: {{ order: \"{{{{ body.id }}}}\", text: \"Hello {{{{ body.name }}}}\" }}", sink())
            }
            _ => "append: out.log\n        text: \"{{ body.name }} <{{ body.email }}>\"".to_owned(),
        };
        let rule = |name: &str, field: &str, value: &str| {
            format!("  {name}:\n    when: {{ webhook: /webhook }}\n    if: {{ {field}: {value} }}\n    then:\n      - {step}\n")
        };
        let mut rules = "webhooks:\n  /webhook: { verify: none }\nrules:\n".to_owned();
        match job.strip_prefix('C').and_then(|n| n.parse::<usize>().ok()) {
            None => rules += &rule("All", "body.plan", "pro"),
            Some(count) => {
                rules += &rule("This", "body.metadata.campaign", "spring-26");
                (1..count).for_each(|n| rules += &rule(&format!("Other {n}"), "body.metadata.campaign", &format!("other-{n}")));
            }
        }
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        std::fs::write(folder.path().join("rules/bench.yaml"), rules).expect("a rule file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
        command.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]);
        Self::start(command, folder, "/webhook")
    }

    /// github.com/adnanh/webhook, as Debian packages it; answers when its command has ended.
    pub fn webhook(job: &str) -> Option<Self> {
        let found = Path::new("/usr/bin/webhook");
        if !found.exists() {
            println!("{job}: webhook is not installed, so there is no peer to compare with (apt-get install webhook curl)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let act = match job {
            "B" => {
                format!("exec curl -s -o /dev/null -d \"{{\\\"order\\\":\\\"$1\\\",\\\"text\\\":\\\"Hello $2\\\"}}\" http://{}/\n", sink())
            }
            _ => format!("printf '%s <%s>\\n' \"$2\" \"$3\" >> {}\n", folder.path().join("out.log").display()),
        };
        let script = folder.path().join("act.sh");
        std::fs::write(&script, format!("#!/bin/sh\n{act}")).expect("a script");
        Command::new("chmod").arg("+x").arg(&script).status().expect("chmod");
        let value = |name: &str| serde_json::json!({"source": "payload", "name": name});
        let hooks = serde_json::json!([{
            "id": "bench", "execute-command": script, "include-command-output-in-response": true,
            "pass-arguments-to-command": [value("id"), value("name"), value("email")],
            "trigger-rule": {"match": {"type": "value", "value": "pro", "parameter": value("plan")}},
        }]);
        std::fs::write(folder.path().join("hooks.json"), hooks.to_string()).expect("hooks");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let child = Command::new(found)
            .current_dir(folder.path())
            .args(["-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", &port.to_string(), "-urlprefix", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let address = format!("127.0.0.1:{port}");
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self { child, address, path: "/bench", folder })
    }
}

/// Whether an answer with a length is complete.
pub fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).and_then(|l| l.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// An app that accepts calls and discards them; returns its address.
fn sink() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").to_string()).expect("somebody listens");
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = vec![0; 8192];
                    while let Ok(length) = stream.read(&mut bytes).await {
                        if length == 0 || stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    });
    told.recv().expect("the sink listens")
}

/// How much memory a process uses, in MB.
pub fn memory(child: &Child) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id())).expect("it is there");
    let line = text.lines().find(|l| l.starts_with("Rss:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).expect("a number") / 1024.0
}
