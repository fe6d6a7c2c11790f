//! Draws docs/performance.svg from docs/performance.csv.
//!
//!     cargo bench --bench chart

#[path = "bench/chart.rs"]
mod chart;

fn main() -> std::io::Result<()> {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::write(docs.join("performance.svg"), chart::draw(&std::fs::read_to_string(docs.join("performance.csv"))?))
}
