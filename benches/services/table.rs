//! Formats the measured calls as a Markdown table and as JSON.

use serde_json::{Value, json};

use crate::{
    comparison::{Line, Row},
    figure::{Figure, significant},
};

/// Column headings.
pub const HEAD: &str = "\
| call | of | calls/s | p50 ms | p99 ms | server CPU µs | of echo | of baseline | p99 of echo | generator CPU µs | busy |
|---|---|---|---|---|---|---|---|---|---|---|";

/// Explanation of the columns.
pub const LEGEND: &str = "\
calls/s, p50, p99 and CPU are medians of the rounds. The ratios are medians of the ratios of each
round. \"server CPU\" is the CPU time per call of all processes that take part in it. \"generator
CPU\" is the CPU time of the load generator per call, and \"busy\" is the share of the time in which
it was runnable. In a row marked *, the load generator limited the rate.";

/// Returns the rows of one call.
pub fn rows(row: &Row) -> String {
    let lines = row.lines.iter().map(|line| one(row, line));
    lines.collect::<Vec<_>>().join("\n")
}

fn one(row: &Row, line: &Line) -> String {
    let Line {
        contender,
        rate,
        p50,
        p99,
        server_cpu,
        generator_cpu,
        busy,
        ..
    } = line;
    let ours = *contender == crate::system::Contender::System;
    let ratio = |ratio: f64| {
        if ours {
            significant(ratio)
        } else {
            String::new()
        }
    };
    let failed = match line.failed {
        0 => String::new(),
        failed => format!(
            " {failed} FAILED: {}",
            line.wrong.as_deref().unwrap_or("error status")
        ),
    };
    format!(
        "| {} | {} | {rate:.0} | {} | {} | {server_cpu:.1} | {} | {} | {} | {generator_cpu:.1} | {busy:.2}{}{failed} |",
        row.title,
        contender.name(),
        significant(p50 / 1000.0),
        significant(p99 / 1000.0),
        ratio(row.ratios.echo),
        ratio(row.ratios.baseline),
        ratio(row.ratios.p99),
        if line.limited() { " *" } else { "" },
    )
}

/// Returns all measurements as JSON.
pub fn json(rows: &[Row], figures: &[Figure]) -> Value {
    let rows = rows.iter().map(|row| {
        let lines = row.lines.iter().map(|line| {
            json!({
                "of": line.contender.name(),
                "rate": line.rate,
                "p50_us": line.p50,
                "p99_us": line.p99,
                "server_cpu_us": line.server_cpu,
                "generator_cpu_us": line.generator_cpu,
                "generator_busy": line.busy,
                "generator_was_the_limit": line.limited(),
                "failed": line.failed,
            })
        });
        json!({
            "call": row.name,
            "lines": lines.collect::<Vec<_>>(),
            "of_echo": row.ratios.echo,
            "of_baseline": row.ratios.baseline,
            "p99_of_echo": row.ratios.p99,
        })
    });
    let figures = figures.iter().map(Figure::json);
    json!({
        "calls": rows.collect::<Vec<_>>(),
        "figures": figures.collect::<Vec<_>>(),
    })
}
