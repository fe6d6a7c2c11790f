//! The vocabulary of a rule file, as one JSON Schema, which editors use for completion and help. The keys of a verb are
//! defined with its kind, in `action`; everything else is defined here.

use serde_json::{Map, Value, json};

use super::accounts::{AWS, OAUTH2};
use super::connections::CONNECTION;
use super::set::reserved_names;
use crate::action::KINDS;
use crate::action::connections::WAYS;
use crate::action::contract::Kind;
use crate::action::files::attached::ATTACHED;
use crate::expr::condition::read::TESTS;
use crate::text::word::{FIELD, HEADER, NAME, Shape, Word, map};
use crate::verify;
use crate::verify::outgoing::SIGNS;

const fn word(name: &'static str, shape: Shape, does: &'static str) -> Word {
    Word { name, shape, does }
}

/// An address, as [`crate::route::Route`] reads it.
const ROUTE: &str = r"^(?!/(health|_doorbell)(/|$))(?![\s\S]*(://|[^{]\*|/:))/[^?#\s]*$";
/// An IP address or a network.
const NETWORK: &str = r"^\s*((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(/(3[0-2]|[12]?[0-9]))?|[0-9a-fA-F.]*:[0-9a-fA-F:.]*(/[0-9]{1,3})?)\s*$";
/// A time of day.
const TIME: &str = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$";
/// How often an address may be called.
const LIMIT: &str = r"^\s*[0-9]+\s+per\s+(second|minute|hour)(\s+per\s+caller)?\s*$";
const METHODS: Shape = Shape::Each(
    0,
    &Shape::Matching(
        r"^([gG][eE][tT]|[hH][eE][aA][dD]|[pP][oO][sS][tT]|[pP][uU][tT]|[pP][aA][tT][cC][hH]|[dD][eE][lL][eE][tT][eE]|[oO][pP][tT][iI][oO][nN][sS])$",
    ),
);

const FILE: &[Word] = &[
    word("$schema", Shape::Text, "the address of the JSON Schema of rule files, for editors"),
    word("timezone", Shape::Text, "the time zone of the rules in this file, unless they name another, such as Europe/Berlin"),
    word("webhooks", Shape::MapOfNamed(ROUTE, "address"), "who may call which address"),
    word("connections", Shape::MapOf("connection"), "servers and accounts that steps use by name (`using:`)"),
    word("rules", Shape::MapOf("rule"), "the rules, each with its name"),
];
pub const RULE: &[Word] = &[
    word("description", Shape::Text, "what the rule is for, in your own words"),
    word("enabled", Shape::Flag, "false switches the rule off"),
    word("when", Shape::OneOrMany("when"), "what starts the rule: { webhook: /path }, { every: 15 minutes }, { at: \"09:00\" }"),
    word("timezone", Shape::Text, "the time zone of its times, such as Europe/Berlin"),
    word(
        "missed",
        Shape::One(&["once", "skip"]),
        "what becomes of times at which Doorbell was not running: one start when it is back, or none",
    ),
    word(
        "set",
        Shape::MapNamed(NAME),
        "names for values, to use in conditions and text; { of: body.x, map: { a: b }, else: c } looks a word up",
    ),
    word("if", Shape::Of("condition"), "the conditions, one per line; all of them must be true"),
    word("then", Shape::Of("steps"), "what to do, step by step"),
    word("else", Shape::Of("steps"), "what to do if `if:` is not true"),
    word("on_error", Shape::Of("steps"), "what to do when a step has failed permanently; the run stays in the list of failed runs"),
    word("once_per", Shape::Either(&[Shape::Field, Shape::Of("once_per")]), "a field: the rule runs only once for each of its values"),
    word(
        "one_at_a_time",
        Shape::Either(&[Shape::Flag, Shape::Field]),
        "runs wait for each other: true for all runs of the rule, or a field for runs with the same value",
    ),
    word("answer_within", Shape::Duration, "how long a caller waits for `respond:`; 30 seconds by default"),
    word("tests", Shape::ListOf("test"), "what the rule should do, for `doorbell test`"),
];
pub const WHEN: &[Word] = &[
    word("webhook", Shape::Matching(ROUTE), "the address, such as /orders or \"/shop/{shop}/orders\""),
    word("method", METHODS, "only these methods"),
    word("every", Shape::Duration, "the rule starts by itself each time this length of time has passed, counted from midnight"),
    word("at", Shape::Each(1, &Shape::Matching(TIME)), "the rule starts by itself at this time of day, such as \"09:00\""),
    word(
        "days",
        Shape::Each(1, &Shape::Any),
        "on which days: weekdays, weekends, monday, days of the month such as 15, first day of month, last day of month",
    ),
    word("failed", Shape::Each(1, &Shape::Text), "the rule starts when a run of these rules has failed for good; `any` for all others"),
    word("silent", Shape::Matching(ROUTE), "the rule starts when nothing came to this address for so long, as `for:` says"),
    word("for", Shape::Duration, "how long the silence lasts, such as 6 hours"),
    word("between_times", Shape::Two(&Shape::Matching(TIME)), "of the silence, only time between these times of day counts"),
    word("on_days", Shape::Each(1, &Shape::Any), "of the silence, only time on these days counts, such as weekdays"),
    word("back", Shape::Flag, "true: the rule starts again when something comes, with `body.back`"),
    word("called", Shape::Flag, "true: other rules can run this one, with `run_rule:`; it reads what they give as input.…"),
    word("cron", Shape::Text, "the rule starts by itself at these moments, such as \"0 9 * * MON-FRI\""),
];
pub const ADDRESS: &[Word] = &[
    word(
        "verify",
        Shape::Either(&[Shape::One(&["none"]), Shape::OneOrMany("verify")]),
        "how the sender proves its identity; `none` leaves the address open on purpose",
    ),
    word("method", METHODS, "the methods that are accepted; POST by default"),
    word("replay_guard", Shape::Flag, "whether Doorbell remembers what was signed, so that nobody can send it a second time"),
    word(
        "allow_from",
        Shape::Each(1, &Shape::Matching(NETWORK)),
        "the addresses and networks that may call, such as 203.0.113.0/24; anyone by default",
    ),
    word(
        "limit",
        Shape::Each(1, &Shape::Spelled(LIMIT)),
        "how often it may be called, such as 100 per minute, or 10 per second per caller",
    ),
    word("cors", Shape::List, "the origins of web pages whose scripts may call it, such as https://shop.example.com; `any` for all"),
    word(
        "delivery_id",
        Shape::Each(1, &Shape::Field),
        "where to find the sender's id of a delivery, so that a delivery that is sent twice runs once",
    ),
    word("max_body", Shape::Spelled(r"^[0-9]+\s*(bytes|KB|MB)\s*$"), "the largest body that is accepted, such as 5 MB"),
    word("private", Shape::Flag, "whether events may only be saved encrypted, which needs `--data-key`"),
    word("public_url", Shape::Matching(r"^https?://[^ {?#]+$"), "the public address of this Doorbell, for senders that sign it"),
    word("answer", Shape::Of("answer"), "what to answer the sender once the event is saved"),
];
pub const MODIFIERS: &[Word] = &[
    word("name", Shape::Text, "a name for the step"),
    word("if", Shape::Of("condition"), "what must be true for this step; with `for_each` it is checked for each element"),
    word("set", Shape::Map, "names for values, as in a rule, but only for this step; they can use `item`"),
    word("for_each", Shape::Field, "a list, without braces: the step runs for each `item`"),
    word("for_each_entry", Shape::Field, "an object, without braces: the step runs for each entry, with `item.name` and `item.value`"),
    word("stop_at_first", Shape::Flag, "true: an element that waits or fails stops the others; otherwise these go on"),
    word("tries", Shape::Whole(1, 100), "how many times to try in all"),
    word("first_wait", Shape::Duration, "the pause after the first try; each later pause is three times as long"),
    word("timeout", Shape::Duration, "how long one try may take"),
    word("save_as", Shape::Matching(NAME), "a name for the result: name.status, name.body.…"),
    word(
        "on_error",
        Shape::Either(&[Shape::One(&["continue"]), Shape::Of("steps")]),
        "`continue`, or steps to run when this step has failed permanently",
    ),
];
const ONCE_PER: &[Word] =
    &[word("value", Shape::Field, "the field"), word("within", Shape::Duration, "how long a value is remembered; 30 days by default")];
const AUTH: &[Word] =
    &[word("bearer", Shape::Text, "sent as `Authorization: Bearer …`"), word("basic", Shape::Map, "{ user: …, password: … }")];
const SENDER_NAME: Word = word(verify::NAME, Shape::Text, "what rules call this sender (`sender`); by default, the word of the scheme");
const ANSWER: &[Word] = &[
    word("status", Shape::Whole(200, 299), "the status; 200 by default"),
    word("json", Shape::Any, "the body, as JSON"),
    word("text", Shape::Text, "the body, as text"),
    word("xml", Shape::Text, "the body, as XML"),
    word("headers", Shape::MapNamed(HEADER), "the headers of the answer"),
];
pub const TEST: &[Word] = &[
    word("name", Shape::Text, "what the test shows"),
    word("send", Shape::Of("send"), "the webhook to send"),
    word("remembered", Shape::Map, "what is remembered before, by key; nothing by default"),
    word("replies", Shape::ListOf("reply"), "what the called apps answer (200 {} by default), and what is found (nothing), each in order"),
    word(
        "expect",
        Shape::Either(&[Shape::One(&["nothing"]), Shape::ListOf("effect")]),
        "`nothing`, or the actions that are expected, in order",
    ),
];
const SEND: &[Word] = &[
    word("json", Shape::Any, "a JSON body"),
    word("form", Shape::Map, "a form"),
    word("text", Shape::Text, "text"),
    word("file", Shape::Text, "a file next to the rule file that contains the body"),
    word("headers", Shape::Map, "headers"),
    word("query", Shape::Map, "the query parameters, after the ?"),
    word("sender", Shape::Text, "who sends it: the name of an entry of `verify:`; by default, the only sender of the address"),
    word("path", Shape::Text, "the address, if the rule's address has placeholders"),
    word("method", Shape::Text, "the method"),
    word("planned", Shape::Text, "the moment, for a rule that starts by itself, such as 2026-03-02T09:00"),
    word("silent", Shape::Map, "the silence, for a rule that waits for it: last, previous, back"),
    word("failed", Shape::Map, "the failed run, for a rule that starts then: rule, step, message, status, tries, event, address, count"),
    word("input", Shape::Map, "what another rule gives, for a rule that is called: its names and values"),
    word("missed", Shape::Whole(0, 10_000), "how many moments were missed before, for a rule that starts by itself"),
];
const REPLY: &[Word] = &[
    word("status", Shape::Whole(100, 599), "the status; 200 by default"),
    word("json", Shape::Any, "a JSON body"),
    word("text", Shape::Text, "text"),
    word("headers", Shape::Map, "headers"),
    word("rows", Shape::Either(&[Shape::Map, Shape::Each(0, &Shape::Map)]), "instead: the rows that a `find_row` finds, by column title"),
];

/// Keys that belong to a verb.
const NOT_WITH_DO: [&str; 4] = ["tries", "first_wait", "timeout", "save_as"];

/// The keys after which a field can be written as it is, without braces; the schema has no word for that.
pub fn field_keys() -> Vec<&'static str> {
    let kinds = KINDS.iter().flat_map(|kind| kind.keys());
    let all = [RULE, MODIFIERS, ONCE_PER].into_iter().flatten().chain(kinds);
    let mut names: Vec<_> = all.filter(|word| word.shape.is_field()).map(|word| word.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The JSON Schema (draft 7) of a rule file.
pub fn json_schema() -> Value {
    let shape = |kind: &dyn Kind| if kind.takes_any() { Shape::Any } else { Shape::Text };
    let verbs: Vec<Word> = KINDS.iter().flat_map(|kind| kind.verbs().iter().map(|verb| word(verb, shape(*kind), kind.does()))).collect();
    let of_do = [word(super::step::DO, Shape::Of("steps"), "several steps under one `if` or `for_each`")];
    let fields: Vec<&[Word]> = KINDS.iter().map(|kind| kind.keys()).collect();
    let mut step_words: Vec<&[Word]> = vec![&verbs, &of_do];
    step_words.extend(fields);
    step_words.push(MODIFIERS);
    let mut expected: Vec<&[Word]> = vec![&verbs];
    expected.extend(KINDS.iter().map(|kind| kind.expected()));
    let mut step = map(&step_words, &[]);
    let any_verb = verbs.iter().chain(&of_do).map(|v| json!({ "required": [v.name] }));
    step["anyOf"] = any_verb.collect();
    // What follows a verb, and what it needs.
    let step_schema = |verb: &str| match crate::action::verbs().find(|(v, _)| *v == verb) {
        Some((verb, kind)) => kind.step_schema(verb),
        None => json!({ "not": { "anyOf": NOT_WITH_DO.map(|word| json!({ "required": [word] })) } }),
    };
    let all: Vec<&str> = verbs.iter().chain(&of_do).map(|word| word.name).collect();
    let each = all.iter().map(|verb| {
        let others: Vec<Value> = all.iter().filter(|other| *other != verb).map(|other| json!({ "required": [other] })).collect();
        json!({ "if": { "required": [verb] }, "then": { "allOf": [step_schema(verb), { "not": { "anyOf": others } }] } })
    });
    step["allOf"] = each.collect();
    let reserved: Vec<&str> = reserved_names().collect();
    step["properties"]["save_as"]["not"] = json!({ "enum": reserved });
    let mut rule = map(&[RULE], &["when", "then"]);
    rule["properties"]["set"]["propertyNames"]["not"] = json!({ "enum": reserved });
    let tests: Vec<Word> = TESTS
        .iter()
        .map(|test| test.word)
        .chain([word("ignore_case", Shape::Flag, "ignores the difference between upper and lower case")])
        .collect();
    let one = Shape::Compared("").schema();
    let plain = json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] });
    let mut of_a_field = map(&[&tests], &[]);
    of_a_field["minProperties"] = 1.into();
    let line = json!({ "if": { "type": "object" }, "then": of_a_field, "else": { "$ref": "#/definitions/plain" } });
    let group = |does: &str| json!({ "type": "array", "items": { "$ref": "#/definitions/condition" }, "description": does });
    // Groups of other tools, and tests in the wrong place.
    let tests_of_fields = TESTS.iter().filter(|test| !test.is_of_now).map(|test| test.word.name);
    let not_fields: Vec<&str> = ["or", "and", "anyOf", "allOf"].into_iter().chain(tests_of_fields).collect();
    let mut condition = json!({
        "type": "object",
        "properties": {
            "any": group("at least one of these is true"),
            "all": group("all of these are true"),
            "none": group("none of these is true"),
        },
        "additionalProperties": { "$ref": "#/definitions/line" },
        "propertyNames": { "pattern": FIELD, "not": { "enum": not_fields } },
        "minProperties": 1,
    });
    for test in TESTS.iter().filter(|test| test.is_of_now) {
        condition["properties"][test.word.name] = test.word.schema();
    }
    let verify: Map<String, Value> = verify::names()
        .into_iter()
        .map(|name| {
            let shape = match verify::is_map(&name) {
                _ if name == verify::NAME => SENDER_NAME.schema(),
                true => json!({ "type": "object" }),
                false => json!({ "type": ["string", "array", "object"], "minLength": 1, "minItems": 1 }),
            };
            (name, shape)
        })
        .collect();
    let mut when = map(&[WHEN], &[]);
    when["anyOf"] =
        ["webhook", "every", "at", "cron", "failed", "silent", "called"].iter().map(|key| json!({ "required": [key] })).collect();
    let mut attached = map(&[ATTACHED], &[]);
    attached["oneOf"] = ["file", "base64"].map(|key| json!({ "required": [key] })).to_vec().into();
    let mut connection = map(&[CONNECTION], &[]);
    let own = |way: &str| match way {
        "smtp" => json!({ "required": ["smtp", "from"] }),
        other => json!({ "required": [other], "maxProperties": 1 }),
    };
    connection["oneOf"] = WAYS.iter().map(|way| own(way.key)).collect();
    let mut oauth2 = map(&[OAUTH2], &["token_url", "client_id"]);
    oauth2["anyOf"] = ["client_secret", "refresh_token"].map(|key| json!({ "required": [key] })).to_vec().into();
    let mut signs = map(&[SIGNS], &[]);
    signs["minProperties"] = 1.into();
    signs["maxProperties"] = 1.into();
    let mut file = map(&[FILE], &[]);
    file["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    file["title"] = "Doorbell rules".into();
    file["definitions"] = json!({
        "address": map(&[ADDRESS], &[]),
        "answer": map(&[ANSWER], &[]),
        "auth": map(&[AUTH], &[]),
        "condition": condition,
        "aws": map(&[AWS], &["region", "service", "access_key_id", "secret_access_key"]),
        "connection": connection,
        "effect": map(&expected, &[]),
        "files": { "anyOf": [{ "type": "string" }, attached, { "type": "array", "items": { "anyOf": [{ "type": "string" }, attached] } }] },
        "line": line,
        "oauth2": oauth2,
        "once_per": map(&[ONCE_PER], &["value"]),
        "plain": plain,
        "reply": map(&[REPLY], &[]),
        "rule": rule,
        "send": map(&[SEND], &[]),
        "signs": signs,
        "step": step,
        "steps": { "type": "array", "items": { "$ref": "#/definitions/step" }, "minItems": 1 },
        "test": map(&[TEST], &["name", "send", "expect"]),
        "verify": { "type": "object", "properties": verify, "additionalProperties": false, "minProperties": 1 },
        "when": when,
    });
    file
}
