//! What is shown: a table that is drawn in place, or lines where there is no
//! terminal.
//!
//! May import: its siblings. Invariant: whatever ends the demo, the terminal is
//! left as it was found.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
};

use super::{
    day,
    replicas::Deployment,
    stage::{News, Stage, View},
    words,
};

/// Minutes of the day between two lines that tell how things stand.
const LINE_EVERY: u32 = 30;

/// Events above the reasons.
const NEWS_SHOWN: usize = 3;

/// Where it is shown.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal.
    Live(Table),
    /// Anything else.
    Plain(Lines),
}

/// The table, and how many lines of it stand above the cursor.
#[derive(Debug, Default)]
pub(super) struct Table {
    drawn: usize,
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    next_at: u32,
    told: usize,
    explained: HashSet<u64>,
    failing: bool,
}

// === impl Screen ===

impl Screen {
    /// The one for this standard output.
    pub(super) fn open(plain: bool) -> io::Result<Self> {
        if plain || !io::stdout().is_terminal() {
            return Ok(Self::Plain(Lines::default()));
        }
        let screen = Self::Live(Table::default());
        // No cursor, and lines end at the terminal's edge whatever its width.
        print("\x1b[?25l\x1b[?7l")?;
        Ok(screen)
    }

    /// Shows how things stand.
    pub(super) fn show(
        &mut self,
        stage: &Stage,
        deployments: &[Deployment],
        view: &View,
    ) -> io::Result<()> {
        match self {
            Self::Live(table) => table.show(&rows(stage, deployments, view)),
            Self::Plain(lines) => lines.show(stage, deployments, view),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Self::Live(_)) {
            // There is nobody left to tell.
            let _ = print("\x1b[?7h\x1b[?25h");
        }
    }
}

// === impl Table ===

impl Table {
    fn show(&mut self, rows: &[String]) -> io::Result<()> {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}F", self.drawn));
        }
        for row in rows {
            text.push_str(row);
            // The rest of what stood there before.
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = rows.len();
        print(&text)
    }
}

/// The table's lines.
fn rows(stage: &Stage, deployments: &[Deployment], view: &View) -> Vec<String> {
    let mut rows = vec![
        format!(
            "{} {}  one pool, three scaling objects, one watcher",
            bold("azp-scaler demo"),
            bold(&day::time(view.now))
        ),
        String::new(),
        format!("  jobs      {}", words::jobs(&view.pool.counts)),
        format!("  requests  {}", words::requests(view)),
        String::new(),
        dim(&format!(
            "  {:9} {:34} {}",
            "profile", "number", "agents: ● busy ○ idle · starting"
        )),
    ];
    for deployment in deployments {
        let name = deployment.profile().name;
        let agents = words::agents(deployment, &view.pool);
        rows.push(format!(
            "  {} {:34} {}",
            bold(&format!("{name:9}")),
            words::number(name, &view.status),
            agents.drawn()
        ));
    }
    rows.push(String::new());
    let news = stage.news(0);
    for News { at, what } in news.iter().rev().take(NEWS_SHOWN).rev() {
        rows.push(format!("  {}  {what}", dim(&day::time(*at))));
    }
    rows.push(String::new());
    rows.push(dim("  why (from the scaler's /status)"));
    rows.extend(
        words::reasons(&view.status)
            .iter()
            .map(|row| format!("  {row}")),
    );
    rows
}

// === impl Lines ===

impl Lines {
    fn show(&mut self, stage: &Stage, deployments: &[Deployment], view: &View) -> io::Result<()> {
        let mut text = String::new();
        let news = stage.news(self.told);
        self.told += news.len();
        for News { at, what } in &news {
            text.push_str(&format!("{}  {what}\n", day::time(*at)));
        }
        match &view.status.failure {
            Some(failure) if !self.failing => {
                text.push_str(&format!("{}  {}\n", day::time(view.now), failure.message));
            }
            _ => {}
        }
        self.failing = view.status.failure.is_some();
        for job in view
            .status
            .jobs
            .iter()
            .filter(|job| job.counted_by.is_empty())
        {
            if self.explained.insert(job.id) {
                text.push_str(&format!(
                    "{}  {}\n",
                    day::time(view.now),
                    words::reason(job)
                ));
            }
        }
        if view.now >= self.next_at {
            self.next_at = view.now - view.now % LINE_EVERY + LINE_EVERY;
            text.push_str(&standing(deployments, view));
        }
        print(&text)
    }
}

/// How things stand, in a line for each profile that has anything.
fn standing(deployments: &[Deployment], view: &View) -> String {
    let now = day::time(view.now);
    let mut text = format!(
        "{now}  jobs: {}; {}\n",
        words::jobs(&view.pool.counts),
        words::requests(view)
    );
    for deployment in deployments {
        let name = deployment.profile().name;
        let agents = words::agents(deployment, &view.pool);
        if agents.pods > 0 || deployment.wanted() > 0 {
            let number = words::number(name, &view.status);
            text.push_str(&format!("{now}    {name}: {number}; {agents}\n"));
        }
    }
    text
}

/// To standard output, at once.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

fn dim(text: &str) -> String {
    format!("\x1b[2m{text}\x1b[0m")
}
