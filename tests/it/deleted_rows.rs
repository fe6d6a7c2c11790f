//! `delete_row`, and `all: true`, which changes or deletes every row that matches. A workbook in which something could not follow
//! is not changed.

use crate::harness::{Setup, until};
use crate::spreadsheets::{read_by_libreoffice, send, with_sheets};
use crate::workbooks::{Book, after, rows, text};

const DELETE: &str = "- delete_row: o.xlsx\n  where: { Order: \"{{ body.order }}\" }";
const TITLES: &[&str] = &["Order", "Total"];
const SECOND: &str = r#"{"order": "A-2"}"#;

fn csv(steps: &str) -> Setup {
    let setup = Setup::with(&format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}"));
    std::fs::create_dir(setup.path("output")).unwrap();
    setup
}

#[test]
fn a_row_of_a_csv_is_deleted_and_every_other_byte_stays() {
    let setup = csv(
        "      - delete_row: c.csv\n        where: { Email: \"{{ body.email }}\", Shop: 7 }\n        ignore_case: true\n        save_as: gone\n",
    );
    setup.write("output/c.csv", "Email;Shop;Note\r\n\"a@x\";7;\"one\r\ntwo\"\r\n\r\nb@x;7;\r\na@x;8;x\r\nc@x;7;last");
    let doorbell = setup.serve();
    let said = |email: &str| {
        let event = doorbell.deliver("/a", &format!(r#"{{"email": "{email}"}}"#));
        until("it has ended", || setup.printed(&["explain", &event]).contains("1. delete_row"));
        setup.printed(&["explain", &event])
    };
    assert!(said("A@x").contains("1. delete_row  done: wrote to c.csv"));
    assert_eq!(setup.output("c.csv"), "Email;Shop;Note\r\n\r\nb@x;7;\r\na@x;8;x\r\nc@x;7;last");
    assert!(said("c@x").contains("done"));
    assert_eq!(setup.output("c.csv"), "Email;Shop;Note\r\n\r\nb@x;7;\r\na@x;8;x\r\n");
    // What is not there need not be deleted.
    let nothing = "1. delete_row  done: c.csv has no row where Email is c@x and Shop is 7, so nothing is deleted";
    assert!(said("c@x").contains(nothing), "{}", said("c@x"));
    assert!(said("").contains("failed: c.csv: the value for Email is empty, so it cannot identify a row"));
}

#[test]
fn two_rows_are_deleted_or_changed_only_if_the_rule_says_all() {
    let delete = "      - delete_row: c.csv\n        where: { Email: \"{{ body.email }}\" }\n";
    let update = "      - update_row: c.csv\n        match: Email\n        columns: { Email: \"{{ body.email }}\", Note: new }\n";
    let all = "        all: true\n";
    for (steps, after) in [
        (delete.to_owned(), None),
        (format!("{delete}{all}"), Some("Email,Note\nb@x,2\n")),
        (update.to_owned(), None),
        (format!("{update}{all}"), Some("Email,Note\na@x,new\nb@x,2\na@x,new\n")),
    ] {
        let setup = csv(&steps);
        let before = "Email,Note\na@x,1\nb@x,2\na@x,3\n";
        setup.write("output/c.csv", before);
        let doorbell = setup.serve();
        let event = doorbell.deliver("/a", r#"{"email": "a@x"}"#);
        let shown = || setup.printed(&["explain", &event]);
        match after {
            Some(_) => until("it is done", || shown().contains("wrote to c.csv")),
            None => until("it has failed", || {
                shown().contains("failed: c.csv has two rows where Email is a@x: rows 2 and 4; `all: true` means all of them")
            }),
        }
        assert_eq!(setup.output("c.csv"), after.unwrap_or(before), "{steps}");
    }
}

#[test]
fn a_file_that_does_not_exist_is_not_made_to_delete_a_row() {
    for file in ["o.xlsx", "o.csv"] {
        let setup = with_sheets(&[], &DELETE.replace("o.xlsx", file));
        let said = send(&setup, &[SECOND]);
        assert!(said.contains("✓ A") && said.contains("so nothing is deleted"), "{said}");
        assert!(!setup.path("output").join(file).exists());
    }
}

#[test]
fn everything_below_a_deleted_row_of_a_workbook_moves_up() {
    let around = "<autoFilter ref=\"A1:B4\"/><conditionalFormatting sqref=\"B2:B4\"><cfRule type=\"expression\" priority=\"1\"><formula>B2&gt;$B$4</formula></cfRule></conditionalFormatting>";
    let mut book = Book::default()
        .sheet(
            "S",
            &[
                &["Order", "Total", "Double"],
                &["A-1", "10", "=B2*2|20"],
                &["A-2", "20", "=B3*2|40"],
                &["A-3", "30", "=B4*2|60"],
                &["", "=SUM(B2:B4)|60", "=C4+1|61"],
            ],
            around,
        )
        .sheet("Sums", &[&["=SUM(S!B2:B4)|60", "=S!B5|60", "=SUM(S!B:B)|120", "=1+1|2"]], "")
        .sheet("Form", &[&["Order"]], "<dataValidations count=\"1\"><dataValidation type=\"list\" sqref=\"A2:A9\"><formula1>S!$A$2:$A$4</formula1></dataValidation></dataValidations>");
    book.names = "<definedNames><definedName name=\"Totals\">'S'!$B$2:$B$4&amp;\"\"</definedName></definedNames>".to_owned();
    let setup = after(&book, DELETE, &[SECOND]);
    let sheet = text(&setup, "xl/worksheets/sheet0.xml");
    assert_eq!(rows(&setup, "S"), ["Order|Total|Double", "A-1|10|20", "A-3|30"]);
    for formula in ["<f>B2*2</f><v>20</v>", "<f>B3*2</f></c>", "<f>SUM(B2:B3)</f></c>", "<f>C3+1</f></c>"] {
        assert!(sheet.contains(formula), "{formula}: {sheet}");
    }
    let formats = "<autoFilter ref=\"A1:B3\"/><conditionalFormatting sqref=\"B2:B3\"><cfRule type=\"expression\" priority=\"1\"><formula>B2&gt;$B$3</formula>";
    assert!(sheet.contains(formats), "{sheet}");
    let sums = text(&setup, "xl/worksheets/sheet1.xml");
    for formula in ["<f>SUM(S!B2:B3)</f></c>", "<f>S!B4</f></c>", "<f>SUM(S!B:B)</f></c>", "<f>1+1</f><v>2</v>"] {
        assert!(sums.contains(formula), "{formula}: {sums}");
    }
    assert!(text(&setup, "xl/workbook.xml").contains("<definedName name=\"Totals\">'S'!$B$2:$B$3&amp;\"\"</definedName>"));
    let form = text(&setup, "xl/worksheets/sheet2.xml");
    assert!(form.contains("sqref=\"A2:A9\"><formula1>S!$A$2:$A$3</formula1>"), "{form}");
}

#[test]
fn a_table_becomes_shorter_and_rows_are_deleted_among_others_of_a_batch() {
    let columns = ["name=\"Order\">", "name=\"Total\">"];
    let book = Book::default()
        .sheet("S", &[TITLES, &["A-1", "10"], &["A-2", "20"], &["A-3", "30"], &[], &["A remark"]], "")
        .table("Orders", "A1:B4", &columns, "")
        .sheet("Other", &[TITLES, &["A-2", "1"]], "");
    let steps = format!(
        "{DELETE}\n- add_row: o.xlsx\n  columns: {{ Order: \"{{{{ body.order }}}}\", Total: 5 }}\n{DELETE}\n- delete_row: o.xlsx\n  sheet: Other\n  where: {{ Order: A-2, Total: 1 }}\n- add_row: o.xlsx\n  columns: {{ Order: A-4, Total: 6 }}"
    );
    let setup = after(&book, &steps, &[SECOND]);
    assert_eq!(rows(&setup, "S"), ["Order|Total", "A-1|10", "A-3|30", "A-4|6", "A remark"]);
    assert_eq!(rows(&setup, "Other"), ["Order|Total"]);
    assert!(text(&setup, "xl/tables/table0-0.xml").contains("ref=\"A1:B4\""));
}

#[test]
fn a_workbook_in_which_something_could_not_follow_is_not_changed() {
    let data: &[&[&str]] = &[TITLES, &["A-1", "10"], &["A-2", "20"], &["A-3", "30"]];
    let columns = ["name=\"Order\">", "name=\"Total\">"];
    let plain = || Book::default().sheet("S", data, "");
    let with = |cell: &str| Book::default().sheet("S", &[TITLES, &["A-1", "10", "", cell], data[2], data[3]], "");
    let noted = |at: &str| Book { notes: Some(at.to_owned()), ..plain() };
    for (book, said) in [
        (with("=B3|20"), "o.xlsx: the formula B3 refers to a row that would be deleted; change the formula first"),
        (
            plain().sheet("Sums", &[&["=S!B3*2|40"]], ""),
            "o.xlsx: the formula S!B3*2 refers to a row that would be deleted; change the formula first",
        ),
        (
            Book { names: "<definedNames><definedName name=\"Best\">S!$B$3</definedName></definedNames>".to_owned(), ..plain() },
            "o.xlsx: the formula S!$B$3 refers to a row that would be deleted; change the formula first",
        ),
        (
            Book::default().sheet("S", data, "<mergeCells><mergeCell ref=\"C2:C3\"/></mergeCells>"),
            "o.xlsx: C2:C3 are merged into one cell; split it in your spreadsheet program, so that a row can be deleted",
        ),
        (noted("A4"), "o.xlsx: the note at A4 cannot be moved; delete the note in your spreadsheet program"),
        (
            Book::default().sheet("S", &[TITLES, &["A-2", "20"]], "").table("Orders", "A1:B2", &columns, ""),
            "o.xlsx: the table Orders would have no row any more, which a table cannot be without",
        ),
        (
            Book::default().sheet("S", &[TITLES, &["A-1", "10"], &["A-2", "20", "", "note"]], "").table("Orders", "A1:B3", &columns, ""),
            "o.xlsx: D3 next to the table would be deleted, too; move it to another sheet",
        ),
    ] {
        let step = format!("{DELETE}\n  on_error:\n    - append: errors.log\n      text: \"{{{{ error.message }}}}\"");
        let setup = with_sheets(&[], &step);
        book.save(&setup);
        let before = std::fs::read(setup.path("output/o.xlsx")).unwrap();
        send(&setup, &[SECOND]);
        assert_eq!(setup.output("errors.log"), format!("{said}\n"));
        assert_eq!(std::fs::read(setup.path("output/o.xlsx")).unwrap(), before, "{said}");
    }
}

#[test]
#[cfg_attr(not(has_libreoffice), ignore = "needs LibreOffice (`soffice`)")]
fn libreoffice_calculates_with_the_rows_that_stay() {
    let formula = "Orders[[#This Row],[Total]]*2";
    let double = format!("={formula}|20");
    let calculated = format!("name=\"Double\"><calculatedColumnFormula>{formula}</calculatedColumnFormula>");
    let book = Book::default()
        .sheet(
            "S",
            &[
                &["Order", "Total", "Double", "", "=SUM(Orders[Total])|60"],
                &["A-1", "10", &double],
                &["A-2", "20", &double],
                &["A-3", "30", &double],
                &["Total", "=SUM(B2:B4)|60", "=B5*2|120"],
            ],
            "",
        )
        .table("Orders", "A1:C4", &["name=\"Order\">", "name=\"Total\">", &calculated], "")
        .sheet("Sums", &[&["=SUM(S!B2:B4)|60"]], "");
    let sheets = read_by_libreoffice(&after(&book, DELETE, &[SECOND]), "o.xlsx");
    assert_eq!(sheets[0].1, "Order,Total,Double,,40\nA-1,10,20,,\nA-3,30,60,,\nTotal,40,80,,\n");
    assert_eq!(sheets[1].1, "40\n");
}
