//! `find_row`: what later steps see of the rows of a sheet, and that it stays the same however often these steps are tried.

use crate::harness::{Setup, Target, json, until};
use crate::spreadsheets::{send, with_sheets};
use crate::workbooks::Book;

const FIND: &str =
    "- find_row: FILE\n  where: { Email: \"{{ body.email }}\" }\n  save_as: found\n- append: found.jsonl\n  json: \"{{ found }}\"";

fn found(setup: &Setup) -> Vec<String> {
    setup.output("found.jsonl").lines().map(str::to_owned).collect()
}

#[test]
fn rows_of_a_csv_are_found_as_they_are_matched_and_everything_is_text() {
    let setup = with_sheets(&[], &FIND.replace("FILE", "c.csv").replace("save_as", "ignore_case: true\n  save_as"));
    let before = "sep=;\r\nEmail;Level;First name;Level\r\nada@x;3;\"Ada;\r\nL.\";a\r\nbob@x;;'=1+1;b\r\nADA@x;;Ada 2\r\n";
    setup.write("output/c.csv", before);
    let said = send(&setup, &[r#"{"email": "Ada@x"}"#, r#"{"email": "bob@x"}"#, r#"{"email": "eve@x"}"#]);
    assert!(said.contains("1. find_row  done: found no row in c.csv where Email is eve@x"), "{said}");
    let ada = r#"{"Email":"ada@x","First name":"Ada;\r\nL."}"#;
    assert_eq!(
        found(&setup),
        [
            format!(r#"{{"row":{ada},"rows":[{ada},{{"Email":"ADA@x","First name":"Ada 2"}}],"count":2}}"#),
            r#"{"row":{"Email":"bob@x","First name":"=1+1"},"rows":[{"Email":"bob@x","First name":"=1+1"}],"count":1}"#.to_owned(),
            r#"{"rows":[],"count":0}"#.to_owned(),
        ]
    );
    assert_eq!(setup.output("c.csv"), before, "nothing is written");
}

#[test]
fn cells_of_a_workbook_keep_their_types() {
    let step = "- find_row: o.xlsx\n  sheet: Two\n  title_row: 2\n  where: { Order: \"{{ body.order }}\" }\n  save_as: found\n- append: found.jsonl\n  json: \"{{ found.row }}\"";
    let setup = with_sheets(&[], step);
    Book::default()
        .sheet("One", &[&["Order"], &["A-1"]], "")
        .sheet(
            "Two",
            &[
                &["about orders"],
                &["Order", "Total", "Day", "Twice", "Note"],
                &["A-1", "19.50", "46143@1", "=B3*2|39", ""],
                &["A-2", "7", "46143.5@1", "=B4*2", "x"],
            ],
            "",
        )
        .save(&setup);
    send(&setup, &[r#"{"order": "A-1"}"#, r#"{"order": "A-2"}"#]);
    let rows = found(&setup);
    assert_eq!(
        rows,
        [
            r#"{"Order":"A-1","Total":19.5,"Day":"2026-05-01","Twice":39,"Note":null}"#,
            // The file does not have the result of its formula.
            r#"{"Order":"A-2","Total":7,"Day":"2026-05-01T12:00:00","Note":"x"}"#,
        ]
    );
}

#[test]
fn rows_that_doorbell_added_are_found_with_the_types_that_they_had() {
    let setup = with_sheets(
        &[],
        "- add_row: FILE\n  columns: { Id: \"{{ body.id }}\", Zip: \"0042\", Paid: \"{{ body.paid }}\", Due: \"{{ add_days '2026-03-14' 1 }}\", Note: \"=1+1\", Empty: \"{{ body.none }}\" }\n- find_row: FILE\n  where: { Id: \"{{ body.id }}\", Due: 2026-03-15 }\n  save_as: found\n- append: found.jsonl\n  json: \"{{ found.row }}\""
            .replace("FILE", "\"{{ body.file }}\"")
            .as_str(),
    );
    let body = |file: &str| format!(r#"{{"file": "{file}", "id": 7, "paid": true, "none": null}}"#);
    send(&setup, &[&body("new.xlsx"), &body("new.csv")]);
    assert_eq!(
        found(&setup),
        [
            r#"{"Id":7,"Zip":"0042","Paid":true,"Due":"2026-03-15","Note":"=1+1","Empty":null}"#,
            r#"{"Id":"7","Zip":"0042","Paid":"true","Due":"2026-03-15","Note":"=1+1","Empty":""}"#,
        ]
    );
}

#[test]
fn a_file_that_is_missing_is_not_made_and_a_column_that_is_missing_is_an_error() {
    for file in ["later/c.csv", "later/c.xlsx"] {
        let setup = with_sheets(&[], &FIND.replace("FILE", file));
        send(&setup, &[r#"{"email": "a@x"}"#]);
        assert_eq!(found(&setup), [r#"{"rows":[],"count":0}"#]);
        assert!(!setup.path("output/later").exists());
    }
    for (content, email, why) in [
        ("E-mail,Name\na@x,A\n", "a@x", "c.csv has no column `Email`; it has: E-mail, Name"),
        ("Email,Email\na@x,A\n", "a@x", "c.csv has two columns with the title `Email`, columns 1 and 2; give each of them its own title"),
        ("Email,Name\na@x,A\n", "", "c.csv: the value for Email is empty, so it cannot identify a row"),
        ("Email,Name\n\"a@x,A\n", "a@x", "c.csv: the quote at the beginning of a cell in row 2 is never closed"),
    ] {
        let setup = with_sheets(&[], &FIND.replace("FILE", "c.csv"));
        setup.write("output/c.csv", content);
        let said = send(&setup, &[&format!(r#"{{"email": "{email}"}}"#)]);
        assert!(said.contains(&format!("failed: {why}")), "{said}");
    }
    let setup = with_sheets(&[], "- find_row: ../secrets.csv\n  where: { A: 1 }\n  save_as: found");
    assert!(setup.printed(&["check"]).contains("`../secrets.csv` would be outside the output folder"));
    // Nor does a link lead out of it.
    let setup = with_sheets(&[], &FIND.replace("FILE", "link.csv"));
    setup.write("secrets.csv", "Email,Word\na@x,hidden\n");
    std::os::unix::fs::symlink(setup.path("secrets.csv"), setup.path("output/link.csv")).unwrap();
    let said = send(&setup, &[r#"{"email": "a@x"}"#]);
    assert!(said.contains("failed: link.csv would be outside the output folder"), "{said}");
}

#[test]
fn what_was_found_stays_the_same_when_a_later_step_is_tried_again_after_a_crash() {
    let app = Target::new(&[&json(503, "{}"), &json(200, "{}")]);
    let setup = with_sheets(
        &[],
        &format!(
            "- find_row: c.csv\n  where: {{ Id: \"1\" }}\n  save_as: found\n- post: {}\n  first_wait: 1 second\n  json: {{ name: \"{{{{ found.row.Name }}}}\" }}",
            app.url("/names")
        ),
    );
    setup.write("output/c.csv", "Id,Name\n1,Ada\n");
    let doorbell = setup.serve();
    doorbell.deliver("/a", "{}");
    until("it was called", || !app.calls().is_empty());
    setup.write("output/c.csv", "Id,Name\n1,Bob\n");
    doorbell.kill();
    let _doorbell = setup.serve();
    until("it was called again", || app.calls().len() > 1);
    assert!(app.calls().iter().all(|call| call.body == r#"{"name":"Ada"}"#), "{:?}", app.calls());
}

#[test]
fn many_runs_look_up_rows_while_others_are_added() {
    let setup = with_sheets(
        &[],
        "- add_row: n.csv\n  columns: { N: \"{{ body.n }}\" }\n- find_row: n.csv\n  where: { N: \"{{ body.n }}\" }\n  save_as: found\n- append: found.jsonl\n  json: \"{{ found.row }}\"",
    );
    let doorbell = setup.serve();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let doorbell = &doorbell;
            scope.spawn(move || (0..25).for_each(|n| drop(doorbell.deliver("/a", &format!("{{\"n\": {}}}", worker * 25 + n)))));
        }
    });
    until("all were found", || found(&setup).len() == 200);
    let mut numbers: Vec<u32> = found(&setup).iter().map(|row| row.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_dry_run_shows_what_follows_with_the_rows_that_are_given() {
    let setup = with_sheets(
        &[],
        "- find_row: c.xlsx\n  where: { Email: \"{{ body.email }}\" }\n  save_as: found\n- log: \"{{ found.row['First name'] }}, {{ found.count }}\"",
    );
    setup.write("a.json", r#"{"email": "a@x"}"#);
    setup.write("rows.json", r#"[{"First name": "Ada"}, {}]"#);
    setup.write("wrong.json", "3");
    let said = |reply: &[&str]| setup.printed(&[&["try", "a.json", "--path", "/a"], reply].concat());
    let without = said(&[]);
    assert!(without.contains("1. find_row  c.xlsx") && without.contains("rows where Email is a@x"), "{without}");
    assert!(without.contains("2. log  ‹found.row['First name']›, ‹found.count›"), "{without}");
    assert!(said(&["--reply", "rows.json"]).contains("2. log  Ada, 2"), "{}", said(&["--reply", "rows.json"]));
    let wrong = said(&["--reply", "wrong.json"]);
    assert!(wrong.contains("what is found is given as a list of rows, such as [{ \"Email\": \"ada@example.com\" }]"), "{wrong}");
}

#[test]
fn the_answers_of_a_test_are_given_by_kind_and_the_last_of_each_is_repeated() {
    let step = "- for_each: body.list\n  find_row: c.csv\n  where: { Email: \"{{ item }}\" }\n  save_as: found\n- post: https://x.example.com\n  save_as: made\n- log: \"{{ join found[*].count '-' }} {{ made.body.id }} {{ default found[0].row.Name 'none' }}\"";
    let test = |replies: &str, said: &str| {
        let setup = with_sheets(&[], step);
        let rules = std::fs::read_to_string(setup.path("rules/rules.yaml")).unwrap();
        let test = format!(
            "    tests:\n      - name: it\n        send: {{ json: {{ list: [a, b, c] }} }}\n        {replies}\n        expect:\n          - post: https://x.example.com\n          - log: {said}\n"
        );
        setup.write("rules/rules.yaml", &(rules + &test));
        setup.printed(&["test"])
    };
    for (replies, said) in [
        ("replies: [{ rows: { Name: Ada } }, { json: { id: 7 } }, { rows: [] }]", "1-0-0 7 Ada"),
        ("replies: [{ json: { id: 7 } }]", "0-0-0 7 none"),
        ("replies: [{ json: { id: 8 } }, { rows: [{ Name: Bo }, { Name: Cy }] }]", "2-2-2 8 Bo"),
    ] {
        let result = test(replies, said);
        assert!(result.ends_with("\n1 test passed\n"), "{result}");
    }
}
