//! `doorbell schema`: the schema has the same keys as the reader of rule files, and a real language server completes and
//! explains them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Setup, project_folder, unable};

fn schema() -> Value {
    serde_json::from_str(&Setup::new().printed(&["schema"])).unwrap()
}

#[test]
fn the_shipped_schema_is_the_one_that_is_printed() {
    let file = project_folder().join("rules/doorbell.schema.json");
    let now = Setup::new().printed(&["schema"]);
    if std::env::var_os("DOORBELL_BLESS").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), now, "to update the schema, run again with DOORBELL_BLESS=1");
}

/// The keys that the reader lists as valid when it finds an unknown one.
fn valid_keys(file: &str) -> BTreeSet<String> {
    let setup = Setup::with(file);
    let said: Value = serde_json::from_str(&setup.printed(&["check", "--format", "json"])).unwrap();
    let notes: Vec<&str> =
        said["problems"].as_array().unwrap().iter().flat_map(|p| p["notes"].as_array().unwrap()).filter_map(Value::as_str).collect();
    let list = notes.iter().find_map(|n| n.strip_prefix("valid keys: ")).unwrap_or_else(|| panic!("{said}\n{file}"));
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_and_the_rule_reader_know_the_same_keys() {
    let schema = schema();
    let keys = |name: &str| -> BTreeSet<String> {
        let map = if name == "file" { &schema["properties"] } else { &schema["definitions"][name]["properties"] };
        map.as_object().unwrap().keys().cloned().collect()
    };
    let rule = |text: &str| format!("rules:\n  A:\n    when: {{ webhook: /a }}\n    then: [{{ log: x }}]\n{text}");
    let test = |text: &str| rule(&format!("    tests:\n      - name: x\n{text}"));
    for (name, file) in [
        ("file", "zzz: 1\nrules: {}\n".to_owned()),
        ("rule", rule("    zzz: 1\n")),
        ("address", "webhooks:\n  /a: { verify: none, zzz: 1 }\nrules: {}\n".to_owned()),
        ("connection", "connections:\n  m: { zzz: 1 }\nrules: {}\n".to_owned()),
        ("answer", "webhooks:\n  /a: { verify: none, answer: { zzz: 1 } }\nrules: {}\n".to_owned()),
        ("when", "rules:\n  A:\n    when: { webhook: /a, zzz: 1 }\n    then: [{ log: x }]\n".to_owned()),
        ("once_per", rule("    once_per: { value: body.x, zzz: 1 }\n")),
        (
            "auth",
            "rules:\n  A:\n    when: { webhook: /a }\n    then: [{ get: https://a.example.com, auth: { bearer: x, zzz: 1 } }]\n".to_owned(),
        ),
        ("test", test("        send: {}\n        expect: nothing\n        zzz: 1\n")),
        ("send", test("        send: { zzz: 1 }\n        expect: nothing\n")),
        ("reply", test("        send: {}\n        replies: [{ zzz: 1 }]\n        expect: nothing\n")),
    ] {
        assert_eq!(keys(name), valid_keys(&file), "{name}");
    }
    // For a step and an expected effect, the keys of all verbs together.
    let (mut steps, mut effects) = (BTreeSet::new(), BTreeSet::new());
    for verb in schema["definitions"]["step"]["anyOf"].as_array().unwrap() {
        let verb = verb["required"][0].as_str().unwrap();
        let fields = match verb {
            "delete_row" => "where: { A: x }",
            "find_row" => "where: { A: x }, save_as: found",
            "email" => "subject: x, text: x, using: mail",
            _ if verb.ends_with("_row") => "columns: { A: x }, match: A",
            _ => "text: x",
        };
        let value = match verb {
            "do" => "[{ log: x }]",
            "respond" => "200",
            "email" => "a@x.example",
            _ => "a.csv",
        };
        steps.extend(valid_keys(&format!(
            "rules:\n  A:\n    when: {{ webhook: /a }}\n    then: [{{ {verb}: {value}, {fields}, zzz: 1 }}]\n"
        )));
        if verb != "do" {
            effects.extend(valid_keys(&test(&format!("        send: {{}}\n        expect: [{{ {verb}: x, zzz: 1 }}]\n"))));
        }
    }
    assert_eq!(keys("step"), steps);
    assert_eq!(keys("effect"), effects);
}

/// A conversation with yaml-language-server over its protocol (LSP).
struct LanguageServer {
    child: Child,
    write: ChildStdin,
    read: BufReader<ChildStdout>,
    next: u64,
}

impl LanguageServer {
    fn start() -> Self {
        let script =
            std::env::var("YAML_LANGUAGE_SERVER").unwrap_or_else(|_| unable("has_language_server", "YAML_LANGUAGE_SERVER names no script"));
        let mut command = Command::new("node");
        command.args([&script, "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| unable("has_language_server", &format!("node cannot be started: {e}")));
        let (write, read) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Self { child, write, read, next: 0 };
        server.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": { "textDocument": { "hover": { "contentFormat": ["markdown"] } } } }));
        server.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
        server
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.write, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.write.flush().unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.read.read_line(&mut line).unwrap() > 0, "the language server has ended");
            match line.trim_end() {
                "" => break,
                header => length = header.strip_prefix("Content-Length: ").map_or(length, |l| l.parse().unwrap()),
            }
        }
        let mut body = vec![0; length];
        self.read.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits for the wanted message; questions of the server get empty answers.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.receive();
            if wanted(&message) {
                return message;
            }
            if let (Some(id), Some(method)) = (message.get("id"), message.get("method")) {
                let result = if method == "workspace/configuration" { json!([null, null, null, null, null]) } else { Value::Null };
                self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
            }
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait(|m| m.get("id") == Some(&json!(id)) && m.get("method").is_none())["result"].clone()
    }

    /// Opens a rule file; returns the problems that the server reports.
    fn open(&mut self, uri: &str, text: &str) -> Vec<String> {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.send(&json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": document } }));
        let reported = self.wait(|m| m["method"] == "textDocument/publishDiagnostics" && m["params"]["uri"] == uri);
        reported["params"]["diagnostics"].as_array().unwrap().iter().map(|d| d["message"].as_str().unwrap().to_owned()).collect()
    }

    fn at(uri: &str, text: &str, place: &str) -> Value {
        let line = text.lines().position(|l| l.contains(place)).unwrap();
        let column = text.lines().nth(line).unwrap().find(place).unwrap() + place.len();
        json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": column } })
    }

    /// The completions at a line and column, both counted from 0.
    fn offered(&mut self, uri: &str, line: u32, column: u32) -> Vec<String> {
        let place = json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": column } });
        let offered = self.ask("textDocument/completion", place);
        let items = if offered.is_array() { &offered } else { &offered["items"] };
        items.as_array().unwrap().iter().map(|i| i["label"].as_str().unwrap().to_owned()).collect()
    }

    fn hover(&mut self, uri: &str, text: &str, place: &str) -> String {
        self.ask("textDocument/hover", Self::at(uri, text, place))["contents"]["value"].as_str().unwrap_or("").to_owned()
    }
}

impl Drop for LanguageServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[cfg_attr(not(has_language_server), ignore = "needs `node` and yaml-language-server, whose script YAML_LANGUAGE_SERVER names")]
fn a_language_server_completes_explains_and_finds_mistakes() {
    let mut server = LanguageServer::start();
    let rules = project_folder().join("rules");
    let head = "# yaml-language-server: $schema=doorbell.schema.json\n";
    for file in std::fs::read_dir(&rules).unwrap().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "yaml")) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with(head), "{:?} does not name the schema", file.path());
        let uri = format!("file://{}", file.path().display());
        assert_eq!(server.open(&uri, &text), Vec::<String>::new(), "{uri}");
    }
    let uri = format!("file://{}/not-there.yaml", rules.display());
    let text = format!(
        "{head}rules:\n  Orders:\n    when: {{ webhook: /orders }}\n    if:\n      body.total: {{ contians: x }}\n    \n    then:\n      - post: https://a.example.com/x\n        \n"
    );
    let told = server.open(&uri, &text);
    assert!(told.iter().any(|m| m.contains("contians")), "{told:?}");
    for (line, column, words) in
        [(9, 8, ["json", "for_each", "save_as", "on_error"]), (6, 4, ["else", "once_per", "one_at_a_time", "tests"])]
    {
        let offered = server.offered(&uri, line, column);
        assert!(words.iter().all(|w| offered.contains(&(*w).to_owned())), "{words:?} are not all offered: {offered:?}");
    }
    let said = server.hover(&uri, &text, "      - pos");
    assert!(said.contains("calls another app over HTTP"), "{said}");
    let said = server.hover(&uri, &text, "    whe");
    assert!(said.contains("what starts the rule"), "{said}");
}

/// Rule files that `check` takes and rule files that it refuses: every file in `tests/problems`, the recipes, and the complete
/// files in the docs.
fn files_by_verdict() -> (Vec<String>, Vec<(String, String)>) {
    let setup = Setup::new();
    let mut texts: Vec<(String, String)> = Vec::new();
    for folder in ["rules", "tests/problems"].map(|folder| project_folder().join(folder)) {
        for file in std::fs::read_dir(folder).unwrap().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "yaml")) {
            texts.push((file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap()));
        }
    }
    let docs = std::fs::read_dir(project_folder().join("docs")).unwrap().flatten().map(|f| f.path());
    for page in docs.filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        let snippets = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        let complete = snippets.filter(|s| s.lines().any(|line| line == "rules:") && !s.contains('…'));
        texts.extend(complete.map(|s| (page.display().to_string(), s.to_owned())));
    }
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (name, text) in texts {
        setup.write("rule.yaml", &text);
        match setup.run(&["check", "--no-secrets", "rule.yaml"]).status.code() {
            Some(0) => taken.push(text),
            _ => refused.push((name, text)),
        }
    }
    (taken, refused)
}

#[test]
#[cfg_attr(not(has_language_server), ignore = "needs `node` and yaml-language-server, whose script YAML_LANGUAGE_SERVER names")]
fn the_schema_refuses_nothing_that_check_takes_and_most_of_what_it_refuses() {
    let mut server = LanguageServer::start();
    let mut number = 0;
    let mut told = |text: &str| {
        number += 1;
        let uri = format!("file://{}/rules/verdict-{number}.yaml", project_folder().display());
        server.open(&uri, &format!("# yaml-language-server: $schema=doorbell.schema.json\n{text}"))
    };
    let (taken, refused) = files_by_verdict();
    assert!(taken.len() > 16 && refused.len() > 150, "{} {}", taken.len(), refused.len());
    for text in &taken {
        assert_eq!(told(text), Vec::<String>::new(), "{text}");
    }
    // Templates and what depends on another place are beyond a schema.
    let missed: Vec<&str> = refused.iter().filter(|(_, text)| told(text).is_empty()).map(|(name, _)| name.as_str()).collect();
    assert!(missed.len() * 100 < refused.len() * 45, "{} of {}: {missed:?}", missed.len(), refused.len());
}
