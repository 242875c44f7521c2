//! The terminal: taken, drawn on, and given back on every way out, by end, error, signal or panic.

use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::layout::Rect;

use super::Row;
use super::draw::{View, draw};

/// How often the rows are read anew.
const REFRESH: Duration = Duration::from_millis(500);

/// How long a key is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

static HOOK: Once = Once::new();

/// What a key asks for; the name is that of the selected member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// What its box printed.
    Log,
    /// What it changed.
    Diff,
    /// The dossier.
    Review,
    /// Landing.
    Merge,
    /// Its end.
    Stop,
}

/// Where a board gets its rows, and what its keys do.
pub trait Source {
    /// The rows now. An error is shown, and what was there before stays.
    fn rows(&mut self) -> Result<Vec<Row>, String>;
    /// Now, in seconds since the epoch.
    fn now(&self) -> i64;
    /// Whether the board has to go: a signal came.
    fn is_over(&self) -> bool;
    /// Does `action` for `name`, on a terminal that is as it was before the board. Gives a line for the board.
    fn act(&mut self, action: Action, name: &str) -> String;
}

/// Shows the board until somebody quits. Errors: the terminal cannot be used.
pub fn watch(source: &mut dyn Source, color: bool) -> io::Result<()> {
    let mut screen = Screen::enter()?;
    let mut board = Board { rows: Vec::new(), selected: 0, message: None, asked: None };
    let mut read: Option<Instant> = None;
    while !source.is_over() {
        if read.is_none_or(|read| read.elapsed() >= REFRESH) {
            board.take(source.rows());
            read = Some(Instant::now());
        }
        let view = View {
            rows: &board.rows,
            selected: board.selected,
            now: source.now(),
            message: board.message.as_deref(),
            color,
        };
        screen.terminal.draw(|frame| draw(frame, &view))?;
        if !event::poll(PATIENCE)? {
            continue;
        }
        // a resize needs nothing: the next drawing asks for the size
        let Event::Key(key) = event::read()? else { continue };
        match board.key(key) {
            Wish::Nothing => {}
            Wish::Quit => break,
            Wish::Redraw => {
                // not `clear`, which asks the terminal where its cursor is and waits for the answer
                let size = screen.terminal.size()?;
                screen.terminal.resize(Rect::new(0, 0, size.width, size.height))?;
            }
            Wish::Act(action, name) => {
                drop(screen);
                board.message = Some(source.act(action, &name)).filter(|line| !line.is_empty());
                screen = Screen::enter()?;
                read = None;
            }
        }
    }
    Ok(())
}

/// The terminal while the board has it.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn enter() -> io::Result<Screen> {
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                leave();
                next(info);
            }));
        });
        terminal::enable_raw_mode()?;
        let made =
            execute!(stdout(), terminal::EnterAlternateScreen, terminal::Clear(terminal::ClearType::All), cursor::Hide)
                .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match made {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(err) => {
                leave();
                Err(err)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let _ = execute!(stdout(), terminal::LeaveAlternateScreen, cursor::Show); // the terminal may be gone
    let _ = terminal::disable_raw_mode();
}

enum Wish {
    Nothing,
    Quit,
    Redraw,
    Act(Action, String),
}

struct Board {
    rows: Vec<Row>,
    selected: usize,
    message: Option<String>,
    /// What waits for a yes.
    asked: Option<(Action, String)>,
}

impl Board {
    /// New rows; the same member stays selected.
    fn take(&mut self, rows: Result<Vec<Row>, String>) {
        match rows {
            Ok(rows) => {
                let name = self.rows.get(self.selected).map(|row| row.name.clone());
                self.rows = rows;
                let at = self.rows.iter().position(|row| Some(&row.name) == name.as_ref());
                self.selected = at.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
            }
            Err(text) => self.message = Some(text),
        }
    }

    fn key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        self.message = None;
        if let Some((action, name)) = self.asked.take() {
            return if key.code == KeyCode::Char('y') { Wish::Act(action, name) } else { Wish::Nothing };
        }
        let last = self.rows.len().saturating_sub(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let name = self.rows.get(self.selected).map(|row| row.name.clone());
        let act = |action| name.clone().map_or(Wish::Nothing, |name| Wish::Act(action, name));
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Wish::Quit,
            KeyCode::Char('l') if control => return Wish::Redraw,
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + 10).min(last),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.selected = last,
            KeyCode::Char('l') | KeyCode::Enter => return act(Action::Log),
            KeyCode::Char('d') => return act(Action::Diff),
            KeyCode::Char('r') => return act(Action::Review),
            KeyCode::Char('m') => return act(Action::Merge),
            KeyCode::Char('s') => {
                if let Some(name) = name {
                    self.message = Some(format!("stop {name}? y ends its box and gives its task back"));
                    self.asked = Some((Action::Stop, name));
                }
            }
            _ => {}
        }
        Wish::Nothing
    }
}
