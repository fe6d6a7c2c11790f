//! Rows in workbooks with tables, totals, forms and formulas go where a person would write them. Where that is not possible,
//! the step fails before anything is written, and says what to do.

use std::io::Write;

use crate::harness::Setup;
use crate::spreadsheets::{cells, part, read_by_libreoffice, send, with_sheets};

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const LINKS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";

/// A workbook: for each sheet, its title and state, its content, and the tables in it.
#[derive(Default)]
pub struct Book {
    pub sheets: Vec<(String, String, Vec<String>)>,
    pub names: String,
    pub notes: Option<String>,
}

impl Book {
    pub fn sheet(mut self, title: &str, rows: &[&[&str]], around: &str) -> Self {
        let data = format!("<sheetData>{}</sheetData>", written(rows));
        self.sheets.push((format!("name=\"{title}\""), data + around, Vec::new()));
        self
    }

    /// A table in the last sheet.
    pub fn table(mut self, name: &str, range: &str, columns: &[&str], more: &str) -> Self {
        let columns: Vec<String> =
            columns.iter().enumerate().map(|(n, c)| format!("<tableColumn id=\"{}\" {c}</tableColumn>", n + 1)).collect();
        let (count, columns) = (columns.len(), columns.concat());
        let id = self.sheets.iter().map(|s| s.2.len()).sum::<usize>() + 1;
        let table = format!(
            "<table xmlns=\"{MAIN}\" id=\"{id}\" name=\"{name}\" displayName=\"{name}\" ref=\"{range}\"{more}><tableColumns count=\"{count}\">{columns}</tableColumns></table>"
        );
        self.sheets.last_mut().unwrap().2.push(table);
        self
    }

    pub fn save(&self, setup: &Setup) {
        let mut parts: Vec<(String, String)> = Vec::new();
        let (mut list, mut links, mut types) = (String::new(), String::new(), String::new());
        let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml";
        for (n, (attributes, content, tables)) in self.sheets.iter().enumerate() {
            list += &format!("<sheet {attributes} sheetId=\"{}\" r:id=\"rId{n}\"/>", n + 1);
            links += &format!("<Relationship Id=\"rId{n}\" Type=\"{LINKS}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>");
            types += &format!("<Override PartName=\"/xl/worksheets/sheet{n}.xml\" ContentType=\"{kind}.worksheet+xml\"/>");
            let mut own = String::new();
            let mut list = String::new();
            for (t, table) in tables.iter().enumerate() {
                let name = format!("table{n}-{t}.xml");
                own += &format!("<Relationship Id=\"rId{t}\" Type=\"{LINKS}/table\" Target=\"../tables/{name}\"/>");
                list += &format!("<tablePart r:id=\"rId{t}\"/>");
                types += &format!("<Override PartName=\"/xl/tables/{name}\" ContentType=\"{kind}.table+xml\"/>");
                parts.push((format!("xl/tables/{name}"), table.clone()));
            }
            if let Some(at) = self.notes.as_ref().filter(|_| n == 0) {
                own += &format!("<Relationship Id=\"rIdN\" Type=\"{LINKS}/comments\" Target=\"../comments.xml\"/>");
                parts.push(("xl/comments.xml".into(), format!("<comments><commentList><comment ref=\"{at}\"/></commentList></comments>")));
            }
            let list = if list.is_empty() { list } else { format!("<tableParts count=\"{}\">{list}</tableParts>", tables.len()) };
            parts.push((
                format!("xl/worksheets/sheet{n}.xml"),
                format!("<worksheet xmlns=\"{MAIN}\" xmlns:r=\"{LINKS}\">{content}{list}</worksheet>"),
            ));
            if !own.is_empty() {
                parts.push((
                    format!("xl/worksheets/_rels/sheet{n}.xml.rels"),
                    format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{own}</Relationships>"),
                ));
            }
        }
        let names = &self.names;
        parts.push((
            "xl/workbook.xml".into(),
            format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{LINKS}\"><sheets>{list}</sheets>{names}<calcPr calcId=\"1\"/></workbook>"),
        ));
        links += &format!("<Relationship Id=\"rIdS\" Type=\"{LINKS}/styles\" Target=\"styles.xml\"/>");
        parts.push((
            "xl/_rels/workbook.xml.rels".into(),
            format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{links}</Relationships>"),
        ));
        // Style 1 shows a date, and style 2 two decimals.
        let xf = |format: u32| {
            format!("<xf numFmtId=\"{format}\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/>")
        };
        parts.push(("xl/styles.xml".into(), format!("<styleSheet xmlns=\"{MAIN}\"><fonts count=\"1\"><font><sz val=\"11\"/></font></fonts><fills count=\"1\"><fill><patternFill patternType=\"none\"/></fill></fills><borders count=\"1\"><border/></borders><cellStyleXfs count=\"1\"><xf numFmtId=\"0\"/></cellStyleXfs><cellXfs count=\"3\">{}{}{}</cellXfs></styleSheet>", xf(0), xf(14), xf(2))));
        parts.push(("_rels/.rels".into(), format!("<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" Type=\"{LINKS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>")));
        parts.push(("[Content_Types].xml".into(), format!("<Types xmlns=\"{PACKAGE}/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"{kind}.sheet.main+xml\"/><Override PartName=\"/xl/styles.xml\" ContentType=\"{kind}.styles+xml\"/>{types}</Types>")));
        let mut zip = zip::ZipWriter::new(std::fs::File::create(setup.path("output/o.xlsx")).unwrap());
        for (name, text) in parts {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }
}

/// Rows of cells: nothing, text, a number, or a formula after `=` with its result after `|`. A style is after `@`.
fn written(rows: &[&[&str]]) -> String {
    let mut xml = String::new();
    for (n, row) in rows.iter().enumerate() {
        xml += &format!("<row r=\"{}\">", n + 1);
        for (column, text) in row.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let (text, style) = text.split_once('@').map_or((*text, "0"), |(text, style)| (text, style));
            let at = format!("r=\"{}{}\" s=\"{style}\"", char::from(b'A' + column as u8), n + 1);
            xml += &match text.strip_prefix('=') {
                Some(formula) => {
                    let (formula, value) = formula.split_once('|').map_or((formula, None), |(f, v)| (f, Some(v)));
                    format!("<c {at}><f>{formula}</f>{}</c>", value.map(|v| format!("<v>{v}</v>")).unwrap_or_default())
                }
                None if text.parse::<f64>().is_ok() => format!("<c {at}><v>{text}</v></c>"),
                None => format!("<c {at} t=\"inlineStr\"><is><t>{text}</t></is></c>"),
            };
        }
        xml += "</row>";
    }
    xml
}

const ADD: &str = "- add_row: o.xlsx\n  columns: { Order: \"{{ body.order }}\", Total: \"{{ body.total }}\" }";
const UPDATE: &str = "- add_or_update_row: o.xlsx\n  match: Order\n  columns: { Order: \"{{ body.order }}\", Total: \"{{ body.total }}\" }";
const ORDER: &str = r#"{"order": "A-3", "total": 30}"#;

/// The workbook after these bodies.
pub fn after(book: &Book, step: &str, bodies: &[&str]) -> Setup {
    let setup = with_sheets(&[], step);
    book.save(&setup);
    let said = send(&setup, bodies);
    assert!(said.contains("✓ A"), "{said}");
    setup
}

/// The rows of a sheet, with a bar between cells.
pub fn rows(setup: &Setup, sheet: &str) -> Vec<String> {
    cells(&setup.path("output/o.xlsx"), sheet).iter().map(|row| row.join("|").trim_end_matches('|').to_owned()).collect()
}

pub fn text(setup: &Setup, name: &str) -> String {
    String::from_utf8(part(&setup.path("output/o.xlsx"), name).unwrap()).unwrap()
}

const TITLES: &[&str] = &["Order", "Total"];

#[test]
fn a_row_goes_into_the_table_that_has_its_titles_and_what_is_beside_it_stays() {
    let note: &[&str] = &["", "", "", "note"];
    let book = Book::default()
        .sheet("S", &[&["Order", "Total", "", "Notes", "=SUM(Orders[Total])|30"], &["A-1", "10"], &["A-2", "20"], note, note, note], "")
        .table("Orders", "A1:B3", &["name=\"Order\">", "name=\"Total\">"], "");
    let setup = after(&book, ADD, &[ORDER, r#"{"order": "A-4", "total": 40}"#]);
    assert_eq!(
        rows(&setup, "S"),
        ["Order|Total||Notes|", "A-1|10", "A-2|20", "A-3|30||note", "A-4|40||note", "|||note"].map(|r| r.trim_end_matches('|'))
    );
    assert!(text(&setup, "xl/tables/table0-0.xml").contains("ref=\"A1:B5\""));
    // The result of the sum is not true any more.
    assert!(text(&setup, "xl/worksheets/sheet0.xml").contains("<f>SUM(Orders[Total])</f></c>"));
}

#[test]
fn a_table_below_a_heading_is_found_by_its_titles() {
    let book = Book::default()
        .sheet("S", &[&["Orders of 2026"], &[], TITLES, &["A-1", "10"], &[], &["Prices"], &["Order", "Price"], &["X", "1"]], "")
        .table("Orders", "A3:B4", &["name=\"Order\">", "name=\"Total\">"], "");
    let setup = after(&book, ADD, &[ORDER]);
    assert_eq!(rows(&setup, "S")[4], "A-3|30");
}

#[test]
fn a_new_row_gets_the_formulas_formats_and_validations_of_its_table() {
    let formula = "Orders[[#This Row],[Qty]]*Orders[[#This Row],[Price]]";
    let sum = format!("={formula}");
    let calculated = format!("name=\"Sum\"><calculatedColumnFormula>{formula}</calculatedColumnFormula>");
    let around = "<conditionalFormatting sqref=\"A2:D3\"><cfRule type=\"cellIs\" priority=\"1\" operator=\"greaterThan\"><formula>1</formula></cfRule></conditionalFormatting><dataValidations count=\"1\"><dataValidation sqref=\"E2:E3\" type=\"list\"><formula1>\"open,paid\"</formula1></dataValidation></dataValidations>";
    let book = Book::default()
        .sheet("S", &[&["Qty", "Price", "Sum", "Double", "State"], &["1", "5", &sum, "=A2*2|2"], &["2", "5", &sum, "=A3*2|4"]], around)
        .table("Orders", "A1:E3", &["name=\"Qty\">", "name=\"Price\">", &calculated, "name=\"Double\">", "name=\"State\">"], "");
    let step = "- add_row: o.xlsx\n  columns: { Qty: \"{{ body.q }}\", Price: 7, State: open }";
    let setup = after(&book, step, &[r#"{"q": 3}"#]);
    let sheet = text(&setup, "xl/worksheets/sheet0.xml");
    assert!(sheet.contains(&format!("<c r=\"C4\" s=\"0\"><f>{formula}</f></c><c r=\"D4\" s=\"0\"><f>A4*2</f></c>")), "{sheet}");
    assert!(sheet.contains("sqref=\"A2:D4\"") && sheet.contains("sqref=\"E2:E4\""), "{sheet}");
}

#[test]
fn a_row_goes_above_a_total_and_into_prepared_rows() {
    let total: &[&str] = &["Total", "=SUM(B2:B3)|30"];
    for (sheet, said) in [
        (vec![TITLES, &["A-1", "10"], &["A-2", "20"], total], vec!["Order|Total", "A-1|10", "A-2|20", "A-3|30", "Total"]),
        (vec![TITLES, &["A-1", "10"], &["A-2", "20"], &[], total], vec!["Order|Total", "A-1|10", "A-2|20", "A-3|30", "Total"]),
        (
            vec![&["Order", "Total", "VAT"], &["A-1", "10", "=B2*0.2|2"], &["", "", "=B3*0.2|0"], &["", "", "=B4*0.2|0"]],
            vec!["Order|Total|VAT", "A-1|10|2", "A-3|30", "||0"],
        ),
    ] {
        let setup = after(&Book::default().sheet("S", &sheet, ""), ADD, &[ORDER]);
        assert_eq!(rows(&setup, "S"), said, "{sheet:?}");
        let xml = text(&setup, "xl/worksheets/sheet0.xml");
        assert_eq!(xml.contains("SUM"), xml.contains("<f>SUM(B2:B4)</f></c>"), "{xml}");
    }
}

#[test]
fn results_of_formulas_that_depend_on_a_change_are_dropped_and_others_stay() {
    let book =
        Book { names: "<definedNames><definedName name=\"All\">S!$B$2:$B$100</definedName></definedNames>".into(), ..Book::default() }
            .sheet("S", &[&["Order", "Total", "=SUM(B:B)|30", "=C1*2|60", "=B2*2|20"], &["A-1", "10"], &["A-2", "20"]], "")
            .sheet("Sums", &[&["=SUM(S!B2:B1000)|30", "=MAX(All)|20", "=A1+B1|50", "=INDIRECT(\"S!B2\")|10", "=S!B2|10", "=1+1|2"]], "");
    let setup = after(&book, ADD, &[ORDER]);
    let left = |name: &str| text(&setup, name).matches("<f>").count() - text(&setup, name).matches("</f></c>").count();
    assert!(
        text(&setup, "xl/worksheets/sheet0.xml")
            .contains("<f>SUM(B:B)</f></c><c r=\"D1\" s=\"0\"><f>C1*2</f></c><c r=\"E1\" s=\"0\"><f>B2*2</f><v>20</v>")
    );
    assert_eq!((left("xl/worksheets/sheet0.xml"), left("xl/worksheets/sheet1.xml")), (1, 2));
    assert!(text(&setup, "xl/worksheets/sheet1.xml").contains("<f>S!B2</f><v>10</v></c><c r=\"F1\" s=\"0\"><f>1+1</f><v>2</v>"));
}

#[test]
fn without_a_name_the_first_visible_sheet_is_meant() {
    let mut book = Book::default().sheet("Hidden", &[TITLES], "").sheet("Seen", &[TITLES], "");
    book.sheets[0].0 += " state=\"hidden\"";
    let setup = after(&book, ADD, &[ORDER]);
    assert_eq!((rows(&setup, "Hidden").len(), rows(&setup, "Seen").len()), (1, 2));
    let setup = after(&book, &format!("{ADD}\n  sheet: Hidden"), &[ORDER]);
    assert_eq!((rows(&setup, "Hidden").len(), rows(&setup, "Seen").len()), (2, 1));
}

#[test]
fn rows_are_found_by_dates_and_numbers_as_the_workbook_means_them() {
    let book = Book::default().sheet(
        "S",
        &[
            TITLES,
            &["46143@1", "day"],
            &["19.989999999999998", "price"],
            &["00123", "text"],
            &["12345678901", "number"],
            &["1.1", "version"],
        ],
        "",
    );
    let step = UPDATE.replace("{{ body.total }}", "found");
    let bodies = [
        r#"{"order": "2026-05-01"}"#,
        r#"{"order": 19.99}"#,
        r#"{"order": "00123"}"#,
        r#"{"order": "12345678901"}"#,
        r#"{"order": "1.10"}"#,
        r#"{"order": 123}"#,
    ];
    let setup = after(&book, &step, &bodies);
    let totals: Vec<String> = cells(&setup.path("output/o.xlsx"), "S").into_iter().skip(1).map(|row| row[1].clone()).collect();
    assert_eq!(totals, ["found", "found", "found", "found", "version", "found", "found"]);
}

#[test]
fn an_older_version_of_a_row_does_not_replace_a_newer_one() {
    let book = Book::default().sheet("S", &[&["Order", "Total", "Updated"], &["A-3", "1", "46143@1"], &["A-4", "1", "2026-05-01"]], "");
    let step = format!("{}\n  newer_than: Updated", UPDATE.replace("total }}\" }", "total }}\", Updated: \"{{ body.at }}\" }"));
    for (at, totals) in [("2026-04-30T23:00:00Z", ["1", "1"]), ("2026-05-01", ["1", "1"]), ("2026-05-01T01:00:00Z", ["2", "2"])] {
        let bodies = ["A-3", "A-4"].map(|order| format!("{{\"order\": \"{order}\", \"total\": 2, \"at\": \"{at}\"}}"));
        let setup = after(&book, &step, &[&bodies[0], &bodies[1]]);
        let found: Vec<String> = cells(&setup.path("output/o.xlsx"), "S").into_iter().skip(1).map(|row| row[1].clone()).collect();
        assert_eq!(found, totals, "{at}");
    }
}

#[test]
fn numbers_that_a_workbook_cannot_hold_stay_text_and_try_shows_what_is_written() {
    let book = Book::default().sheet("S", &[TITLES, &["A-1", "10@2"]], "");
    let setup = with_sheets(&[], ADD);
    book.save(&setup);
    let body = r#"{"order": 1e400, "total": 19.00}"#;
    setup.write("body.json", body);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    assert!(said.contains("Order: 1e400\n       Total: 19\n"), "{said}");
    send(&setup, &[body]);
    let sheet = text(&setup, "xl/worksheets/sheet0.xml");
    assert!(
        sheet.contains("t=\"inlineStr\"><is><t xml:space=\"preserve\">1e400</t></is></c><c r=\"B3\" s=\"2\"><v>19.00</v></c>"),
        "{sheet}"
    );
}

#[test]
fn a_new_column_goes_next_to_its_table_if_there_is_room() {
    let step = "- add_row: o.xlsx\n  new_columns: add\n  columns: { Order: \"{{ body.order }}\", State: open }";
    for (beside, at) in [("E", "C1"), ("C", "D1")] {
        let mut titles = vec!["Order", "Total"];
        titles.resize(if beside == "E" { 4 } else { 2 }, "");
        titles.push("note");
        let book = Book::default().sheet("S", &[&titles, &["A-1", "10"]], "").table(
            "Orders",
            "A1:B2",
            &["name=\"Order\">", "name=\"Total\">"],
            "",
        );
        let setup = after(&book, step, &[ORDER]);
        assert!(
            text(&setup, "xl/worksheets/sheet0.xml")
                .contains(&format!("<c r=\"{at}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">State"))
        );
        assert_eq!(text(&setup, "xl/tables/table0-0.xml").contains("ref=\"A1:C3\""), beside == "E");
    }
}

#[test]
fn line_breaks_and_repeated_spaces_in_a_title_do_not_matter() {
    let book = Book::default().sheet("S", &[&["Order\n number", "Total"], &["A-1", "10"]], "");
    let setup = after(&book, &ADD.replace("Order:", "Order number:"), &[ORDER]);
    assert_eq!(rows(&setup, "S")[2], "A-3|30");
}

#[test]
fn a_sheet_is_added_if_the_rule_says_so() {
    let book = Book::default().sheet("S", &[TITLES], "");
    let setup = after(
        &book,
        &format!("{ADD}\n  sheet: \"{{{{ body.year }}}}\"\n  new_sheet: add"),
        &[r#"{"year": "2026", "order": "A-1", "total": 1}"#],
    );
    assert_eq!(rows(&setup, "2026"), ["Order|Total", "A-1|1"]);
    for (year, said) in [
        (
            r#""2026/27""#,
            "o.xlsx: the title of a new sheet, `2026/27`, contains one of the characters [ ] : * ? / \\ or begins or ends with '",
        ),
        (r#""s""#, "o.xlsx has no sheet `s`; it has: S"),
    ] {
        let setup = with_sheets(&[], &format!("{ADD}\n  sheet: \"{{{{ body.year }}}}\"\n  new_sheet: add"));
        book.save(&setup);
        let told = send(&setup, &[&format!("{{\"year\": {year}, \"order\": 1, \"total\": 1}}")]);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_step_says_in_which_row_the_titles_are() {
    let book = Book::default().sheet("S", &[&["Orders of 2026"], &[], TITLES, &["A-1", "10"]], "");
    let setup = after(&book, &format!("{UPDATE}\n  title_row: 3"), &[ORDER, r#"{"order": "A-1", "total": 11}"#]);
    assert_eq!(rows(&setup, "S"), ["Orders of 2026", "", "Order|Total", "A-1|11", "A-3|30"]);
    let setup = after(&Book::default().sheet("S", &[], ""), &format!("{ADD}\n  title_row: 3"), &[ORDER]);
    assert!(
        text(&setup, "xl/worksheets/sheet0.xml").contains("<row r=\"3\"><c r=\"A3\" t=\"inlineStr\"><is><t xml:space=\"preserve\">Order<")
    );
}

/// Each with what the step says; the file stays as it was.
#[test]
fn a_row_that_would_damage_a_workbook_is_rejected_before_anything_is_written() {
    let sheet = |rows: &[&[&str]], around: &str| Book::default().sheet("S", rows, around);
    let merged = "<mergeCells count=\"1\"><mergeCell ref=\"B2:B3\"/></mergeCells>";
    let orders: &[&[&str]] = &[TITLES, &["A-1", "10"], &["A-3", "20"]];
    let total: &[&[&str]] = &[TITLES, &["A-1", "10"], &["Total", "=SUM(B2:B2)|10"]];
    let mut array = sheet(orders, "");
    array.sheets[0].1 =
        array.sheets[0].1.replace("<c r=\"B2\" s=\"0\"><v>10</v></c>", "<c r=\"B2\"><f t=\"array\" ref=\"B2:B3\">D2:D3</f></c>");
    let mut unordered = sheet(orders, "");
    unordered.sheets[0].1 = unordered.sheets[0].1.replace("<row r=\"2\">", "<row r=\"4\">");
    let mut too_wide = sheet(orders, "");
    too_wide.sheets[0].1 = too_wide.sheets[0].1.replace("<c r=\"B2\" ", "<c r=\"XFE2\" ");
    let mut full = sheet(orders, "");
    full.sheets[0].1 = full.sheets[0].1.replace("</row><row r=\"2\">", "<c r=\"XFD1\"><v>1</v></c></row><row r=\"2\">");
    let columns: &[&str] = &["name=\"Order\">", "name=\"Total\">"];
    let beside = sheet(&[TITLES, &["A-1", "10"], &["Total", "10"], &["", "", "", "note"]], "").table(
        "Orders",
        "A1:B3",
        columns,
        " totalsRowCount=\"1\"",
    );
    let below = sheet(&[TITLES, &["A-1", "10"], &["Order", "Price"], &["X", "1"]], "").table("Orders", "A1:B2", columns, "").table(
        "Prices",
        "A3:B4",
        &["name=\"Order\">", "name=\"Price\">"],
        "",
    );
    let twice = sheet(&[&["Order", "Total", "", "Order", "Total"], &["A-1", "10", "", "A-1", "10"]], "")
        .table("One", "A1:B2", columns, "")
        .table("Two", "D1:E2", columns, "");
    let noted = Book { notes: Some("A3".into()), ..Book::default() }.sheet("S", total, "");
    let new_column = ADD.replace("Total:", "New:") + "\n  new_columns: add";
    for (book, step, said) in [
        (
            sheet(orders, merged),
            UPDATE,
            "o.xlsx: the cell under Total in row 3 is hidden, because B2:B3 are merged into one cell; split it in your spreadsheet program",
        ),
        (
            sheet(orders, &merged.replace("B2:B3", "B3:B5")),
            ADD,
            "o.xlsx: B3:B5 are merged into one cell; split it in your spreadsheet program, so that there is room for a new row",
        ),
        (
            array,
            UPDATE,
            "o.xlsx: the cell under Total in row 3 belongs to the array formula in B2:B3, which Doorbell does not overwrite; remove the column from the rule",
        ),
        (
            unordered,
            ADD,
            "o.xlsx: this workbook cannot be read: row 3 comes after row 4; open it in your spreadsheet program and save it again",
        ),
        (
            too_wide,
            ADD,
            "o.xlsx: this workbook cannot be read: there is no cell `XFE2`; open it in your spreadsheet program and save it again",
        ),
        (full, new_column.as_str(), "o.xlsx is full: a sheet has at most 16384 columns, so `New` cannot be added"),
        (
            sheet(&[&["Order", "Order", "Total"], &["A-1", "", "10"]], ""),
            ADD,
            "o.xlsx has two columns with the title `Order`, columns 1 and 2; give each of them its own title",
        ),
        (
            sheet(&[&["Orders of 2026"], TITLES, &["A-1", "10"]], ""),
            ADD,
            "o.xlsx has no column `Order` where the titles are expected, but row 2 has it; write `title_row: 2`",
        ),
        (
            sheet(&[TITLES, &["=\"A\"&amp;1", "10"]], ""),
            UPDATE,
            "o.xlsx: the formula in A2 has no result yet, so rows cannot be found by this column; open the file in a spreadsheet program and save it there",
        ),
        (
            sheet(total, "").sheet("T", &[&["=S!B3|10"]], ""),
            ADD,
            "o.xlsx: a formula in the sheet T refers to row 3 or below, which has to move down for a new row; write the total above the titles instead",
        ),
        (
            noted,
            ADD,
            "o.xlsx: the row of A3 has to move down for a new row, and the note at A3 cannot be moved; delete the note, or write it above the titles",
        ),
        (
            beside,
            ADD,
            "o.xlsx: there is no room for a new row above row 3: D4 next to it would have to move, too; move it to another sheet",
        ),
        (
            below,
            ADD,
            "o.xlsx: there is no room for a new row above row 3: the table Prices in A3:B4 would have to move, too; move it to another sheet",
        ),
        (
            twice,
            ADD,
            "o.xlsx: the tables One and Two have the same titles, so it is not known which one is meant; give them different titles",
        ),
    ] {
        let setup = with_sheets(&[], &format!("{step}\n  on_error:\n    - append: errors.log\n      text: \"{{{{ error.message }}}}\""));
        book.save(&setup);
        let before = std::fs::read(setup.path("output/o.xlsx")).unwrap();
        send(&setup, &[ORDER]);
        assert_eq!(setup.output("errors.log"), format!("{said}\n"));
        assert_eq!(std::fs::read(setup.path("output/o.xlsx")).unwrap(), before, "{said}");
    }
}

#[test]
#[cfg_attr(not(has_libreoffice), ignore = "needs LibreOffice (`soffice`)")]
fn libreoffice_calculates_tables_and_totals_with_new_rows() {
    let formula = "Orders[[#This Row],[Total]]*2";
    let double = format!("={formula}|20");
    let calculated = format!("name=\"Double\"><calculatedColumnFormula>{formula}</calculatedColumnFormula>");
    let book = Book::default()
        .sheet(
            "S",
            &[&["Order", "Total", "Double", "", "=SUM(Orders[Total])|10"], &["A-1", "10", &double], &["Total", "=SUM(B2:B2)|10"]],
            "",
        )
        .table("Orders", "A1:C2", &["name=\"Order\">", "name=\"Total\">", &calculated], "")
        .sheet("Sums", &[&["=SUM(S!B:B)|20"]], "");
    let sheets = read_by_libreoffice(&after(&book, ADD, &[ORDER, r#"{"order": "A-4", "total": 5}"#]), "o.xlsx");
    assert_eq!(sheets[0].1, "Order,Total,Double,,45\nA-1,10,20,,\nA-3,30,60,,\nA-4,5,10,,\nTotal,45,,,\n");
    assert_eq!(sheets[1].1, "90\n");
}
