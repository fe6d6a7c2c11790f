//! Files of other tools in the rules folder: recognised by two or more of their keys, and answered with the beginning of a
//! rule that does the same.

use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

/// A tool, the keys by which its files are known, and how such a file is read.
struct Tool {
    name: &'static str,
    keys: &'static [&'static str],
    /// How many of the keys are needed.
    least: usize,
    /// Whether it reacts to something, as rules do.
    automates: bool,
    sketch: fn(&Node) -> Sketch,
}

/// What a rule for the same thing begins with.
struct Sketch {
    name: String,
    address: String,
    verify: &'static str,
    conditions: Vec<String>,
    step: String,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            name: "New order".to_owned(),
            address: "/orders".to_owned(),
            verify: "none",
            conditions: Vec::new(),
            step: "post: https://example.com/hook".to_owned(),
        }
    }
}

const TOOLS: [Tool; 19] = [
    Tool {
        name: "the webhook server of adnanh",
        keys: &[
            "execute-command",
            "trigger-rule",
            "command-working-directory",
            "pass-arguments-to-command",
            "response-message",
            "http-methods",
            "id",
        ],
        least: 2,
        automates: true,
        sketch: hooks,
    },
    Tool {
        name: "Home Assistant",
        keys: &["alias", "trigger", "triggers", "condition", "conditions", "action", "actions", "mode", "automation", "script"],
        least: 2,
        automates: true,
        sketch: home,
    },
    Tool {
        name: "GitHub Actions",
        keys: &["on", "jobs", "permissions", "runs-on", "defaults", "steps", "uses"],
        least: 2,
        automates: true,
        sketch: actions,
    },
    Tool { name: "n8n", keys: &["nodes", "connections", "pinData", "staticData"], least: 2, automates: true, sketch: n8n },
    Tool { name: "Kubernetes", keys: &["apiVersion", "kind", "metadata", "spec"], least: 2, automates: false, sketch: plain },
    Tool {
        name: "Docker Compose",
        keys: &["services", "volumes", "networks", "version", "configs", "secrets"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool {
        name: "GitLab CI",
        keys: &["stages", "script", "before_script", "after_script", "image", "stage", "variables", "include", "workflow"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool {
        name: "Azure Pipelines",
        keys: &["pool", "stages", "trigger", "resources", "variables"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool { name: "CircleCI", keys: &["orbs", "executors", "workflows", "jobs", "version"], least: 2, automates: false, sketch: plain },
    Tool {
        name: "Ansible",
        keys: &["hosts", "tasks", "roles", "become", "vars", "gather_facts"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool { name: "Alertmanager", keys: &["route", "receivers", "inhibit_rules", "global"], least: 2, automates: false, sketch: plain },
    Tool {
        name: "Power Automate",
        keys: &["definition", "contentVersion", "parameters", "triggers", "actions", "outputs"],
        least: 2,
        automates: true,
        sketch: plain,
    },
    Tool { name: "Node-RED", keys: &["wires", "z", "type", "id"], least: 3, automates: true, sketch: plain },
    Tool { name: "Huginn", keys: &["agents", "schema_version", "links", "guid"], least: 2, automates: true, sketch: plain },
    Tool {
        name: "the Serverless Framework",
        keys: &["service", "provider", "functions", "plugins"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool {
        name: "OpenAPI",
        keys: &["openapi", "swagger", "paths", "components", "info", "servers"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool {
        name: "AWS CloudFormation",
        keys: &["AWSTemplateFormatVersion", "Resources", "Transform", "Parameters"],
        least: 2,
        automates: false,
        sketch: plain,
    },
    Tool {
        name: "another automation tool",
        keys: &[
            "trigger",
            "action",
            "steps",
            "actions",
            "filter",
            "zap",
            "scenario",
            "modules",
            "flow",
            "workflow",
            "workflows",
            "if",
            "pipeline",
            "tasks",
        ],
        least: 2,
        automates: true,
        sketch: plain,
    },
    Tool { name: "Postman", keys: &["info", "item", "event"], least: 2, automates: false, sketch: plain },
];

/// Reports a file of another tool; returns whether it is one.
pub(super) fn is_foreign(top: &Item) -> bool {
    let entry = entry(top.node);
    let keys = |node: &Node| match node {
        Node::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let mut found = keys(entry);
    if ["when", "then"].iter().any(|ours| found.iter().any(|key| key == ours)) {
        return false;
    }
    // `automation:` and `hooks:` have a list of the same entries below them.
    if let Node::Map(entries) = entry
        && let [(_, only)] = entries.as_slice()
    {
        found.extend(keys(self::entry(only)));
    }
    let score = |tool: &Tool| tool.keys.iter().filter(|key| found.iter().any(|k| k == *key)).count();
    let best = TOOLS.iter().filter(|tool| score(tool) >= tool.least);
    let Some(tool) = best.reduce(|best, tool| if score(tool) > score(best) { tool } else { best }) else { return false };
    let sketch = (tool.sketch)(entry);
    let mut draft = top.problem(format!("this is a file for {}, not a rule file", tool.name)).label(match tool.automates {
        true => "write a rule for the same thing, as shown below",
        false => "move it out of the rules folder; a rule file looks as shown below",
    });
    for line in sketch.lines() {
        draft = draft.note(line);
    }
    draft.note("`doorbell new` lists recipes, and docs/rules.md describes every part of a rule").add();
    true
}

/// The first of several entries.
fn entry(node: &Node) -> &Node {
    match node {
        Node::List(items) => items.first().unwrap_or(node),
        _ => node,
    }
}

impl Sketch {
    fn lines(&self) -> Vec<String> {
        let address = scalar(&self.address);
        let mut out = vec!["webhooks:".to_owned(), format!("  {address}: {{ verify: {} }}", self.verify), "rules:".to_owned()];
        out.push(format!("  {}:", scalar(&self.name)));
        out.push(format!("    when: {{ webhook: {address} }}"));
        if !self.conditions.is_empty() {
            out.push("    if:".to_owned());
            out.extend(self.conditions.iter().map(|line| format!("      {line}")));
        }
        out.push("    then:".to_owned());
        out.push(format!("      - {}", self.step));
        out.push("        json: { text: \"{{ body.id }}\" }".to_owned());
        out
    }
}

/// The text at a path of keys; lists are followed to their first element.
fn text(node: &Node, path: &[&str]) -> Option<String> {
    let node = entry(node);
    let Some((key, rest)) = path.split_first() else {
        return match node {
            Node::Text(text) => Some(text.clone()),
            _ => None,
        };
    };
    let Node::Map(entries) = node else { return None };
    entries.iter().find(|(k, _)| k == key).and_then(|(_, value)| text(value, rest))
}

/// A name as the last part of an address.
fn slug(name: &str) -> String {
    let plain: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "/hook".to_owned() } else { format!("/{plain}") }
}

fn plain(node: &Node) -> Sketch {
    match text(node, &["name"]) {
        Some(name) => Sketch { address: slug(&name), name, ..Sketch::default() },
        None => Sketch::default(),
    }
}

/// An entry of hooks.json: its id is the address, and its `trigger-rule` compares a header or a field.
fn hooks(node: &Node) -> Sketch {
    let node = match node {
        Node::Map(entries) if entries.len() == 1 => entry(&entries[0].1),
        _ => node,
    };
    let id = text(node, &["id"]).unwrap_or_else(|| "hook".to_owned());
    let compared = ["match", "and", "or"].iter().find_map(|key| {
        let path: &[&str] = if *key == "match" { &["trigger-rule", "match"] } else { &["trigger-rule", key, "match"] };
        let at = |last: &[&str]| text(node, &[path, last].concat());
        Some((at(&["parameter", "source"])?, at(&["parameter", "name"])?, at(&["value"])))
    });
    let conditions = compared.into_iter().filter_map(|(source, name, value)| {
        let root = if source == "payload" { "body" } else { source.as_str() };
        Some(format!("{root}.{name}: {}", scalar(&value?)))
    });
    Sketch { name: id.clone(), address: slug(&id), conditions: conditions.collect(), ..Sketch::default() }
}

fn home(node: &Node) -> Sketch {
    let node = match node {
        Node::Map(entries) if entries.len() == 1 => entry(&entries[0].1),
        _ => node,
    };
    let name = text(node, &["alias"]).unwrap_or_else(|| "My automation".to_owned());
    let id = ["trigger", "triggers"].iter().find_map(|key| text(node, &[key, "webhook_id"]));
    Sketch { address: slug(id.as_deref().unwrap_or(&name)), name, ..Sketch::default() }
}

fn actions(node: &Node) -> Sketch {
    let event = match node {
        Node::Map(entries) => entries.iter().find(|(key, _)| key == "on").and_then(|(_, value)| match entry(value) {
            Node::Text(event) => Some(event.clone()),
            Node::Map(events) => events.first().map(|(event, _)| event.clone()),
            _ => None,
        }),
        _ => None,
    };
    Sketch {
        name: text(node, &["name"]).unwrap_or_else(|| "On every push".to_owned()),
        address: "/github".to_owned(),
        verify: "{ github: \"{{ secret.GITHUB_WEBHOOK }}\" }",
        conditions: vec![format!("header.X-GitHub-Event: {}", scalar(event.as_deref().unwrap_or("push")))],
        ..Sketch::default()
    }
}

fn n8n(node: &Node) -> Sketch {
    let path = text(node, &["nodes", "parameters", "path"]);
    let name = text(node, &["name"]).unwrap_or_else(|| "My workflow".to_owned());
    Sketch { address: slug(path.as_deref().unwrap_or(&name)), name, ..Sketch::default() }
}
