//! The figures as a table, for people. Not for measuring.

use std::fmt;

use crate::series::Series;

/// What is demanded of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// At most so much, in the figure's unit.
    AtMost(f64),
    /// At least so much, in the figure's unit.
    AtLeast(f64),
    /// At most so many times the baseline.
    TimesBaseline(f64),
    /// At most so much more than the baseline, in the figure's unit.
    MoreThanBaseline(f64),
    /// Nothing; shown because it explains others.
    Shown,
}

/// One line of the table.
#[derive(Debug)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// `ms`, `MiB`.
    pub unit: &'static str,
    /// What isconf needs.
    pub subject: Series,
    /// What it is compared with: its name and what it needs.
    pub baseline: Option<(String, Series)>,
    /// What is demanded.
    pub target: Target,
}

/// All lines.
#[derive(Debug, Default)]
pub struct Table(Vec<Figure>);

impl Table {
    /// Adds a figure, and shows it at once: the whole takes long.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("  {figure}");
        self.0.push(figure);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Figure {
    /// The most memory that something took, of which 64 MiB are allowed.
    pub fn memory(name: &str, subject: Series) -> Self {
        Self {
            name: format!("{name}, memory"),
            unit: "MiB",
            subject,
            baseline: None,
            target: Target::AtMost(64.0),
        }
    }

    /// Median over median of the baseline.
    fn ratio(&self) -> Option<f64> {
        let (_, baseline) = self.baseline.as_ref()?;
        Some(self.subject.median() / baseline.median())
    }

    fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(limit) => Some(self.subject.median() <= limit),
            Target::AtLeast(limit) => Some(self.subject.median() >= limit),
            Target::TimesBaseline(limit) => Some(self.ratio()? <= limit),
            Target::MoreThanBaseline(limit) => {
                let (_, baseline) = self.baseline.as_ref()?;
                Some(self.subject.median() - baseline.median() <= limit)
            }
            Target::Shown => None,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = (&self.name, self.unit);
        let (median, least) = (self.subject.median(), self.subject.least());
        let baseline = match &self.baseline {
            Some((name, series)) => format!("{name}: {:.2} {unit}", series.median()),
            None => String::new(),
        };
        let ratio = self.ratio().map_or(String::new(), |r| format!("{r:.2}"));
        let target = match self.target {
            Target::AtMost(limit) => format!("{limit} {unit}"),
            Target::AtLeast(limit) => format!("at least {limit} {unit}"),
            Target::TimesBaseline(limit) => format!("{limit} times"),
            Target::MoreThanBaseline(limit) => format!("{limit} {unit} more"),
            Target::Shown => String::new(),
        };
        let met = match self.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        write!(
            f,
            "| {name} | {median:.2} {unit} | {least:.2} {unit} | {baseline} | {ratio} | {target} | {met} |"
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = "| figure | median | least | baseline | ratio | target | met |";
        writeln!(f, "{head}\n|---|---:|---:|---|---:|---:|---|")?;
        self.0.iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}
