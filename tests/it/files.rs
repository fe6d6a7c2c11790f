//! Lines and rows in files.

use std::io::Write as _;

use calamine::{Data, Reader, open_workbook_auto};

use crate::world::{World, until};

fn rules(steps: &str) -> String {
    format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{steps}")
}

fn cells(world: &World, file: &str) -> Vec<Vec<Data>> {
    let mut book = open_workbook_auto(world.path("output").join(file)).unwrap();
    let range = book.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(<[Data]>::to_vec).collect()
}

#[test]
fn one_event_is_one_line_whatever_is_in_it() {
    let world = World::with(&rules(
        "      - append: \"logs/{{ body.day }}.log\"\n        text: \"{{ body.text }}|\"\n      - append: all.jsonl\n        json: { t: \"{{ body.text }}\" }\n",
    ));
    std::fs::create_dir(world.path("output")).unwrap();
    std::fs::write(world.path("output/all.jsonl"), "by hand, no newline").unwrap();
    let doorbell = world.serve();
    doorbell.ring("/a", r#"{"text": "a\nb\r\nc\u2028d", "day": "../../etc/x"}"#);
    until("it is written", || world.output("all.jsonl").ends_with("}\n"));
    assert_eq!(world.output("logs/.._.._etc_x.log"), "a b  c d|\n");
    assert_eq!(world.output("all.jsonl"), "by hand, no newline\n{\"t\":\"a\\nb\\r\\nc\u{2028}d\"}\n");
}

#[test]
fn rows_of_csv_go_under_their_columns() {
    let world = World::with(&rules(
        "      - add_row: a.csv\n        columns: { Name: \"{{ body.name }}\", Zip: \"{{ body.zip }}\", Sum: \"{{ body.sum }}\", Gone: \"{{ body.gone }}\" }\n",
    ));
    let doorbell = world.serve();
    doorbell.ring("/a", r#"{"name": "=1+1, \"x\"", "zip": "0042", "sum": 1.10, "gone": null}"#);
    until("a row is there", || world.output("a.csv").lines().count() == 2);
    assert_eq!(world.output("a.csv"), "Name,Zip,Sum,Gone\n\"'=1+1, \"\"x\"\"\",0042,1.10,\n");
    // A person turns the columns round and adds one; an unknown one fails the step and is named.
    std::fs::write(world.path("output/a.csv"), "\u{feff}Sum;Mine;Zip;Name;Gone\r\n1;2;3;4;5\r\n").unwrap();
    doorbell.ring("/a", r#"{"name": "+49 30 123456", "zip": "-", "sum": -2, "gone": null}"#);
    until("a row is there", || world.output("a.csv").lines().count() == 3);
    assert_eq!(world.output("a.csv").lines().last(), Some("-2;;'-;+49 30 123456;"));
    std::fs::write(world.path("output/a.csv"), "Name,Zip,Sum\n").unwrap();
    doorbell.ring("/a", r#"{"name": "a", "zip": "b", "sum": 1, "gone": null}"#);
    until("it has failed", || world.said(&["failed"]).contains("a.csv has no column `Gone`; it has: Name, Zip, Sum"));
}

#[test]
fn a_workbook_is_made_and_grows() {
    let world = World::with(&rules(
        "      - add_row: a.xlsx\n        sheet: Orders\n        columns: { Id: \"{{ body.id }}\", Name: \"{{ body.name }}\", Paid: \"{{ body.paid }}\", Note: \"{{ body.note }}\" }\n",
    ));
    let doorbell = world.serve();
    doorbell.ring("/a", r#"{"id": 7, "name": "=1+1 <&>\u0001", "paid": true, "note": null}"#);
    until("it is made", || world.path("output/a.xlsx").exists());
    doorbell.ring("/a", r#"{"id": 12345678901234567, "name": "0042", "paid": false, "note": " x "}"#);
    until("it has grown", || cells(&world, "a.xlsx").len() == 3);
    let text = |t: &str| Data::String(t.into());
    let rows = cells(&world, "a.xlsx");
    assert_eq!(rows[0], [text("Id"), text("Name"), text("Paid"), text("Note")]);
    assert_eq!(rows[1][..3], [Data::Float(7.0), text("=1+1 <&>\u{1}"), Data::Bool(true)]);
    assert_eq!(rows[2], [text("12345678901234567"), text("0042"), Data::Bool(false), text(" x ")]);
}

#[test]
fn what_was_in_a_workbook_stays_byte_for_byte() {
    let world =
        World::with(&rules("      - add_row: a.xlsx\n        for_each: body.rows\n        columns: { Id: \"{{ item }}\", Note: hi }\n"));
    let before = world.path("output/a.xlsx");
    std::fs::create_dir(world.path("output")).unwrap();
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
    let doorbell = world.serve();
    doorbell.ring("/a", r#"{"rows": [2, 3]}"#);
    until("it is done", || world.said(&["events"]).contains("1 run done"));
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
fn a_workbook_that_is_open_elsewhere_waits_and_a_broken_one_fails() {
    let world = World::with(&rules(
        "      - add_row: \"{{ body.file }}.xlsx\"\n        columns: { Id: 1 }\n        first_wait: 20 milliseconds\n        tries: 100\n",
    ));
    std::fs::create_dir(world.path("output")).unwrap();
    std::fs::write(world.path("output/~$open.xlsx"), "").unwrap();
    std::fs::write(world.path("output/broken.xlsx"), "PK no archive").unwrap();
    std::fs::write(world.path("output/locked.xlsx"), [0xd0, 0xcf, 0x11, 0xe0, 0, 0]).unwrap();
    let doorbell = world.serve();
    let event = doorbell.ring("/a", r#"{"file": "open"}"#);
    until("it is tried again", || {
        world.said(&["explain", &event]).contains("it is open in another program (~$open.xlsx stands beside it); close it there")
    });
    std::fs::remove_file(world.path("output/~$open.xlsx")).unwrap();
    until("it is written", || world.path("output/open.xlsx").exists());
    doorbell.ring("/a", r#"{"file": "broken"}"#);
    doorbell.ring("/a", r#"{"file": "locked"}"#);
    until("both have failed", || world.said(&["failed"]).contains("2 failed runs"));
    let said = world.said(&["failed"]);
    assert!(
        said.contains("broken.xlsx: this workbook cannot be read")
            && said.contains("locked.xlsx: it is protected with a password, or an old .xls file"),
        "{said}"
    );
    assert_eq!(std::fs::read(world.path("output/broken.xlsx")).unwrap(), b"PK no archive");
}

#[test]
fn more_files_than_may_be_open_are_all_written() {
    let world = World::with(&rules("      - append: \"many/{{ body.n }}.log\"\n        text: \"{{ body.n }}\"\n"));
    let doorbell = world.serve();
    for n in 0..400 {
        doorbell.ring("/a", &format!(r#"{{"n": {n}}}"#));
    }
    until("all are there", || (0..400).all(|n| world.output(&format!("many/{n}.log")) == format!("{n}\n")));
}
