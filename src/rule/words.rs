//! The words of a rule file, as one JSON Schema: what editors complete and show. What goes with a verb stands with its
//! kind, in `action`; everything else stands here.

use serde_json::{Map, Value, json};

use crate::action::KINDS;
use crate::expr::condition::TESTS;
use crate::text::word::{Shape, Word, map};
use crate::verify;

const fn word(name: &'static str, shape: Shape, does: &'static str) -> Word {
    Word { name, shape, does }
}

const FILE: &[Word] = &[
    word("$schema", Shape::Text, "where an editor finds the words of a rule file"),
    word("webhooks", Shape::MapOf("address"), "who may ring which address"),
    word("rules", Shape::MapOf("rule"), "the rules, each under its name"),
];
pub const RULE: &[Word] = &[
    word("description", Shape::Text, "what the rule is for, in your words"),
    word("enabled", Shape::Flag, "false switches the rule off"),
    word("when", Shape::OneOrMany("when"), "what rings the rule: { webhook: /path }"),
    word("set", Shape::Map, "names for values, for conditions and texts"),
    word("if", Shape::Of("condition"), "what must hold: every line, each a field and what it must be"),
    word("then", Shape::Of("steps"), "what is done, step by step"),
    word("else", Shape::Of("steps"), "what is done where `if:` does not hold"),
    word("on_error", Shape::Of("steps"), "what is done when a step has failed for good; the run stays in the failed list"),
    word("once_per", Shape::Either(&[Shape::Field, Shape::Of("once_per")]), "a field: the rule runs once for each of its values"),
    word(
        "one_at_a_time",
        Shape::Either(&[Shape::Flag, Shape::Field]),
        "one run after the other: true, or a field for one at a time for each of its values",
    ),
    word("answer_within", Shape::Duration, "how long a caller waits for `respond:`, 30 seconds if you do not say"),
    word("tests", Shape::ListOf("test"), "what the rule should do, for `doorbell test`"),
];
pub const WHEN: &[Word] = &[
    word("webhook", Shape::Text, "the address, such as /orders or \"/shop/{shop}/orders\""),
    word("method", Shape::List, "only these methods"),
];
pub const ADDRESS: &[Word] = &[
    word(
        "verify",
        Shape::Either(&[Shape::One(&["none"]), Shape::OneOrMany("verify")]),
        "how the sender proves itself; `none` says that it is open on purpose",
    ),
    word("method", Shape::List, "the methods that are taken, POST if you do not say"),
    word("replay_guard", Shape::Flag, "whether what was signed is remembered, so that nobody can send it a second time"),
    word("allow_from", Shape::List, "the addresses and networks that may call, such as 203.0.113.0/24; anyone if you do not say"),
    word("limit", Shape::List, "how often it may be called, such as 100 per minute, or 10 per second per caller"),
    word("delivery_id", Shape::List, "where the sender's own id of a delivery stands, so that one that comes twice is done once"),
    word("max_body", Shape::Text, "the largest body that is taken, such as 5 MB"),
    word("public_url", Shape::Text, "the address under which senders know this Doorbell, for those who sign it"),
    word("answer", Shape::Of("answer"), "what the sender is answered when the event is kept"),
];
pub const MODIFIERS: &[Word] = &[
    word("name", Shape::Text, "what you call the step"),
    word("if", Shape::Of("condition"), "what must hold for this step; beside `for_each` it is asked for each element"),
    word("for_each", Shape::Field, "a list, without braces: the step is done for each `item`"),
    word("tries", Shape::Whole(1, 100), "how often it is tried in all"),
    word("first_wait", Shape::Duration, "the pause after the first try; each one after it is three times as long"),
    word("timeout", Shape::Duration, "how long one try may take"),
    word("save_as", Shape::Text, "a name for what it gave: name.status, name.body.…"),
    word("on_error", Shape::Either(&[Shape::One(&["continue"]), Shape::Of("steps")]), "`continue`, or steps, when it has failed for good"),
];
const ONCE_PER: &[Word] = &[
    word("value", Shape::Field, "the field"),
    word("within", Shape::Duration, "how long a value is remembered, 30 days if you do not say"),
];
const AUTH: &[Word] =
    &[word("bearer", Shape::Text, "sent as `Authorization: Bearer …`"), word("basic", Shape::Map, "{ user: …, password: … }")];
const ANSWER: &[Word] = &[
    word("status", Shape::Whole(200, 299), "the status, 200 if you do not say"),
    word("json", Shape::Any, "the body, as JSON"),
    word("text", Shape::Text, "the body, as text"),
    word("xml", Shape::Text, "the body, as XML"),
    word("headers", Shape::Map, "headers of the answer"),
];
pub const TEST: &[Word] = &[
    word("name", Shape::Text, "what the test shows"),
    word("send", Shape::Of("send"), "the webhook that comes in"),
    word("replies", Shape::ListOf("reply"), "what the called apps answer, in order; 200 {} if you do not say"),
    word("expect", Shape::Either(&[Shape::One(&["nothing"]), Shape::ListOf("effect")]), "`nothing`, or what is done, in order"),
];
const SEND: &[Word] = &[
    word("json", Shape::Any, "a JSON body"),
    word("form", Shape::Map, "a form"),
    word("text", Shape::Text, "a text"),
    word("file", Shape::Text, "a file beside the rule file that holds the body"),
    word("headers", Shape::Map, "headers"),
    word("query", Shape::Map, "what stands behind the ?"),
    word("path", Shape::Text, "the address, where the rule's has placeholders"),
    word("method", Shape::Text, "the method"),
];
const REPLY: &[Word] = &[
    word("status", Shape::Whole(100, 599), "the status, 200 if you do not say"),
    word("json", Shape::Any, "a JSON body"),
    word("text", Shape::Text, "a text"),
    word("headers", Shape::Map, "headers"),
];
const EXPECTED: &[Word] = &[
    word("json", Shape::Any, "the whole JSON body"),
    word("json_has", Shape::Any, "a part of the JSON body"),
    word("form", Shape::Map, "the whole form"),
    word("text", Shape::Text, "the text"),
    word("xml", Shape::Text, "the XML"),
    word("headers", Shape::Map, "headers that must be among those sent"),
    word("columns", Shape::Map, "all columns and their values"),
    word("sheet", Shape::Text, "the sheet of a workbook"),
];

/// What each test of `if:` asks.
fn test_word(name: &'static str) -> Word {
    let (shape, does) = match name {
        "is" => (Shape::Any, "is this; a list: is one of these"),
        "not" => (Shape::Any, "is not this; a map: none of these tests passes"),
        "over" => (Shape::Text, "is a number over this"),
        "at_least" => (Shape::Text, "is a number that is this or more"),
        "under" => (Shape::Text, "is a number under this"),
        "at_most" => (Shape::Text, "is a number that is this or less"),
        "between" => (Shape::List, "is a number from the first to the second"),
        "contains" => (Shape::Text, "holds this text"),
        "starts_with" => (Shape::Text, "begins with this text"),
        "ends_with" => (Shape::Text, "ends with this text"),
        "like" => (Shape::Text, "looks like this; * stands for anything"),
        "matches" => (Shape::Text, "fits this regular expression"),
        "in_network" => (Shape::Text, "is an address in this network, such as 10.0.0.0/8"),
        "before" => (Shape::Text, "is a date before this"),
        "after" => (Shape::Text, "is a date after this"),
        "count" => (Shape::Any, "has so many: a number, or tests on it"),
        "exists" => (Shape::Flag, "is there at all"),
        "empty" => (Shape::Flag, "is missing, null, or empty"),
        _ => (Shape::Any, ""),
    };
    word(name, shape, does)
}

/// The JSON Schema (draft 7) of a rule file.
pub fn schema() -> Value {
    let verbs: Vec<Word> = KINDS.iter().flat_map(|kind| kind.verbs().iter().map(|verb| word(verb, Shape::Text, kind.does()))).collect();
    let of_do = [word(super::step::DO, Shape::Of("steps"), "several steps under one `if` or `for_each`")];
    let fields: Vec<&[Word]> = KINDS.iter().map(|kind| kind.words()).collect();
    let mut step_words: Vec<&[Word]> = vec![&verbs, &of_do];
    step_words.extend(fields);
    step_words.push(MODIFIERS);
    let mut step = map(&step_words, &[]);
    let any_verb = verbs.iter().chain(&of_do).map(|v| json!({ "required": [v.name] }));
    step["anyOf"] = any_verb.collect();
    let tests: Vec<Word> =
        TESTS.iter().map(|t| test_word(t)).chain([word("ignore_case", Shape::Flag, "capital and small letters are the same")]).collect();
    let plain = json!({ "type": ["string", "number", "boolean", "null", "array"] });
    let line = json!({ "if": { "type": "object" }, "then": map(&[&tests], &[]), "else": plain });
    let group = |does: &str| json!({ "type": "array", "items": { "$ref": "#/definitions/condition" }, "description": does });
    let condition = json!({
        "type": "object",
        "properties": {
            "any": group("at least one of these holds"),
            "all": group("all of these hold"),
            "none": group("not one of these holds"),
        },
        "additionalProperties": line,
    });
    let verify: Map<String, Value> = verify::names()
        .into_iter()
        .map(|name| {
            let shape = match matches!(&*name, "basic" | "token" | "custom" | "handshake") {
                true => json!({ "type": "object" }),
                false => json!({ "type": ["string", "array", "object"] }),
            };
            (name, shape)
        })
        .collect();
    let mut file = map(&[FILE], &[]);
    file["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    file["title"] = "Doorbell rules".into();
    file["definitions"] = json!({
        "address": map(&[ADDRESS], &[]),
        "answer": map(&[ANSWER], &[]),
        "auth": map(&[AUTH], &[]),
        "condition": condition,
        "effect": map(&[&verbs, EXPECTED], &[]),
        "once_per": map(&[ONCE_PER], &["value"]),
        "reply": map(&[REPLY], &[]),
        "rule": map(&[RULE], &["when", "then"]),
        "send": map(&[SEND], &[]),
        "step": step,
        "steps": { "type": "array", "items": { "$ref": "#/definitions/step" }, "minItems": 1 },
        "test": map(&[TEST], &["name", "send", "expect"]),
        "verify": { "type": "object", "properties": verify, "additionalProperties": false },
        "when": map(&[WHEN], &["webhook"]),
    });
    file
}
