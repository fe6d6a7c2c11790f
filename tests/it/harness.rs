//! What all tests use: a folder with rules, a running Doorbell, a client that sends webhooks, and an app for it to call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen, before it fails. Only a failing test takes this long, so it is
/// generous: the machine may be busy with other things.
pub const MAX_WAIT: Duration = Duration::from_secs(180);

/// A folder for one test, and how Doorbell is started in it.
pub struct Setup {
    pub dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    /// The number of the user and group that Doorbell runs as, if not those of the tests.
    user: Option<u32>,
}

/// A running `doorbell serve`; killed when this value is dropped.
pub struct Doorbell {
    pub child: Child,
    pub address: String,
    /// What it has written to its log so far.
    pub log: Arc<Mutex<String>>,
}

/// The response that a client received.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }
}

impl Setup {
    pub fn new() -> Self {
        let setup = Self { dir: tempfile::tempdir().unwrap(), env: Vec::new(), user: None };
        std::fs::create_dir(setup.path("rules")).unwrap();
        setup
    }

    /// A folder with one rule file.
    pub fn with(rules: &str) -> Self {
        let setup = Self::new();
        setup.write("rules/rules.yaml", rules);
        setup
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs Doorbell as another user, who owns everything here and is only in the group with the same number. Only root can
    /// do that.
    pub fn run_as_user(mut self, user: u32) -> Self {
        // The program may be in a folder that the other user cannot enter.
        std::fs::copy(env!("CARGO_BIN_EXE_doorbell"), self.path("doorbell")).unwrap();
        std::fs::create_dir_all(self.path("output")).unwrap();
        let owner = format!("{user}:{user}");
        assert!(Command::new("chown").args(["-R", &owner]).arg(self.dir.path()).status().unwrap().success());
        self.user = Some(user);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A file below `output`, empty if it is missing.
    pub fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("output").join(name)).unwrap_or_default()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new(self.path("doorbell"));
                command.uid(user).gid(user);
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_doorbell")),
        };
        // Tests of the console name an address of its own.
        command.current_dir(self.dir.path()).args(arguments).env("DOORBELL_CONSOLE", "off").envs(self.env.iter().cloned());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command prints, to standard output and then to standard error.
    pub fn printed(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap()
    }

    /// What `explain` says once no rule of an event is at work any more: each has run, or has failed.
    pub fn explained(&self, event: &str) -> String {
        let mut said = String::new();
        until("the runs have ended", || {
            said = self.printed(&["explain", event]);
            ["  ✓ ", "  ✗ "].iter().any(|end| said.contains(end)) && !said.contains("  … ")
        });
        said
    }

    /// What a command prints that asks questions, with the lines that somebody types.
    pub fn answered(&self, arguments: &[&str], lines: &str) -> String {
        let mut command = self.command(arguments);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that asks nothing may have ended.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        let out = child.wait_with_output().unwrap();
        String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap()
    }

    pub fn serve(&self) -> Doorbell {
        self.serve_with(&[])
    }

    /// Starts Doorbell at a free port, and returns when it listens.
    pub fn serve_with(&self, arguments: &[&str]) -> Doorbell {
        self.serve_with_command(self.command(&[]), arguments)
    }

    /// Starts Doorbell with another command that passes its arguments on to it, such as one that sets a limit first.
    pub fn serve_with_command(&self, mut command: Command, arguments: &[&str]) -> Doorbell {
        command.current_dir(self.dir.path()).env("DOORBELL_CONSOLE", "off").envs(self.env.iter().cloned());
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"]).args(arguments);
        self.start(command)
    }

    /// Starts a command that runs Doorbell, and returns when it listens.
    pub fn start(&self, mut command: Command) -> Doorbell {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on it is stopped even if the test fails.
        let mut serving = Doorbell { child, address: String::new(), log: Arc::default() };
        let (stderr, log) = (serving.child.stderr.take().unwrap(), serving.log.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut first = String::new();
        BufReader::new(serving.child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let first = first.trim();
        let address = first.strip_prefix("listening on http://").or_else(|| first.strip_prefix("listening on https://"));
        serving.address = address.unwrap_or_else(|| panic!("it did not start: {first}{}", serving.log.lock().unwrap())).to_owned();
        serving
    }
}

/// Waits until something is the case; panics with `what` if that takes too long.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        let waited = began.elapsed();
        assert!(waited < MAX_WAIT, "this did not happen in time: {what}");
        // The longer it takes, the less often it is checked, so that the checks do not slow down a busy machine.
        thread::sleep((waited / 20).clamp(Duration::from_millis(10), Duration::from_millis(500)));
    }
}

/// Ends a test that needs an ability (tests/abilities.rs) which the machine had when the tests were built and now lacks.
pub fn unable(ability: &str, why: &str) -> ! {
    panic!(
        "{why}, although this looked possible when the tests were built. If it no longer is, build them again: touch tests/abilities.rs. \
         If it only looks so, leave these tests out: DOORBELL_TESTS_WITHOUT={ability} cargo test"
    )
}

/// Sets a flag when it is dropped, so that other threads of a test also stop if the test fails.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Doorbell {
    /// Sends bytes as they are, and reads until Doorbell closes the connection.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        // Doorbell may reject a request and close before everything is written.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in headers {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        parse_response(&self.raw(&request))
    }

    pub fn post(&self, path: &str, json: &str) -> Response {
        self.send("POST", path, &[("content-type", "application/json")], json.as_bytes())
    }

    /// Sends JSON that must be accepted; returns the id of the event.
    pub fn deliver(&self, path: &str, json: &str) -> String {
        let got = self.post(path, json);
        assert_eq!(got.status, 200, "{got:?}\n{}", self.log.lock().unwrap());
        got.header("doorbell-event").to_owned()
    }

    pub fn logged(&self, what: &str) -> bool {
        self.log.lock().unwrap().contains(what)
    }

    /// Asks it to reload everything (SIGHUP).
    pub fn reload(&self) {
        Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        until("it stops", || self.child.try_wait().unwrap().is_some());
    }

    /// Kills it (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn parse_response(text: &str) -> Response {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Response { status, headers, body: body.to_owned() }
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub fn http2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The bytes of an HTTP/2 connection with one request, on stream 1. Every header is a literal without indexing (RFC 7541, 6.2.2).
pub fn http2(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            // A length of up to 126 takes one byte, as all of these do.
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    all.extend(http2_frame(4, 0, 0, &[]));
    all.extend(http2_frame(1, 4, 1, &block));
    all.extend(http2_frame(0, 1, 1, body));
    all
}

/// A request that a target received.
#[derive(Debug, Clone)]
pub struct ReceivedCall {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl ReceivedCall {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }
}

/// Another app that Doorbell calls.
pub struct Target {
    pub address: String,
    pub calls: Arc<Mutex<Vec<ReceivedCall>>>,
}

impl Target {
    /// Gives these answers, in order, and repeats the last one. Each is a complete HTTP response; an empty one closes the connection
    /// without a response.
    pub fn new(answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(|a| (*a).to_owned()).collect();
        Self::answering(move |_, number| answers[number.min(answers.len() - 1)].clone())
    }

    /// Gives the answers of a function, which is asked with the call and how many came before it.
    pub fn answering(answer: impl Fn(&ReceivedCall, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (received, answer) = (calls.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (received, answer) = (received.clone(), answer.clone());
                thread::spawn(move || Self::answer(stream, &received, &*answer));
            }
        });
        Self { address, calls }
    }

    fn answer(stream: TcpStream, calls: &Mutex<Vec<ReceivedCall>>, answer: &dyn Fn(&ReceivedCall, usize) -> String) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut headers = Vec::new();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let Some((name, value)) = header.trim_end().split_once(": ") else { break };
                headers.push((name.to_owned(), value.to_owned()));
            }
            let length = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-length")).map_or(0, |(_, v)| v.parse().unwrap());
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let call = ReceivedCall { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() };
            let number = {
                let mut calls = calls.lock().unwrap();
                calls.push(call.clone());
                calls.len() - 1
            };
            let answer = answer(&call, number);
            if answer.is_empty() || writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn calls(&self) -> Vec<ReceivedCall> {
        self.calls.lock().unwrap().clone()
    }
}

/// An address at which nothing listens, and which no other program can use while this value exists.
pub struct ClosedPort(tokio::net::TcpSocket);

impl ClosedPort {
    pub fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// A complete HTTP response with a JSON body.
pub fn json(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The folder of this project.
pub fn project_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
