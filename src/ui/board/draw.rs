//! Drawing: pure, from rows to cells. Works from 40 columns up; 80 show everything that matters.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::Row;
use crate::time;
use crate::ui::text::{count, printable};

/// What is drawn.
#[derive(Debug)]
pub struct View<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// The selected one.
    pub selected: usize,
    /// Now, in seconds since the epoch.
    pub now: i64,
    /// A line that takes the place of the keys: a question, or what went wrong.
    pub message: Option<&'a str>,
    /// Whether colours may be used.
    pub color: bool,
}

/// Lines below the table: what is known of the selected member.
const DETAIL: u16 = 5;

/// Cells of a progress bar.
const BAR: usize = 8;

/// Draws the board.
pub fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.height < 4 || area.width < 20 {
        put(buffer, area, 0, "too small", Style::new());
        return;
    }
    put(buffer, area, 0, &summary(view), Style::new().add_modifier(Modifier::BOLD));
    let detail = if area.height >= 14 { DETAIL } else { 0 };
    let table = Rect { y: area.y + 2, height: area.height - 3 - detail, ..area };
    let columns = Columns::of(area.width, view);
    put(buffer, area, 1, &columns.heading(), Style::new().add_modifier(Modifier::DIM));
    // the selected row is always in sight
    let shown = usize::from(table.height);
    let first = (view.selected + 1).saturating_sub(shown).min(view.rows.len().saturating_sub(shown));
    for (line, (at, row)) in view.rows.iter().enumerate().skip(first).take(shown).enumerate() {
        let y = 2 + u16::try_from(line).unwrap_or(u16::MAX);
        let chosen = at == view.selected;
        let base = if chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        put(buffer, area, y, &columns.line(row, view.now), base);
        if view.color && !chosen {
            let x = columns.state_at();
            let width = u16::try_from(columns.state).unwrap_or(0).min(area.width.saturating_sub(x));
            buffer
                .set_style(Rect { x: area.x + x, y: area.y + y, width, height: 1 }, Style::new().fg(color(&row.state)));
        }
    }
    if detail > 0
        && let Some(row) = view.rows.get(view.selected)
    {
        let top = area.height - 1 - detail;
        let rule: String = std::iter::repeat_n('─', usize::from(area.width)).collect();
        put(buffer, area, top, &rule, Style::new().add_modifier(Modifier::DIM));
        for (at, line) in lines(row, view.now).iter().enumerate() {
            put(buffer, area, top + 1 + u16::try_from(at).unwrap_or(0), line, Style::new());
        }
    }
    let keys = "↑↓ choose  l log  d diff  r review  m merge  s stop  q quit";
    let bottom = view.message.map_or_else(|| keys.to_owned(), printable);
    put(buffer, area, area.height - 1, &bottom, Style::new().add_modifier(Modifier::DIM));
}

/// Draws `rows` once on a screen in memory: what a refresh costs besides the terminal.
pub fn draw_once(rows: &[Row], width: u16, height: u16) -> Result<(), std::convert::Infallible> {
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height))?;
    let view = View { rows, selected: 0, now: 0, message: None, color: true };
    terminal.draw(|frame| draw(frame, &view))?;
    Ok(())
}

/// Writes one line from the left edge and cuts it at the right one. Wide characters are never halved.
fn put(buffer: &mut Buffer, area: Rect, y: u16, text: &str, style: Style) {
    if y < area.height {
        let line = Rect { y: area.y + y, height: 1, ..area };
        buffer.set_style(line, style);
        buffer.set_stringn(area.x, area.y + y, text, usize::from(area.width), style);
    }
}

fn summary(view: &View<'_>) -> String {
    let of = |state: &str| view.rows.iter().filter(|row| row.state == state).count();
    let mut parts = vec![format!("fleet: {}", count(view.rows.len(), "member"))];
    for state in ["running", "auditing", "parked", "waiting", "killed", "failed", "stopped", "finished"] {
        if of(state) > 0 {
            parts.push(format!("{} {state}", of(state)));
        }
    }
    let sum = |get: fn(&Row) -> u64| view.rows.iter().map(get).fold(0, u64::saturating_add);
    parts.push(format!("{}/{} done", sum(|row| row.done), sum(|row| row.total)));
    let (input, output) = (sum(|row| row.input), sum(|row| row.output));
    if input + output > 0 {
        parts.push(format!("{}/{} tokens", tokens(input), tokens(output)));
    }
    let cost: f64 = view.rows.iter().map(|row| row.cost).sum();
    if cost > 0.0 {
        parts.push(format!("${cost:.2}"));
    }
    parts.join(" · ")
}

/// Widths of the columns.
struct Columns {
    name: usize,
    account: usize,
    state: usize,
    usage: bool,
}

impl Columns {
    fn of(width: u16, view: &View<'_>) -> Columns {
        let widest = |get: &dyn Fn(&Row) -> usize, least: usize, most: usize| {
            view.rows.iter().map(get).max().unwrap_or(0).clamp(least, most)
        };
        let wide = width >= 110;
        Columns {
            name: widest(&|row| row.name.chars().count(), 4, if wide { 24 } else { 12 }),
            account: widest(&|row| row.account().chars().count(), 5, if wide { 20 } else { 12 }),
            state: widest(&|row| row.condition(view.now).chars().count(), 8, 15),
            usage: wide,
        }
    }
    fn state_at(&self) -> u16 {
        u16::try_from(self.name + self.account + 4).unwrap_or(0)
    }
    fn heading(&self) -> String {
        let progress = fit("PROGRESS", BAR + 8);
        let mut line = format!(
            "{}  {}  {}  {progress} AHEAD  ",
            fit("NAME", self.name),
            fit("AGENT", self.account),
            fit("STATE", self.state)
        );
        if self.usage {
            line += "   TOKENS    COST   AGE  ";
        }
        line + "TASK"
    }
    fn line(&self, row: &Row, now: i64) -> String {
        let state = row.condition(now);
        let mut line = format!(
            "{}  {}  {}  {} {:>3}/{:<3} {:>5}  ",
            fit(&row.name, self.name),
            fit(&row.account(), self.account),
            fit(&state, self.state),
            bar(row.done, row.blocked, row.total),
            row.done,
            row.total,
            row.ahead,
        );
        if self.usage {
            let cost = if row.cost > 0.0 { format!("${:.2}", row.cost) } else { String::new() };
            let used = if row.input + row.output > 0 { tokens(row.input + row.output) } else { String::new() };
            line += &format!("{used:>9} {cost:>7} {:>5}  ", age(row, now));
        }
        line + &printable(if row.task.is_empty() { &row.event } else { &row.task })
    }
}

fn age(row: &Row, now: i64) -> String {
    if row.updated > 0 { time::age(now - row.updated) } else { String::new() }
}

/// `text` in exactly `width` columns, cut with a mark.
fn fit(text: &str, width: usize) -> String {
    let text = printable(text);
    let long = text.chars().count() > width;
    let mut out: String = text.chars().take(if long { width.saturating_sub(1) } else { width }).collect();
    if long {
        out.push('…');
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(out.chars().count())));
    out
}

/// A bar: done, blocked, and what is left. Whatever is not none has at least one cell.
fn bar(done: u64, blocked: u64, total: u64) -> String {
    let cells = |n: u64| match (n, total) {
        (0, _) | (_, 0) => 0,
        (n, total) => usize::try_from(n.saturating_mul(BAR as u64) / total.max(n)).unwrap_or(0).max(1),
    };
    let full = cells(done).min(BAR);
    let bad = cells(blocked).min(BAR - full);
    let mut out = "█".repeat(full) + &"▒".repeat(bad);
    out.push_str(&"·".repeat(BAR - full - bad));
    out
}

/// The four lines about one member.
fn lines(row: &Row, now: i64) -> [String; 4] {
    let named =
        |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("{name}: {}", printable(text)) };
    let attempt = if row.attempt > 1 { format!(" (try {})", row.attempt) } else { String::new() };
    let doing = if row.purpose.is_empty() { String::new() } else { format!(", {} box", row.purpose) };
    let mut used = Vec::new();
    if row.input + row.output > 0 {
        used.push(format!("{} tokens in, {} out", tokens(row.input), tokens(row.output)));
    }
    if row.cost > 0.0 {
        used.push(format!("${:.2}", row.cost));
    }
    if row.blocked > 0 {
        used.push(format!("{} blocked", row.blocked));
    }
    if row.wake > 0 {
        used.push(format!("wakes at {} (in {})", time::wall(row.wake, now), time::left(row.wake - now)));
    }
    let since = if row.updated > 0 { format!(" ({} ago)", time::age(now - row.updated)) } else { String::new() };
    [
        printable(&format!("{}  {}  {}{doing}", row.name, row.account(), row.state)),
        named("task", &format!("{}{attempt}", row.task)).trim_end_matches("task: ").to_owned(),
        if row.event.is_empty() { String::new() } else { named("last", &row.event) + &since },
        if row.reason.is_empty() { used.join(", ") } else { named("why", &row.reason) },
    ]
}

fn color(state: &str) -> Color {
    match state {
        "running" | "auditing" => Color::Green,
        "parked" | "waiting" => Color::Yellow,
        "failed" | "killed" => Color::Red,
        "finished" => Color::Cyan,
        _ => Color::Reset,
    }
}

/// `950`, `3.4k`, `12.0M`.
pub fn tokens(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}.{}k", n / 1_000, n % 1_000 / 100),
        _ => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn rows() -> Vec<Row> {
        let row = |name: &str, state: &str, done, total| Row {
            name: name.into(),
            agent: "claude".into(),
            profile: "work".into(),
            state: state.into(),
            done,
            total,
            ahead: 3,
            event: "task 1234 done".into(),
            updated: 940,
            ..Row::default()
        };
        vec![
            Row {
                task: "Mend the \u{1b}[31mparser\u{202e} 解析器".into(),
                input: 12_345,
                output: 678,
                cost: 0.5,
                attempt: 2,
                purpose: "agent".into(),
                ..row("api", "running", 3, 10)
            },
            Row { wake: 8_200, ..row("web", "parked", 1, 200) },
            Row { reason: "disk full".into(), blocked: 1, ..row("a-member-with-a-long-name", "failed", 0, 3) },
            Row { name: "new".into(), state: "waiting".into(), ..Row::default() },
        ]
    }

    fn screen(width: u16, height: u16, rows: &[Row], selected: usize) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let view = View { rows, selected, now: 1_000, message: None, color: true };
        terminal.draw(|frame| draw(frame, &view)).expect("draws");
        terminal.backend().to_string()
    }

    #[test]
    fn eighty_columns_show_what_matters() {
        let text = screen(80, 20, &rows(), 0);
        for part in [
            "fleet: 4 members · 1 running · 1 parked · 1 waiting · 1 failed · 4/213 done",
            "api           claude/work  running       ██······   3/10      3  Mend the",
            "parked 2h00m  █·······   1/200",
            "a-member-wi…  claude/work  failed        ▒▒······   0/3",
            "api  claude/work  running, agent box",
            "(try 2)",
            "last: task 1234 done (1m ago)",
            "12.3k tokens in, 678 out, $0.50",
            "q quit",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        assert!(screen(80, 20, &rows(), 1).contains("wakes at "), "the clock of what is parked");
        assert!(screen(80, 20, &rows(), 2).contains("why: disk full"));
    }

    #[test]
    fn any_size_and_any_number() {
        for (width, height) in [(1, 1), (20, 4), (40, 10), (80, 24), (300, 80)] {
            for rows in [Vec::new(), rows(), rows().into_iter().cycle().take(60).collect()] {
                for selected in [0, rows.len().saturating_sub(1)] {
                    let text = screen(width, height, &rows, selected);
                    assert_eq!(text.lines().count(), usize::from(height));
                }
            }
        }
        let many: Vec<Row> = (0..60).map(|n| Row { name: format!("m{n}"), ..Row::default() }).collect();
        assert!(screen(80, 24, &many, 59).contains("m59"), "the selected one is in sight");
        assert!(screen(120, 24, &rows(), 0).contains("13.0k   $0.50"), "{}", screen(120, 24, &rows(), 0));
    }
}
