//! Draws the chart of docs/performance.md from the figures beside it: throughput over connections and over rules, a line for
//! each server. Both axes are logarithmic, so that equal ratios look alike.

use std::fmt::Write;

const WIDTH: f64 = 930.0;
const HEIGHT: f64 = 420.0;
/// The area of a panel, between its axes.
const AREA: (f64, f64) = (300.0, 290.0);
const TOP: f64 = 70.0;
/// The colours of the servers, in the order in which the figures first name them; distinguishable without colour, too, because
/// each line carries its name.
const COLOURS: [&str; 6] = ["#1f5fbf", "#6b7280", "#b4531b", "#7a3e9d", "#0f766e", "#a11d4a"];

/// One measurement: the panel, the server, and events a second for a number of connections or rules.
struct Figure<'c> {
    panel: &'c str,
    server: &'c str,
    at: f64,
    rate: f64,
}

/// Draws figures (`panel,server,at,events_per_second` in each line after the first) as SVG.
pub fn draw(figures: &str) -> String {
    let figures: Vec<Figure> = figures.lines().skip(1).filter_map(figure).collect();
    let mut servers: Vec<&str> = Vec::new();
    let mut panels: Vec<&str> = Vec::new();
    for figure in &figures {
        if !servers.contains(&figure.server) {
            servers.push(figure.server);
        }
        if !panels.contains(&figure.panel) {
            panels.push(figure.panel);
        }
    }
    let (lowest, highest) = decades(figures.iter().map(|f| f.rate));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>Events a second</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        let of_panel: Vec<&Figure> = figures.iter().filter(|f| f.panel == *panel).collect();
        let left = 76.0 + n as f64 * (AREA.0 + 165.0);
        let (first, last) = decades(of_panel.iter().map(|f| f.at));
        let x = |at: f64| left + AREA.0 * (at.log10() - first) / (last - first);
        let y = |rate: f64| TOP + AREA.1 * (highest - rate.log10()) / (highest - lowest);
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"34\" font-size=\"15\" font-weight=\"600\" fill=\"#111827\">{panel}</text>");
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"54\" fill=\"#4b5563\">events a second</text>");
        for power in lowest as i32..=highest as i32 {
            let (at, line) = (10f64.powi(power), y(10f64.powi(power)));
            let _ = writeln!(svg, "<path d=\"M{left} {line:.1}h{}\" stroke=\"#e5e7eb\"/>", AREA.0);
            let label = spelled(at);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#4b5563\">{label}</text>", left - 6.0, line + 4.0);
        }
        for power in first as i32..=last as i32 {
            let at = 10f64.powi(power);
            let label = spelled(at);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#4b5563\">{label}</text>",
                x(at),
                TOP + AREA.1 + 20.0
            );
        }
        // The name of a line is at its end, moved apart from the others.
        let mut ends: Vec<(f64, &str, &str)> = Vec::new();
        for (server, colour) in servers.iter().zip(COLOURS) {
            let points: Vec<&&Figure> = of_panel.iter().filter(|f| f.server == *server).collect();
            let Some(end) = points.last() else { continue };
            let path: Vec<String> = points.iter().map(|f| format!("{:.1},{:.1}", x(f.at), y(f.rate))).collect();
            let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" "));
            for point in &points {
                let said = format!("{server}: {:.0} events a second at {}", point.rate, spelled(point.at));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{said}</title></circle>",
                    x(point.at),
                    y(point.rate)
                );
            }
            ends.push((y(end.rate), *server, colour));
        }
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut above = f64::MIN;
        for (at, server, colour) in ends {
            let line = at.max(above + 15.0);
            above = line;
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{server}</text>", left + AREA.0 + 8.0, line + 4.0);
        }
    }
    svg + "</svg>\n"
}

fn figure(line: &str) -> Option<Figure<'_>> {
    let mut cells = line.split(',');
    let (panel, server) = (cells.next()?, cells.next()?);
    Some(Figure { panel, server, at: cells.next()?.parse().ok()?, rate: cells.next()?.parse().ok()? })
}

/// The powers of ten around some numbers.
fn decades(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = numbers.fold((f64::MAX, f64::MIN), |(least, most), n| (least.min(n.log10()), most.max(n.log10())));
    (least.floor(), most.ceil().max(least.floor() + 1.0))
}

/// `100`, `1,000`.
fn spelled(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}
