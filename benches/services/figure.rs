//! A measured figure with its target.

use serde_json::{Value, json};

/// A measured value and its target.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Description of the quantity.
    pub about: String,
    /// The target in words. `None` for an informational figure.
    pub target: Option<String>,
    pub value: f64,
    pub unit: &'static str,
    /// True if the value reaches the target. Always true without a target.
    pub enough: bool,
}

impl Figure {
    /// Creates a figure without a target.
    pub fn informational(about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            about: about.into(),
            target: None,
            value,
            unit,
            enough: true,
        }
    }

    /// Creates a figure with a lower bound.
    pub fn at_least(least: f64, about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            target: Some(format!("at least {}", with_unit(least, unit))),
            enough: value >= least,
            ..Self::informational(about, value, unit)
        }
    }

    /// Creates a figure with an upper bound.
    pub fn at_most(most: f64, about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            target: Some(format!("at most {}", with_unit(most, unit))),
            enough: value <= most,
            ..Self::informational(about, value, unit)
        }
    }

    /// Returns its row of the table.
    pub fn row(&self) -> String {
        let mark = match (&self.target, self.enough) {
            (None, _) => "",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        format!(
            "| {} | {} | {} | {mark} |",
            self.about,
            self.target.as_deref().unwrap_or_default(),
            format_args!("{}{}", significant(self.value), after(self.unit)),
        )
    }

    /// Returns the figure as JSON.
    pub fn json(&self) -> Value {
        json!({
            "about": self.about,
            "target": self.target,
            "value": self.value,
            "unit": self.unit,
            "reached": self.enough,
        })
    }
}

/// Column headings of [`Figure::row`].
pub const HEAD: &str = "| figure | target | measured | |\n|---|---|---|---|";

fn with_unit(value: f64, unit: &str) -> String {
    format!("{value}{}", after(unit))
}

fn after(unit: &str) -> String {
    if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    }
}

/// Formats a number with three significant digits, or with all digits before the point.
pub fn significant(value: f64) -> String {
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.digits$}")
}
