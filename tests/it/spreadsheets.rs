//! Rows are found, changed and added in spreadsheets as people have them: workbooks with tables and totals, and CSV files of
//! every kind. Everything else stays as it was, and LibreOffice can read the result.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use calamine::{Reader, open_workbook_auto};

use crate::harness::{Setup, project_folder, unable, until};

/// A folder with spreadsheets of `tests/sheets` in its output folder, and one rule with these steps.
pub fn with_sheets(sheets: &[&str], steps: &str) -> Setup {
    let steps: String = steps.lines().map(|l| format!("      {l}\n")).collect();
    let setup = Setup::with(&format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}"));
    std::fs::create_dir_all(setup.path("output")).unwrap();
    for sheet in sheets {
        std::fs::copy(project_folder().join("tests/sheets").join(sheet), setup.path("output").join(sheet)).unwrap();
    }
    setup
}

/// Sends every body, and waits until each run is done or has failed; returns what `explain` shows for the last one.
pub fn send(setup: &Setup, bodies: &[&str]) -> String {
    let doorbell = setup.serve();
    let mut said = String::new();
    for body in bodies {
        let event = doorbell.deliver("/a", body);
        until("the run has ended", || {
            said = setup.printed(&["explain", &event]);
            said.contains("✓ A") || said.contains("✗ A")
        });
    }
    doorbell.stop();
    said
}

pub fn cells(file: &Path, sheet: &str) -> Vec<Vec<String>> {
    let mut book = open_workbook_auto(file).unwrap();
    let range = book.worksheet_range(sheet).unwrap();
    range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

pub fn part(file: &Path, name: &str) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).ok()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// The names of the parts that differ between two workbooks.
pub fn changed_parts(before: &Path, after: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(std::fs::File::open(after).unwrap()).unwrap();
    let mut names: Vec<String> = archive.file_names().map(|n| n.unwrap().into_owned()).collect();
    names.retain(|n| part(before, n) != part(after, n));
    names.sort();
    names
}

/// Copies a workbook of `tests/sheets` to the output folder and changes one of its parts; returns the changed text.
fn with_part(setup: &Setup, sheet: &str, name: &str, change: impl Fn(&str) -> String) -> String {
    let before = project_folder().join("tests/sheets").join(sheet);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&before).unwrap()).unwrap();
    let mut writer = zip::ZipWriter::new(std::fs::File::create(setup.path("output").join(sheet)).unwrap());
    let text = change(&String::from_utf8(part(&before, name).unwrap()).unwrap());
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).unwrap();
        if file.name().unwrap() == name {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        } else {
            writer.raw_copy_file(file).unwrap();
        }
    }
    writer.finish().unwrap();
    text
}

/// What LibreOffice reads from a workbook: each sheet as CSV, with the results of formulas.
pub fn read_by_libreoffice(setup: &Setup, file: &str) -> Vec<(String, String)> {
    let filter = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1";
    let profile = format!("-env:UserInstallation=file://{}", setup.path("office").display());
    let out = Command::new("soffice")
        .args([&profile, "--headless", "--convert-to", filter, "--outdir"])
        .arg(setup.path("csv"))
        .arg(setup.path("output").join(file))
        .output()
        .unwrap_or_else(|e| unable("has_libreoffice", &format!("LibreOffice cannot be started: {e}")));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut sheets: Vec<(String, String)> = std::fs::read_dir(setup.path("csv"))
        .unwrap()
        .flatten()
        .map(|f| (f.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(f.path()).unwrap()))
        .collect();
    sheets.sort();
    sheets
}

/// Two rows added to a table that has totals.
fn with_more_orders() -> Setup {
    let setup = with_sheets(
        &["orders-table.xlsx"],
        "- add_row: orders-table.xlsx\n  columns: { Number: \"{{ body.id }}\", Name: \"{{ body.name }}\", Total: \"{{ body.total }}\", Zip: \"{{ body.zip }}\" }\n  new_columns: add",
    );
    send(
        &setup,
        &[r#"{"id": "A-4", "name": "Zoë", "total": 99.5, "zip": "0042"}"#, r#"{"id": "A-5", "name": "=1+1", "total": 1, "zip": "1"}"#],
    );
    setup
}

#[test]
fn rows_are_added_above_the_totals_of_a_table_and_the_table_grows() {
    let setup = with_more_orders();
    let file = setup.path("output/orders-table.xlsx");
    let rows = cells(&file, "Orders");
    assert_eq!(rows.iter().map(|r| r[0].as_str()).collect::<Vec<_>>(), ["Number", "A-1", "A-2", "A-3", "A-4", "A-5", "Sum"]);
    assert_eq!(rows[0][4], "Zip");
    assert_eq!(rows[4][4], "0042");
    let table = String::from_utf8(part(&file, "xl/tables/table1.xml").unwrap()).unwrap();
    assert!(table.contains("ref=\"A1:E7\"") && table.contains("<autoFilter ref=\"A1:E6\""), "{table}");
    assert!(table.contains("<tableColumns count=\"5\">") && table.contains("name=\"Zip\"/></tableColumns>"), "{table}");
    let before = project_folder().join("tests/sheets/orders-table.xlsx");
    let expected = [
        "[Content_Types].xml",
        "_rels/.rels",
        "docProps/custom.xml",
        "xl/tables/table1.xml",
        "xl/worksheets/sheet1.xml",
        // The result of a formula that reads the table is dropped.
        "xl/worksheets/sheet2.xml",
    ];
    assert_eq!(changed_parts(&before, &file), expected);
}

#[test]
fn a_totals_row_that_a_formula_refers_to_is_not_moved() {
    let setup = with_sheets(&["totals-named.xlsx"], "- add_row: totals-named.xlsx\n  columns: { Number: \"{{ body.id }}\" }");
    let said = send(&setup, &[r#"{"id": "A-4"}"#]);
    assert!(said.contains("a formula in the sheet Summary refers to the total row of the table"), "{said}");
    assert_eq!(
        changed_parts(&project_folder().join("tests/sheets/totals-named.xlsx"), &setup.path("output/totals-named.xlsx")),
        Vec::<String>::new()
    );
}

/// A customer changed, and another one added and changed.
fn with_other_customers() -> Setup {
    let setup = with_sheets(
        &["customers.xlsx"],
        "- add_or_update_row: customers.xlsx\n  sheet: Customers\n  match: Email\n  ignore_case: true\n  skip_missing: true\n  columns: { Email: \"{{ body.email }}\", Name: \"{{ body.name }}\", Sum: \"{{ body.sum }}\" }",
    );
    send(
        &setup,
        &[
            r#"{"email": "EVE@example.com", "sum": 99.5}"#,
            r#"{"email": "new@example.com", "name": "New", "sum": 1}"#,
            r#"{"email": "NEW@example.com", "name": "Newer"}"#,
        ],
    );
    setup
}

#[test]
fn add_or_update_row_finds_rows_by_match_and_keeps_formulas() {
    let setup = with_other_customers();
    let rows = cells(&setup.path("output/customers.xlsx"), "Customers");
    assert_eq!(rows[3][..4], ["Eve@example.com", "Eve", "0", "99.5"]);
    assert_eq!(rows[4][..4], ["new@example.com", "Newer", "", "1"]);
    assert_eq!(rows.len(), 5);
    let sheet = String::from_utf8(part(&setup.path("output/customers.xlsx"), "xl/worksheets/sheet2.xml").unwrap()).unwrap();
    assert!(sheet.contains("<f>D4*2</f>") && sheet.contains("<autoFilter ref=\"A1:E5\""), "{sheet}");
}

#[test]
#[cfg_attr(not(has_libreoffice), ignore = "needs LibreOffice (`soffice`)")]
fn libreoffice_reads_what_was_written() {
    let sheets = read_by_libreoffice(&with_more_orders(), "orders-table.xlsx");
    let orders = "Number,Name,Date,Total,Zip\nA-1,Ada,2026-03-01,10.5,\nA-2,Bob & Co,2026-03-02,20,\nA-3,Ümit,2026-03-03,30,\nA-4,Zoë,,99.5,0042\nA-5,=1+1,,1,1\n";
    assert!(sheets[0].1.starts_with(orders), "{}", sheets[0].1);
    let sheets = read_by_libreoffice(&with_other_customers(), "customers.xlsx");
    assert_eq!(sheets[1].1, "Do not touch,2\n");
    assert!(sheets[0].1.contains("Eve@example.com,Eve,0,99.5,"), "{}", sheets[0].1);
}

/// Names, comments and quotes that contain what Doorbell looks for in the XML of a workbook.
#[test]
fn no_sheet_name_is_mistaken_for_the_xml_of_the_workbook() {
    let sheet = "<sheet name=\"Tickets\" sheetId=\"1\" state=\"visible\" r:id=\"rId1\" />";
    let calculation = "<calcPr calcId=\"124519\" fullCalcOnLoad=\"1\" />";
    for (named, calculated, then) in [
        (
            "<sheet name=\"calcPrices\" sheetId=\"1\" r:id=\"rId1\"/>",
            "<calcPr calcId=\"1\"/>",
            "<calcPr calcId=\"1\" fullCalcOnLoad=\"1\"/>",
        ),
        (
            "<sheet name='a \"ref=\" &lt;b> &amp; &apos;c&apos;' sheetId='1' r:id='rId1'/>",
            "<calcPr  calcId='1' />",
            "<calcPr  calcId='1' fullCalcOnLoad=\"1\" />",
        ),
        (
            "<!-- <calcPr> --><sheet name=\"1>0 &lt;calcPr/>\" sheetId=\"1\" r:id=\"rId1\"/>",
            "<calcPr fullCalcOnLoad='0'\n/>",
            "<calcPr fullCalcOnLoad='1'\n/>",
        ),
        ("<sheet name=\"</workbook>\" sheetId=\"1\" r:id=\"rId1\"/>".replace("</", "&lt;/").as_str(), calculation, calculation),
        ("<sheet name=\"calcPr\" sheetId=\"1\" r:id=\"rId1\"/>", "", ""),
    ] {
        let setup = with_sheets(&[], "- update_row: tickets.xlsx\n  match: Ticket\n  columns: { Ticket: \"{{ body.n }}\", State: closed }");
        let before =
            with_part(&setup, "tickets.xlsx", "xl/workbook.xml", |text| text.replace(sheet, named).replace(calculation, calculated));
        let said = send(&setup, &[r#"{"n": 1}"#]);
        assert!(said.contains("✓ A"), "{named}\n{said}");
        let file = setup.path("output/tickets.xlsx");
        let after = String::from_utf8(part(&file, "xl/workbook.xml").unwrap()).unwrap();
        assert_eq!(after, before.replace(&format!("{calculated}</workbook>"), &format!("{then}</workbook>")));
        let mut book = open_workbook_auto(&file).unwrap();
        assert_eq!(book.worksheet_range_at(0).unwrap().unwrap().get_value((1, 1)).unwrap().to_string(), "closed", "{named}");
    }
}

#[test]
fn a_table_that_is_named_like_an_attribute_keeps_its_name_and_grows() {
    let setup = with_sheets(
        &[],
        "- add_row: orders-table.xlsx\n  new_columns: add\n  columns: { Number: \"{{ body.id }}\", \"a \\\"ref=\\\" <b> & 'c'\": \"{{ body.id }}\" }",
    );
    let before = with_part(&setup, "orders-table.xlsx", "xl/tables/table1.xml", |text| {
        let text = text
            .replace("<table ", "<!-- ref=\"A1:D5\" </table> --><x:table ")
            .replace("xmlns=", "xmlns:x=")
            .replace("</table", "</x:table");
        let text = ["autoFilter", "tableColumns", "tableColumn ", "tableStyleInfo"]
            .iter()
            .fold(text, |text, tag| text.replace(&format!("<{tag}"), &format!("<x:{tag}")))
            .replace("</tableColumns>", "</x:tableColumns\n>");
        text.replace("name=\"Orders\"", "name='ref=\"A1:D5\"'").replace("ref=\"A1:D4\"", "ref='$A$1:$D$4'")
    });
    let said = send(&setup, &[r#"{"id": "A-4"}"#]);
    assert!(said.contains("✓ A"), "{said}");
    let expected = before
        .replace(" ref=\"A1:D5\" totals", " ref=\"A1:E6\" totals")
        .replace("ref='$A$1:$D$4'", "ref='A1:E5'")
        .replace("count=\"4\"", "count=\"5\"")
        .replace("</x:tableColumns", "<x:tableColumn id=\"5\" name=\"a &quot;ref=&quot; &lt;b&gt; &amp; &apos;c&apos;\"/></x:tableColumns");
    assert_eq!(String::from_utf8(part(&setup.path("output/orders-table.xlsx"), "xl/tables/table1.xml").unwrap()).unwrap(), expected);
}

/// A workbook that cannot be read with certainty is not written.
#[test]
fn a_workbook_with_malformed_xml_is_left_as_it_is() {
    for (part, change) in [
        ("xl/workbook.xml", &(|t: &str| t.replace("</workbook>", "")) as &dyn Fn(&str) -> String),
        ("xl/workbook.xml", &|t| t.replace("<calcPr ", "<calcPr calcId=\"1\" ")),
        ("xl/workbook.xml", &|t| t.replace("name=\"Tickets\"", "name=\"a & b\"")),
        ("xl/workbook.xml", &|t| format!("<?xml version=\"1.0\" encoding=\"windows-1252\"?>{}", t.replace("Tickets", "Öl"))),
        ("xl/workbook.xml", &|t| format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{t}")),
        ("[Content_Types].xml", &|t| t.replace("</Types>", "</Types><Types/>")),
        ("_rels/.rels", &|t| format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{t}")),
        ("xl/worksheets/sheet1.xml", &|t| t.replace("</worksheet>", "")),
        ("xl/worksheets/sheet1.xml", &|t| t.replace("</worksheet>", "</worksheet></row>")),
    ] {
        let setup = with_sheets(&[], "- add_row: tickets.xlsx\n  columns: { Ticket: \"{{ body.n }}\" }");
        with_part(&setup, "tickets.xlsx", part, change);
        let before = std::fs::read(setup.path("output/tickets.xlsx")).unwrap();
        let said = send(&setup, &[r#"{"n": 1}"#]);
        assert!(said.contains("✗ A") && said.contains("this workbook cannot be read"), "{part}\n{said}");
        assert_eq!(std::fs::read(setup.path("output/tickets.xlsx")).unwrap(), before);
    }
}

#[test]
fn a_row_that_cannot_be_updated_is_explained_in_plain_english() {
    let step = |columns: &str, verb: &str| format!("- {verb}: customers.xlsx\n  sheet: Customers\n  match: Email\n  columns: {columns}");
    for (columns, verb, body, said) in [
        ("{ Email: \"{{ body.email }}\", Name: x }", "update_row", r#"{"email": "no@x"}"#, "customers.xlsx has no row where Email is no@x"),
        (
            "{ Email: \"{{ body.email }}\", Name: x }",
            "update_row",
            r#"{"email": ""}"#,
            "customers.xlsx: the value for Email is empty, so it cannot identify a row",
        ),
        (
            "{ Email: \"{{ body.email }}\", Double: 5 }",
            "update_row",
            r#"{"email": "bob@example.com"}"#,
            "customers.xlsx: the cell under Double in row 3 contains a formula, which Doorbell does not overwrite; remove the column from the rule",
        ),
        (
            "{ Email: \"{{ body.email }}\", Phone: 5 }",
            "add_or_update_row",
            r#"{"email": "bob@example.com"}"#,
            "customers.xlsx has no column `Phone`; it has: Email, Name, Orders, Sum, Double",
        ),
    ] {
        let setup = with_sheets(&["customers.xlsx"], &step(columns, verb));
        let told = send(&setup, &[body]);
        assert!(told.contains(said), "{said}\n{told}");
        assert_eq!(
            changed_parts(&project_folder().join("tests/sheets/customers.xlsx"), &setup.path("output/customers.xlsx")),
            Vec::<String>::new()
        );
    }
    let setup = with_sheets(
        &["tickets.xlsx"],
        "- update_row: tickets.xlsx\n  match: Ticket\n  columns: { Ticket: \"{{ body.n }}\", State: closed }",
    );
    assert!(send(&setup, &[r#"{"n": 2}"#]).contains("tickets.xlsx has two rows where Ticket is 2: rows 3 and 4"));
    assert_eq!(send(&setup, &[r#"{"n": "1"}"#]).matches("done").count(), 1);
    assert_eq!(cells(&setup.path("output/tickets.xlsx"), "Tickets")[1][1], "closed");
}

#[test]
fn in_a_csv_only_changed_cells_are_rewritten() {
    let step = |file: &str| {
        format!(
            "- add_or_update_row: {file}\n  match: Email\n  columns: {{ Email: \"{{{{ body.email }}}}\", Sum: \"{{{{ body.sum }}}}\" }}"
        )
    };
    for (file, before, body, after) in [
        (
            "a.csv",
            &b"Email;Name;Sum\r\nada@x;\"Ada; L.\";1\r\n\"bob@x\" ;Bob;2\r\n"[..],
            r#"{"email": "ada@x", "sum": 3}"#,
            &b"Email;Name;Sum\r\nada@x;\"Ada; L.\";3\r\n\"bob@x\" ;Bob;2\r\n"[..],
        ),
        (
            "b.csv",
            b"\xef\xbb\xbfEmail,Sum,Name\nada@x,1,\"a\nb\"\nbob@x",
            r#"{"email": "bob@x", "sum": "x,y"}"#,
            b"\xef\xbb\xbfEmail,Sum,Name\nada@x,1,\"a\nb\"\nbob@x,\"x,y\"",
        ),
        (
            "c.csv",
            b"Gr\xf6\xdfe,Email,Sum\n5,ada@x,1\n",
            r#"{"email": "ada@x", "sum": "\u00fc"}"#,
            b"Gr\xf6\xdfe,Email,Sum\n5,ada@x,\xfc\n",
        ),
        ("d.tsv", b"Email\tSum\nada@x\t1", r#"{"email": "new@x", "sum": "=1"}"#, b"Email\tSum\nada@x\t1\nnew@x\t'=1\n"),
        ("e.csv", b"", r#"{"email": "new@x", "sum": 1}"#, b"Email,Sum\nnew@x,1\n"),
        ("f.csv", b"Email,Sum\n'+49@x,1\n", r#"{"email": "+49@x", "sum": 2}"#, b"Email,Sum\n'+49@x,2\n"),
    ] {
        let setup = with_sheets(&[], &step(file));
        std::fs::write(setup.path("output").join(file), before).unwrap();
        send(&setup, &[body]);
        let found = std::fs::read(setup.path("output").join(file)).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(after), "{file}");
        assert_eq!(found, after);
    }
}

#[test]
fn a_csv_gets_new_columns_at_the_end_and_keeps_its_encoding() {
    let setup = with_sheets(
        &[],
        "- add_row: a.csv\n  new_columns: add\n  columns: { Name: \"{{ body.name }}\", Phone: \"{{ body.phone }}\" }\n  on_error:\n    - append: errors.log\n      text: \"{{ error.message }}\"",
    );
    std::fs::write(setup.path("output/a.csv"), b"Name,Ort\nAda,K\xf6ln\nBob\n").unwrap();
    send(&setup, &[r#"{"name": "Zo\u00eb", "phone": "+49 30 1234567"}"#, r#"{"name": "\u0141uk", "phone": "1"}"#]);
    assert_eq!(std::fs::read(setup.path("output/a.csv")).unwrap(), b"Name,Ort,Phone\nAda,K\xf6ln,\nBob,,\nZo\xeb,,+49 30 1234567\n");
    assert_eq!(
        setup.output("errors.log"),
        "a.csv: this file is encoded in Windows-1252, which does not have the character `Ł`; save it as CSV in UTF-8\n"
    );
}

#[test]
fn a_rule_that_allows_formulas_does_not_allow_them_for_other_rules() {
    let rule = |name: &str, formulas: &str| {
        format!(
            "  {name}:\n    when: {{ webhook: /a }}\n    then:\n      - add_or_update_row: a.csv\n        match: Id\n        columns: {{ Id: \"{name} {{{{ body.id }}}}\", Note: \"{{{{ body.note }}}}\" }}\n{formulas}"
        )
    };
    let setup = Setup::with(&format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n{}{}",
        rule("Guarded", ""),
        rule("Trusted", "        formulas: allow\n")
    ));
    std::fs::create_dir_all(setup.path("output")).unwrap();
    let doorbell = setup.serve();
    // Events arrive at the same time, so that rows of both rules are written in one batch.
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let doorbell = &doorbell;
            threads.spawn(move || {
                for n in 0..10 {
                    doorbell.deliver("/a", &format!(r#"{{"id": "{thread}.{n}", "note": "=1+1"}}"#));
                }
            });
        }
    });
    until("all rows are written", || setup.output("a.csv").lines().count() == 161);
    let text = setup.output("a.csv");
    let wrong: Vec<&str> =
        text.lines().skip(1).filter(|l| l.ends_with(if l.starts_with("Guarded") { ",=1+1" } else { ",'=1+1" })).collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn one_row_of_a_hundred_thousand_is_updated_and_the_others_stay() {
    let setup = with_sheets(&[], "- update_row: big.csv\n  match: Id\n  columns: { Id: \"{{ body.id }}\", State: done }");
    let mut text = "Id,State\n".to_owned();
    (0..100_000).for_each(|n| text += &format!("{n},open\n"));
    std::fs::write(setup.path("output/big.csv"), &text).unwrap();
    send(&setup, &[r#"{"id": 99999}"#]);
    assert_eq!(setup.output("big.csv"), text.replace("99999,open", "99999,done"));
}
