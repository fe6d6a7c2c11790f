//! `append` and `add_row`: lines and rows in files, and the owner and permissions of files that are replaced.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use calamine::{Data, Reader, open_workbook_auto};

use crate::harness::{Setup, project_folder, until};

fn rules(steps: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}")
}

fn cells(setup: &Setup, file: &str) -> Vec<Vec<Data>> {
    let mut book = open_workbook_auto(setup.path("output").join(file)).unwrap();
    let range = book.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(<[Data]>::to_vec).collect()
}

#[test]
fn one_event_makes_one_line_whatever_it_contains() {
    let setup = Setup::with(&rules(
        "      - append: \"logs/{{ body.day }}.log\"\n        text: \"{{ body.text }}|\"\n      - append: all.jsonl\n        json: { t: \"{{ body.text }}\" }\n",
    ));
    std::fs::create_dir(setup.path("output")).unwrap();
    std::fs::write(setup.path("output/all.jsonl"), "by hand, no newline").unwrap();
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"text": "a\nb\r\nc\u2028d", "day": "../../etc/x"}"#);
    until("it is written", || setup.output("all.jsonl").ends_with("}\n"));
    assert_eq!(setup.output("logs/.._.._etc_x.log"), "a b  c d|\n");
    assert_eq!(setup.output("all.jsonl"), "by hand, no newline\n{\"t\":\"a\\nb\\r\\nc\u{2028}d\"}\n");
}

#[test]
fn csv_values_are_written_under_their_columns() {
    let setup = Setup::with(&rules(
        "      - add_row: a.csv\n        columns: { Name: \"{{ body.name }}\", Zip: \"{{ body.zip }}\", Sum: \"{{ body.sum }}\", Gone: \"{{ body.gone }}\" }\n",
    ));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"name": "=1+1, \"x\"", "zip": "0042", "sum": 1.10, "gone": null}"#);
    until("the row is written", || setup.output("a.csv").lines().count() == 2);
    assert_eq!(setup.output("a.csv"), "Name,Zip,Sum,Gone\n\"'=1+1, \"\"x\"\"\",0042,1.10,\n");
    // A person reorders the columns and adds one; later one is missing, so the step fails and names it.
    std::fs::write(setup.path("output/a.csv"), "\u{feff}Sum;Mine;Zip;Name;Gone\r\n1;2;3;4;5\r\n").unwrap();
    doorbell.deliver("/a", r#"{"name": "+49 30 123456", "zip": "-", "sum": -2, "gone": null}"#);
    until("the row is written", || setup.output("a.csv").lines().count() == 3);
    assert_eq!(setup.output("a.csv").lines().last(), Some("-2;;'-;+49 30 123456;"));
    std::fs::write(setup.path("output/a.csv"), "Name,Zip,Sum\n").unwrap();
    doorbell.deliver("/a", r#"{"name": "a", "zip": "b", "sum": 1, "gone": null}"#);
    until("it has failed", || setup.printed(&["failed"]).contains("a.csv has no column `Gone`; it has: Name, Zip, Sum"));
}

#[test]
fn a_workbook_is_created_and_grows() {
    let setup = Setup::with(&rules(
        "      - add_row: a.xlsx\n        sheet: Orders\n        columns: { Id: \"{{ body.id }}\", Name: \"{{ body.name }}\", Paid: \"{{ body.paid }}\", Note: \"{{ body.note }}\" }\n",
    ));
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"id": 7, "name": "=1+1 <&>\u0001", "paid": true, "note": null}"#);
    until("it is made", || setup.path("output/a.xlsx").exists());
    doorbell.deliver("/a", r#"{"id": 12345678901234567, "name": "0042", "paid": false, "note": " x "}"#);
    until("it has grown", || cells(&setup, "a.xlsx").len() == 3);
    let text = |t: &str| Data::String(t.into());
    let rows = cells(&setup, "a.xlsx");
    assert_eq!(rows[0], [text("Id"), text("Name"), text("Paid"), text("Note")]);
    assert_eq!(rows[1][..3], [Data::Float(7.0), text("=1+1 <&>\u{1}"), Data::Bool(true)]);
    assert_eq!(rows[2], [text("12345678901234567"), text("0042"), Data::Bool(false), text(" x ")]);
}

#[test]
fn the_other_content_of_a_workbook_stays_byte_for_byte() {
    let setup =
        Setup::with(&rules("      - add_row: a.xlsx\n        for_each: body.rows\n        columns: { Id: \"{{ item }}\", Note: hi }\n"));
    let before = setup.path("output/a.xlsx");
    std::fs::create_dir(setup.path("output")).unwrap();
    let sheet = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:B2"/><cols><col min="1" max="1" width="30"/></cols><sheetData><row r="1"><c r="A1" t="s"><v>1</v></c><c r="B1" t="s"><v>0</v></c></row><row r="2"><c r="A2" s="1"><v>1</v></c><c r="B2"><f>A2*2</f><v>2</v></c></row></sheetData><autoFilter ref="A1:B2"/><tableParts count="1"><tablePart r:id="rId1" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"/></tableParts></worksheet>"#;
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let parts = [
        ("[Content_Types].xml", r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#.to_owned()),
        ("_rels/.rels", format!(r#"<Relationships xmlns="x"><Relationship Id="r" Type="{relation}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#)),
        ("xl/workbook.xml", format!(r#"<workbook xmlns:r="{relation}"><sheets><sheet name="One" sheetId="1" r:id="rId9"/><sheet name="Two" sheetId="2" r:id="rId8"/></sheets></workbook>"#)),
        ("xl/_rels/workbook.xml.rels", format!(r#"<Relationships><Relationship Id="rId9" Type="{relation}/worksheet" Target="worksheets/s.xml"/><Relationship Id="rId8" Type="{relation}/worksheet" Target="/xl/worksheets/t.xml"/><Relationship Id="rId7" Type="{relation}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#)),
        ("xl/sharedStrings.xml", r#"<sst><si><t>Note</t></si><si><r><t>I</t></r><r><t>d</t></r></si></sst>"#.to_owned()),
        ("xl/worksheets/s.xml", sheet.to_owned()),
        ("xl/worksheets/t.xml", "<worksheet><sheetData/></worksheet>".to_owned()),
        ("xl/worksheets/_rels/s.xml.rels", format!(r#"<Relationships><Relationship Id="rId1" Type="{relation}/table" Target="../tables/t1.xml"/></Relationships>"#)),
        ("xl/tables/t1.xml", r#"<table id="1" ref="A1:B2"><autoFilter ref="A1:B2"/></table>"#.to_owned()),
        ("xl/media/image.png", "not really a picture".to_owned()),
    ];
    let mut writer = zip::ZipWriter::new(std::fs::File::create(&before).unwrap());
    for (name, text) in &parts {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"rows": [2, 3]}"#);
    until("it is done", || setup.printed(&["events"]).contains("1 run done"));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&before).unwrap()).unwrap();
    for (name, text) in &parts {
        let mut now = String::new();
        std::io::Read::read_to_string(&mut archive.by_name(name).unwrap(), &mut now).unwrap();
        let expected = match *name {
            "xl/worksheets/s.xml" => text
                .replace("A1:B2", "A1:B4")
                .replace("</sheetData>", r#"<row r="3"><c r="A3" s="1"><v>2</v></c><c r="B3" t="inlineStr"><is><t xml:space="preserve">hi</t></is></c></row><row r="4"><c r="A4" s="1"><v>3</v></c><c r="B4" t="inlineStr"><is><t xml:space="preserve">hi</t></is></c></row></sheetData>"#),
            "xl/tables/t1.xml" => text.replace("A1:B2", "A1:B4"),
            "[Content_Types].xml" | "_rels/.rels" => continue,
            _ => text.clone(),
        };
        assert_eq!(now, expected, "{name}");
    }
}

#[test]
fn a_step_waits_for_a_workbook_that_is_open_elsewhere_and_fails_if_it_is_broken() {
    let setup = Setup::with(&rules(
        "      - add_row: \"{{ body.file }}.xlsx\"\n        columns: { Id: 1 }\n        first_wait: 20 milliseconds\n        tries: 100\n",
    ));
    std::fs::create_dir(setup.path("output")).unwrap();
    std::fs::write(setup.path("output/~$open.xlsx"), "").unwrap();
    std::fs::write(setup.path("output/broken.xlsx"), "PK no archive").unwrap();
    std::fs::write(setup.path("output/locked.xlsx"), [0xd0, 0xcf, 0x11, 0xe0, 0, 0]).unwrap();
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", r#"{"file": "open"}"#);
    until("it is tried again", || {
        setup.printed(&["explain", &event]).contains("it is open in another program, which left the lock file ~$open.xlsx; close it there")
    });
    std::fs::remove_file(setup.path("output/~$open.xlsx")).unwrap();
    until("it is written", || setup.path("output/open.xlsx").exists());
    doorbell.deliver("/a", r#"{"file": "broken"}"#);
    doorbell.deliver("/a", r#"{"file": "locked"}"#);
    until("both have failed", || setup.printed(&["failed"]).contains("2 failed runs"));
    let said = setup.printed(&["failed"]);
    assert!(
        said.contains("broken.xlsx: this workbook cannot be read")
            && said.contains("locked.xlsx: it is protected with a password, or it is an old .xls file"),
        "{said}"
    );
    assert_eq!(std::fs::read(setup.path("output/broken.xlsx")).unwrap(), b"PK no archive");
}

#[test]
fn more_files_than_can_be_open_at_once_are_all_written() {
    let setup = Setup::with(&rules("      - append: \"many/{{ body.n }}.log\"\n        text: \"{{ body.n }}\"\n"));
    let doorbell = setup.serve();
    for n in 0..400 {
        doorbell.deliver("/a", &format!(r#"{{"n": {n}}}"#));
    }
    until("all are written", || (0..400).all(|n| setup.output(&format!("many/{n}.log")) == format!("{n}\n")));
}

/// Owner, group and permissions of a file.
fn access(path: &Path) -> (u32, u32, u32) {
    let meta = fs::metadata(path).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

fn set_access(path: &Path, (owner, group, mode): (u32, u32, u32)) {
    chown(path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A `.csv` file and a workbook, and a rule that changes a row of the first and adds a row to the second.
fn with_csv_and_workbook() -> Setup {
    let setup = Setup::with(&rules(
        "      - update_row: a.csv\n        match: Ticket\n        columns: { Ticket: 1, State: \"{{ body.n }}\" }\n      - add_row: a.xlsx\n        columns: { Ticket: \"{{ body.n }}\" }\n",
    ));
    fs::create_dir(setup.path("output")).unwrap();
    fs::write(setup.path("output/a.csv"), "Ticket,State\n1,open\n").unwrap();
    fs::copy(project_folder().join("tests/sheets/tickets.xlsx"), setup.path("output/a.xlsx")).unwrap();
    setup
}

#[test]
fn a_file_that_is_replaced_keeps_its_group_and_permissions() {
    let setup = with_csv_and_workbook();
    let groups = String::from_utf8(Command::new("id").arg("-G").output().unwrap().stdout).unwrap();
    let group = groups.split_whitespace().next_back().unwrap().parse().unwrap();
    let owner = fs::metadata(setup.path("output")).unwrap().uid();
    let doorbell = setup.serve();
    for (n, mode) in [(1, 0o600), (2, 0o640), (3, 0o664), (4, 0o666)] {
        for file in ["output/a.csv", "output/a.xlsx"] {
            set_access(&setup.path(file), (owner, group, mode));
        }
        doorbell.deliver("/a", &format!("{{\"n\": {n}}}"));
        until("both are written", || setup.printed(&["events"]).matches("1 run done").count() == n);
        assert_eq!(setup.output("a.csv"), format!("Ticket,State\n1,{n}\n"));
        for file in ["output/a.csv", "output/a.xlsx"] {
            assert_eq!(access(&setup.path(file)), (owner, group, mode), "{file}");
        }
    }
    assert_eq!(fs::read_dir(setup.path("output")).unwrap().count(), 3, "the two files and the lock");
}

#[test]
#[cfg_attr(not(can_be_others), ignore = "only root can give a file to another user")]
fn a_file_that_is_replaced_keeps_its_owner() {
    let setup = with_csv_and_workbook();
    let access_before = (4_711, 4_712, 0o640);
    for file in ["output/a.csv", "output/a.xlsx"] {
        set_access(&setup.path(file), access_before);
    }
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"n": 1}"#);
    until("both are written", || setup.printed(&["events"]).contains("1 run done"));
    assert_eq!(setup.output("a.csv"), "Ticket,State\n1,1\n");
    assert_eq!(["output/a.csv", "output/a.xlsx"].map(|file| access(&setup.path(file))), [access_before; 2]);
}

/// Doorbell runs as user 4711, who cannot give files to others and is only in the group 4711.
#[test]
#[cfg_attr(not(can_be_others), ignore = "only root can give a file to another user")]
fn a_file_of_another_user_is_replaced_only_if_nobody_loses_access() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - { add_row: \"{{ body.file }}\", tries: 1, columns: { Ticket: 7 } }\n  B:\n    when: { webhook: /a }\n    then:\n      - { add_row: \"shared/{{ body.file }}\", tries: 1, columns: { Ticket: 7 } }\n",
    );
    let setup = setup.run_as_user(4_711);
    fs::create_dir(setup.path("output/shared")).unwrap();
    // Files created in this folder belong to its group.
    set_access(&setup.path("output/shared"), (4_711, 4_800, 0o2775));
    let (ours, other, group) = (4_711, 4_999, 4_800);
    let owner_loses = Some("its owner (user 4999) would lose access");
    let group_loses = Some("its group (4800) would lose access");
    let mut said = String::new();
    let doorbell = setup.serve();
    for (n, file, before, after, error) in [
        (1, "plain.xlsx", (ours, ours, 0o640), (ours, ours, 0o640), None),
        (2, "shared/group.xlsx", (other, group, 0o664), (ours, group, 0o664), None),
        (3, "shared/owner.xlsx", (other, group, 0o644), (other, group, 0o644), owner_loses),
        (4, "all.xlsx", (other, group, 0o666), (ours, ours, 0o666), None),
        (5, "members.xlsx", (ours, group, 0o664), (ours, group, 0o664), group_loses),
        (6, "read.xlsx", (ours, group, 0o644), (ours, ours, 0o644), None),
        (7, "hidden.xlsx", (ours, group, 0o604), (ours, group, 0o604), group_loses),
    ] {
        let path = setup.path("output").join(file);
        fs::copy(project_folder().join("tests/sheets/tickets.xlsx"), &path).unwrap();
        set_access(&path, before);
        let (rule, name) = file.strip_prefix("shared/").map_or(("A", file), |name| ("B", name));
        let event = doorbell.deliver("/a", &format!("{{\"file\": \"{name}\"}}"));
        until("both runs have ended", || {
            said = setup.printed(&["explain", &event]);
            said.matches("✓").count() + said.matches("✗").count() == 2
        });
        assert!(said.contains(&format!("{} {rule}", if error.is_some() { "✗" } else { "✓" })), "{n} {file}\n{said}");
        assert!(said.contains(error.unwrap_or("")), "{file}\n{said}");
        assert_eq!(access(&path), after, "{file}");
        let rows = if error.is_some() { 4 } else { 5 };
        assert_eq!(cells(&setup, file).len(), rows, "{file}");
    }
    let logged = |file: &str| doorbell.log.lock().unwrap().lines().filter(|l| l.contains("owner") && l.contains(file)).count();
    until("it is logged", || logged("shared/group.xlsx") == 1);
    assert_eq!(logged("plain.xlsx"), 0);
    doorbell.deliver("/a", r#"{"file": "group.xlsx"}"#);
    until("it is written again", || cells(&setup, "shared/group.xlsx").len() == 6);
    assert_eq!(logged("shared/group.xlsx"), 1, "logged once");
}

#[test]
fn a_line_in_a_csv_contains_no_formula_unless_the_rule_allows_it() {
    let setup = Setup::with(
        "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.csv\n        text: \"{{ body.a }},{{ body.b }}\"\n      - append: allowed.csv\n        text: \"{{ body.a }},{{ body.b }}\"\n        formulas: allow\n      - append: a.txt\n        text: \"{{ body.a }},{{ body.b }}\"\n",
    );
    let doorbell = setup.serve();
    doorbell.deliver("/a", r#"{"a": "=HYPERLINK(1)", "b": "x,@SUM(A1)"}"#);
    until("all are written", || !setup.output("a.txt").is_empty());
    assert_eq!(setup.output("a.csv"), "'=HYPERLINK(1),x,'@SUM(A1)\n");
    for file in ["allowed.csv", "a.txt"] {
        assert_eq!(setup.output(file), "=HYPERLINK(1),x,@SUM(A1)\n", "{file}");
    }
}
