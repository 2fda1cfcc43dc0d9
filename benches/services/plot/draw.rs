//! Draws curves as SVG panels with logarithmic axes.

use std::fmt::Write;

use super::{CALLERS, Curves};
use crate::{comparison::CONTENDERS, system::Contender};

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 700.0;

/// Width and height of a panel within its axes.
const PANEL: (f64, f64) = (360.0, 220.0);

/// Top left corner of the first panel.
const ORIGIN: (f64, f64) = (80.0, 90.0);

/// Distance between panels.
const STEP: (f64, f64) = (450.0, 310.0);

const STYLE: &str = "\
text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.tick { font-size: 11px; fill: #57606a }
.grid { stroke: #d8dee4; stroke-width: 1 }
.axis { stroke: #57606a; stroke-width: 1; fill: none }
.curve { fill: none; stroke-width: 2.2; stroke-linejoin: round }
";

/// Range of the powers of ten that may be marked on an axis.
const LOWEST: i32 = -3;
const HIGHEST: i32 = 6;

/// A diagram of one quantity.
struct Panel<'a> {
    title: String,
    label: fn(f64) -> String,
    curves: &'a [Vec<f64>],
    at: (f64, f64),
    /// Logarithms of the lowest and the highest value of the axis.
    ends: (f64, f64),
}

/// Returns the diagram. Each call has a row, with its rate on the left and its p99 on the right.
pub fn svg(all: &[Curves]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"Rate and p99 over the number of callers\">\n\
         <style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    legend(&mut svg);
    let mut top = ORIGIN.1;
    for curves in all {
        let columns = [
            ("calls per second", rate as fn(f64) -> String, &curves.rates),
            ("p99", time, &curves.p99s),
        ];
        let mut left = ORIGIN.0;
        for (what, label, values) in columns {
            let panel = Panel {
                title: format!("{}: {what}", curves.title),
                label,
                curves: values,
                at: (left, top),
                ends: ends(values),
            };
            panel.draw(&mut svg);
            left += STEP.0;
        }
        top += STEP.1;
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    let mut x = ORIGIN.0;
    for contender in CONTENDERS {
        let color = color(contender);
        let name = match contender {
            Contender::Echo => "echo (the limit of the transport)",
            Contender::Baseline => "baseline",
            Contender::System => "services",
        };
        line(svg, "curve", (x, 34.0), (x + 28.0, 34.0), color);
        text(svg, "", (x + 36.0, 38.0), "start", name);
        x += if contender == Contender::Echo {
            290.0
        } else {
            140.0
        };
    }
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String) {
        let (left, top) = self.at;
        let (right, bottom) = (left + PANEL.0, top + PANEL.1);
        text(svg, "title", (left, top - 14.0), "start", &self.title);
        for power in LOWEST..=HIGHEST {
            let value = 10f64.powi(power);
            let y = self.y(value);
            if y <= bottom && y >= top {
                line(svg, "grid", (left, y), (right, y), "");
                text(
                    svg,
                    "tick",
                    (left - 8.0, y + 4.0),
                    "end",
                    &(self.label)(value),
                );
            }
        }
        for (at, callers) in CALLERS.iter().enumerate() {
            let x = self.x(at);
            line(svg, "axis", (x, bottom), (x, bottom + 5.0), "#57606a");
            let label = callers.to_string();
            text(svg, "tick", (x, bottom + 18.0), "middle", &label);
        }
        let middle = f64::midpoint(left, right);
        text(svg, "tick", (middle, bottom + 36.0), "middle", "callers");
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left},{top}V{bottom}H{right}\"/>"
        );
        for (contender, values) in CONTENDERS.into_iter().zip(self.curves) {
            self.curve(svg, color(contender), values);
        }
    }

    fn curve(&self, svg: &mut String, color: &str, values: &[f64]) {
        let points = values.iter().enumerate();
        let points: Vec<_> = points
            .map(|(at, value)| (self.x(at), self.y(*value)))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"curve\" stroke=\"{color}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, y) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"
            );
        }
    }

    fn x(&self, at: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let share = at as f64 / (CALLERS.len() - 1) as f64;
        self.at.0 + share * PANEL.0
    }

    fn y(&self, value: f64) -> f64 {
        let (lowest, highest) = self.ends;
        let share = (value.log10() - lowest) / (highest - lowest);
        self.at.1 + (1.0 - share) * PANEL.1
    }
}

/// Returns the logarithms of values a little below and above all values.
fn ends(curves: &[Vec<f64>]) -> (f64, f64) {
    let values = || curves.iter().flatten().copied();
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(0.0, f64::max);
    ((lowest / 1.3).log10(), (highest * 1.3).log10())
}

/// Formats calls per second.
fn rate(rate: f64) -> String {
    if rate < 1000.0 {
        format!("{rate}")
    } else {
        format!("{} k", rate / 1000.0)
    }
}

/// Formats milliseconds.
fn time(millis: f64) -> String {
    match millis {
        ..0.9 => format!("{:.0} µs", millis * 1000.0),
        0.9..900.0 => format!("{millis:.0} ms"),
        _ => format!("{:.0} s", millis / 1000.0),
    }
}

fn color(contender: Contender) -> &'static str {
    match contender {
        Contender::Echo => "#8c959f",
        Contender::Baseline => "#cf5a1b",
        Contender::System => "#0b63c5",
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64), color: &str) {
    let stroke = if color.is_empty() {
        String::new()
    } else {
        format!(" stroke=\"{color}\"")
    };
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"{stroke}/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, class: &str, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
        at.0, at.1
    );
}
