//! A figure: what was measured, and what it is held against.

use serde_json::{Value, json};

/// One of them.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub about: String,
    /// What was to be reached, for people.
    pub goal: Option<String>,
    /// What was.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// Whether that is enough. Nothing is asked of a figure without a goal.
    pub enough: bool,
}

impl Figure {
    /// A figure of which nothing is asked.
    pub fn told(about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            about: about.into(),
            goal: None,
            value,
            unit,
            enough: true,
        }
    }

    /// A figure that is to be at least this.
    pub fn at_least(least: f64, about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            goal: Some(format!("at least {}", with_unit(least, unit))),
            enough: value >= least,
            ..Self::told(about, value, unit)
        }
    }

    /// A figure that is to be at most this.
    pub fn at_most(most: f64, about: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            goal: Some(format!("at most {}", with_unit(most, unit))),
            enough: value <= most,
            ..Self::told(about, value, unit)
        }
    }

    /// Its row of the table.
    pub fn row(&self) -> String {
        let mark = match (&self.goal, self.enough) {
            (None, _) => "",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        format!(
            "| {} | {} | {} | {mark} |",
            self.about,
            self.goal.as_deref().unwrap_or_default(),
            format_args!("{}{}", significant(self.value), after(self.unit)),
        )
    }

    /// The same, for programs.
    pub fn json(&self) -> Value {
        json!({
            "about": self.about,
            "goal": self.goal,
            "value": self.value,
            "unit": self.unit,
            "reached": self.enough,
        })
    }
}

/// The heads of the columns of [`Figure::row`].
pub const HEAD: &str = "| what | to reach | reached | |\n|---|---|---|---|";

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

/// A number with three digits that count, or all before the point.
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
