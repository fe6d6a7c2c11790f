//! Any bytes as a workbook, as a part of one, or as a `.csv` file: a row is added, or the step fails with a message and the file
//! stays as it was. The first byte chooses what the other bytes are.
#![no_main]

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use doorbell::action::attempt_context::AttemptContext;
use doorbell::action::files::content::Content;
use doorbell::action::files::folder::Output;
use doorbell::action::files::row::{Cell, Mode, Row};
use doorbell::action::files::writer::{Files, Ledger};
use doorbell::model::event::EventId;
use doorbell::model::outcome::Outcome;
use doorbell::model::place::Place;
use doorbell::model::intent::Intent;
use doorbell::model::run::RunId;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// Saves nothing, because nothing crashes here.
struct NoLedger;

impl Ledger for NoLedger {
    fn intend(&self, _: Intent) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }
    fn settle(&self, _: Vec<(RunId, u32, u32)>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }
    fn forget(&self, _: &str) {}
}

/// The output folder is opened once, as by `doorbell serve`.
static OUTPUT: LazyLock<(tempfile::TempDir, Output, Runtime)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::open(dir.path(), &[]).unwrap();
    (dir, output, Builder::new_current_thread().enable_all().build().unwrap())
});

const PARTS: [(&str, &str); 6] = [
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#,
    ),
    (
        "_rels/.rels",
        r#"<Relationships xmlns="x"><Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="x"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#,
    ),
    (
        "xl/worksheets/sheet1.xml",
        r#"<worksheet><dimension ref="A1:B2"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>Name</t></is></c></row><row r="2"><c r="A2"><v>7</v></c></row></sheetData></worksheet>"#,
    ),
    ("xl/sharedStrings.xml", r#"<sst><si><t>Id</t></si></sst>"#),
];

/// A workbook with one of its parts replaced by this text.
fn with_part(chosen: usize, text: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (n, (name, valid)) in PARTS.iter().enumerate() {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(if n == chosen { text } else { valid.as_bytes() }).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, rest)) = bytes.split_first() else { return };
    let (dir, output, runtime) = &*OUTPUT;
    let chosen = usize::from(*chosen);
    let (name, content) = match chosen % (PARTS.len() + 2) {
        n if n < PARTS.len() => ("a.xlsx", with_part(n, rest)),
        n if n == PARTS.len() => ("a.xlsx", rest.to_vec()),
        _ => ("a.csv", rest.to_vec()),
    };
    let path = dir.path().join(name);
    std::fs::write(&path, &content).unwrap();
    let mode = [Mode::Add, Mode::Update, Mode::AddOrUpdate][chosen / 8 % 3];
    let cells = vec![("Id".to_owned(), Cell::Number("7".into())), ("Name".to_owned(), Cell::Text("=x\u{1}".into()))];
    let matching = if mode == Mode::Add { Vec::new() } else { vec!["Id".to_owned()] };
    let row = Row { cells, guard: true, mode, matching, new_columns: chosen & 64 != 0, ..Row::default() };
    let context = AttemptContext {
        event: EventId(uuid::Uuid::nil()),
        run: 1,
        place: Place::default(),
        replays: 0,
        is_called: false,
        is_after_failure: false,
        hops: 1,
        trace: Vec::new(),
        at: jiff::Timestamp::UNIX_EPOCH,
        timeout: Duration::from_secs(30),
        bodies: None,
    };
    let outcome = runtime.block_on(async {
        let files = Files::new(output.clone(), Arc::new(NoLedger));
        files.write(name, Content::Row(row), context).await
    });
    match outcome {
        Outcome::Done(_) => {}
        Outcome::Failed { why, .. } | Outcome::Retry { why, .. } => {
            assert!(!why.contains("panic"), "{why}");
            assert_eq!(std::fs::read(&path).unwrap(), content, "nothing was written, so nothing may have changed: {why}");
        }
        _ => unreachable!(),
    }
});
