//! CSV files as other programs write them: every delimiter, line end and encoding is kept, and a file that cannot be written
//! with certainty is left as it is, with the reason.

use crate::harness::Setup;
use crate::memory::peak;
use crate::spreadsheets::{send, with_sheets};

const ADD: &str = "- add_row: o.csv\n  columns: { Order: \"{{ body.order }}\", Total: \"{{ body.total }}\" }";
const ORDER: &str = r#"{"order": "A-2", "total": 19.5}"#;

/// A file with this content, and a rule with this step; what the step says is written to `errors.log`.
fn with_file(content: &[u8], step: &str) -> Setup {
    let setup = with_sheets(&[], &format!("{step}\n  on_error:\n    - append: errors.log\n      text: \"{{{{ error.message }}}}\""));
    std::fs::write(setup.path("output/o.csv"), content).unwrap();
    setup
}

fn file(setup: &Setup) -> Vec<u8> {
    std::fs::read(setup.path("output/o.csv")).unwrap()
}

#[test]
fn a_row_is_added_in_the_format_of_the_file() {
    for (before, after) in [
        ("Order,Total\nA-1,1\n", "Order,Total\nA-1,1\nA-2,19.5\n"),
        ("\"Name, first, last\";Order;Total\r\n\"a\";A-1;1\r\n", "\"Name, first, last\";Order;Total\r\n\"a\";A-1;1\r\n;A-2;19.5\r\n"),
        ("sep=;\r\nOrder;Total\r\nA-1;1", "sep=;\r\nOrder;Total\r\nA-1;1\r\nA-2;19.5\r\n"),
        ("\"sep=|\"\nOrder|Total\n", "\"sep=|\"\nOrder|Total\nA-2|19.5\n"),
        ("Order|Total\nA-1|1\n", "Order|Total\nA-1|1\nA-2|19.5\n"),
        ("Order,Total\rA-1,1\r", "Order,Total\rA-1,1\rA-2,19.5\r"),
        ("Order,Total\rA-1,1", "Order,Total\rA-1,1\rA-2,19.5\r"),
        ("\n,\n\nOrder,Total\nA-1,1\n", "\n,\n\nOrder,Total\nA-1,1\nA-2,19.5\n"),
        ("\u{feff}Order,Total\n\"A,\n1\",1\n", "\u{feff}Order,Total\n\"A,\n1\",1\nA-2,19.5\n"),
    ] {
        let setup = with_file(before.as_bytes(), ADD);
        send(&setup, &[ORDER]);
        assert_eq!(String::from_utf8_lossy(&file(&setup)), after);
        // A row that is changed is found in the same format, and nothing else changes.
        let setup = with_file(after.as_bytes(), &format!("{}\n  match: Order", ADD.replace("add_row", "update_row")));
        send(&setup, &[r#"{"order": "A-2", "total": "20"}"#]);
        assert_eq!(String::from_utf8_lossy(&file(&setup)), after.replace("19.5", "20"));
    }
}

#[test]
fn a_step_says_in_which_row_the_titles_are() {
    let before = "# exported 2026-03-01; do not edit\nOrders, all\nOrder,Total\nA-1,1\n";
    let setup = with_file(before.as_bytes(), &format!("{ADD}\n  title_row: 3"));
    send(&setup, &[ORDER]);
    assert_eq!(setup.output("o.csv"), format!("{before}A-2,19.5\n"));
    let step = format!("{}\n  match: Order\n  title_row: 3", ADD.replace("add_row", "add_or_update_row"));
    let setup = with_file(before.as_bytes(), &step);
    send(&setup, &[ORDER, r#"{"order": "A-1", "total": 2}"#]);
    assert_eq!(setup.output("o.csv"), format!("{}A-2,19.5\n", before.replace("A-1,1", "A-1,2")));
    let setup = with_file(b"", &format!("{ADD}\n  title_row: 3"));
    send(&setup, &[ORDER]);
    assert_eq!(setup.output("o.csv"), "\n\nOrder,Total\nA-2,19.5\n");
}

/// Each with what the step says; the file stays as it was.
#[test]
fn a_file_that_cannot_be_written_with_certainty_is_left_as_it_is() {
    let accent = r#"{"order": "é", "total": 1}"#;
    let utf_16 = "o.csv: it is encoded in UTF-16; save it as CSV in UTF-8 in your spreadsheet program";
    for (before, body, said) in [
        (
            &b"Order,Total\nA-1,\"1\n"[..],
            ORDER,
            "o.csv: the quote at the beginning of a cell in row 2 is never closed, so all that follows would be part of this cell; close the quote, or remove it",
        ),
        (
            b"Order,Order,Total\na,b,1\n",
            ORDER,
            "o.csv has two columns with the title `Order`, columns 1 and 2; give each of them its own title",
        ),
        (b"\xff\xfeO\0,\0", ORDER, utf_16),
        (b"O\0r\0d\0e\0r\0,\0T\0", ORDER, utf_16),
        (
            b"Order,Total,\xc8\xec\xff\nA-1,1,\xc0\xed\xed\xe0\n",
            accent,
            "o.csv: this file is not encoded in UTF-8, and Doorbell does not know in what else, so it cannot write the character `é`; save it as CSV in UTF-8",
        ),
        (
            b"# all orders\nOrder,Total\nA-1,1\n",
            ORDER,
            "o.csv has no column `Order` where the titles are expected, but row 2 has it; write `title_row: 2`",
        ),
        (b"\n,,\n", ORDER, "o.csv: every row is empty, so no column can be found by name; `title_row:` is the row with the titles"),
    ] {
        for step in [ADD.to_owned(), format!("{}\n  match: Order\n  new_columns: add", ADD.replace("add_row", "add_or_update_row"))] {
            let setup = with_file(before, &step);
            send(&setup, &[body]);
            assert_eq!(setup.output("errors.log"), format!("{said}\n"));
            assert_eq!(file(&setup), before, "{said}");
        }
    }
    // What is ASCII can be written whatever the encoding is.
    let setup = with_file(b"Order,Total,\xc8\xec\xff\n", ADD);
    send(&setup, &[ORDER]);
    assert_eq!(file(&setup), b"Order,Total,\xc8\xec\xff\nA-2,19.5,\n");
}

#[test]
fn text_that_looks_like_a_number_is_matched_character_by_character() {
    let step = format!("{}\n  match: Order", ADD.replace("add_row", "add_or_update_row"));
    let setup = with_file(b"Order,Total\n7,a\n1.1,b\n00123,c\n", &step);
    let bodies = [
        r#"{"order": "007", "total": "1"}"#,
        r#"{"order": "1.10", "total": "2"}"#,
        r#"{"order": 123, "total": "3"}"#,
        r#"{"order": 7, "total": "4"}"#,
    ];
    send(&setup, &bodies);
    assert_eq!(setup.output("o.csv"), "Order,Total\n7,4\n1.1,b\n00123,c\n007,1\n1.10,2\n123,3\n");
}

#[test]
fn empty_fields_leave_a_cell_as_it_is_if_the_rule_says_so() {
    let step = format!("{}\n  match: Order\n  skip_empty: true", ADD.replace("add_row", "update_row"));
    for total in ["", r#", "total": null"#, r#", "total": """#] {
        let setup = with_file(b"Order,Total\nA-1,1\n", &step);
        send(&setup, &[&format!("{{\"order\": \"A-1\"{total}}}")]);
        assert_eq!(setup.output("o.csv"), "Order,Total\nA-1,1\n");
    }
    let setup = with_file(b"Order,Total\nA-1,1\n", &step);
    send(&setup, &[r#"{"order": "A-1", "total": 0}"#]);
    assert_eq!(setup.output("o.csv"), "Order,Total\nA-1,0\n");
}

#[test]
fn an_older_version_of_a_row_does_not_replace_a_newer_one() {
    let step = "- add_or_update_row: o.csv\n  match: Order\n  newer_than: Updated\n  columns: { Order: \"{{ body.order }}\", Total: \"{{ body.total }}\", Updated: \"{{ body.at }}\" }";
    let body = |total: u32, at: &str| format!("{{\"order\": \"A-1\", \"total\": {total}, \"at\": \"{at}\"}}");
    let setup = with_file(b"Order,Total,Updated\n", step);
    send(&setup, &[&body(1, "2026-03-01T10:00:00Z"), &body(2, "2026-03-02T10:00:00Z")]);
    let said = send(&setup, &[&body(3, "2026-03-01T10:00:00Z")]);
    let older = "o.csv: Updated is 2026-03-01T10:00:00Z, which is not later than 2026-03-02T10:00:00Z, so nothing changes";
    assert!(said.contains("✓ A") && said.contains(older), "{said}");
    assert_eq!(setup.output("o.csv"), "Order,Total,Updated\nA-1,2,2026-03-02T10:00:00Z\n");
    send(&setup, &[&body(4, "soon")]);
    assert_eq!(
        setup.output("errors.log"),
        "o.csv: the new value of Updated, `soon`, is neither a date nor a number, so it cannot be compared\n"
    );
    send(&setup, &[&body(5, "2026-03-02T11:00:00+02:00"), &body(6, "2026-03-02T13:00:00+02:00")]);
    assert_eq!(setup.output("o.csv"), "Order,Total,Updated\nA-1,6,2026-03-02T13:00:00+02:00\n");
}

/// 100 times as many rows take no more memory than the few that are read at a time.
#[test]
fn changing_a_row_of_a_large_file_takes_no_more_memory_than_in_a_small_one() {
    let step = format!("{}\n  match: Order", ADD.replace("add_row", "update_row"));
    let used = |rows: u32| {
        let setup = with_file(b"", &step);
        let line = |n: u32| format!("{n},open,{}\n", "x".repeat(90));
        let text: String = std::iter::once("Order,Total,Note\n".to_owned()).chain((0..rows).map(line)).collect();
        std::fs::write(setup.path("output/o.csv"), &text).unwrap();
        let doorbell = setup.serve();
        let before = peak(&doorbell);
        doorbell.deliver("/a", &format!("{{\"order\": {}, \"total\": \"done\"}}", rows - 1));
        let last = format!("{},open", rows - 1);
        crate::harness::until("the row is changed", || !setup.output("o.csv").contains(&last));
        let after = peak(&doorbell);
        assert_eq!(setup.output("o.csv"), text.replace(&format!("\n{last}"), &format!("\n{},done", rows - 1)));
        after - before
    };
    let (small, large) = (used(5_000), used(500_000));
    assert!(large < small + 12, "50 MB take {large} MB, and 500 KB take {small} MB");
}
