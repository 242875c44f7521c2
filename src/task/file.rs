//! `TASKS.md` as data. It stays a file for people: nothing here writes it anew, tasks only know where their marker is.
//!
//! A task is a list item with a box, `- [ ] text`, wherever it stands in the file; what follows it up to the next task
//! or heading is its body. Boxes that are indented deeper than a task are its steps and part of the body. Fenced code
//! and HTML comments hold no tasks.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

/// More than this is no list of tasks (bytes).
pub const MAX_FILE: u64 = 4 << 20;

/// The marker of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// `[ ]`
    Todo,
    /// `[w]`: somebody works on it.
    Claimed,
    /// `[x]`
    Done,
    /// `[B]`: a person has to look.
    Blocked,
}

impl Mark {
    /// All of them with the byte between the brackets and the word for people.
    pub const ALL: [(Mark, u8, &'static str); 4] = [
        (Mark::Todo, b' ', "todo"),
        (Mark::Claimed, b'w', "claimed"),
        (Mark::Done, b'x', "done"),
        (Mark::Blocked, b'B', "blocked"),
    ];
    /// The byte between the brackets.
    pub fn byte(self) -> u8 {
        Mark::ALL.iter().find(|(mark, ..)| *mark == self).map_or(b' ', |(_, byte, _)| *byte)
    }
    /// The word.
    pub fn word(self) -> &'static str {
        Mark::ALL.iter().find(|(mark, ..)| *mark == self).map_or("todo", |(.., word)| word)
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Twelve hex digits of a hash of its text: it survives moving, and changes when the text does.
    pub id: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its marker.
    pub mark: Mark,
    /// Where in the file the byte of the marker is.
    pub offset: usize,
    /// The text behind the box.
    pub title: String,
    /// What follows, its indentation removed.
    pub body: String,
    /// Where in the file its first line begins and its last one ends.
    pub span: std::ops::Range<usize>,
}

impl Task {
    /// Title and body, as an agent reads them.
    pub fn text(&self) -> String {
        if self.body.is_empty() { self.title.clone() } else { format!("{}\n{}", self.title, self.body) }
    }
}

/// A line that looks like a task and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// A whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its tasks in order.
    pub tasks: Vec<Task>,
    /// What is malformed.
    pub problems: Vec<Problem>,
}

struct Open {
    task: Task,
    indent: usize,
    body: Vec<String>,
}

impl Queue {
    /// Reads `bytes`. Text that is not UTF-8 is shown with replacement characters; offsets are those of the bytes.
    pub fn parse(bytes: &[u8]) -> Queue {
        let mut queue = Queue::default();
        let mut open: Option<Open> = None;
        let (mut fence, mut comment): (Option<String>, bool) = (None, false);
        let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut number = 0;
        while at < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n + 1);
            let raw = &bytes[at..end];
            let (start, line) = (at, String::from_utf8_lossy(raw));
            let line = line.trim_end_matches(['\n', '\r']);
            at = end;
            number += 1;
            let plain = fence.is_some() || comment;
            if let Some(mark) = &fence {
                if line.trim().starts_with(mark.as_str()) && line.trim().trim_start_matches(['`', '~']).is_empty() {
                    fence = None;
                }
            } else if comment || line.trim_start().starts_with("<!--") {
                comment = !line.contains("-->");
                continue;
            } else if let Some(mark) = opens_fence(line) {
                fence = Some(mark);
            }
            if plain || fence.is_some() {
                add(&mut open, line, end);
                continue;
            }
            if line.starts_with('#') {
                queue.close(open.take());
                continue;
            }
            match item(line) {
                Item::Task { indent, mark, column, title } => {
                    if open.as_ref().is_some_and(|o| indent > o.indent) {
                        add(&mut open, &with_open_box(line), end);
                        continue;
                    }
                    queue.close(open.take());
                    // the columns are of the text, and everything before the marker is ASCII or as long as it was read
                    let offset = start + column;
                    let task = Task {
                        id: String::new(),
                        line: number,
                        mark,
                        offset,
                        title,
                        body: String::new(),
                        span: start..end,
                    };
                    open = Some(Open { task, indent, body: Vec::new() });
                }
                Item::Malformed(what) => queue.problems.push(Problem { line: number, what }),
                Item::None => add(&mut open, line, end),
            }
        }
        queue.close(open.take());
        queue.name();
        queue
    }

    fn close(&mut self, open: Option<Open>) {
        let Some(Open { mut task, mut body, .. }) = open else { return };
        while body.last().is_some_and(|line| line.trim().is_empty()) {
            body.pop();
        }
        let margin = body.iter().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min();
        let cut = |line: &String| line.get(margin.unwrap_or(0)..).unwrap_or("").trim_end().to_owned();
        task.body = body.iter().map(cut).collect::<Vec<_>>().join("\n");
        self.tasks.push(task);
    }

    /// Gives every task its id. The same text twice is two tasks.
    fn name(&mut self) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for task in &mut self.tasks {
            let mut text = task.title.split_whitespace().collect::<Vec<_>>().join(" ");
            text.push('\n');
            text.push_str(&task.body);
            let times = seen.entry(text.clone()).or_default();
            *times += 1;
            if *times > 1 {
                text.push_str(&format!("\n#{times}"));
            }
            task.id = Sha256::digest(text.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect();
        }
    }

    /// The task with this id.
    pub fn find(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

fn add(open: &mut Option<Open>, line: &str, end: usize) {
    if let Some(open) = open {
        open.body.push(line.replace('\t', "    "));
        if !line.trim().is_empty() {
            open.task.span.end = end;
        }
    }
}

fn opens_fence(line: &str) -> Option<String> {
    let text = line.trim_start();
    let first = text.chars().next().filter(|c| *c == '`' || *c == '~')?;
    let mark: String = text.chars().take_while(|c| *c == first).collect();
    (mark.len() >= 3).then_some(mark)
}

enum Item {
    None,
    Task { indent: usize, mark: Mark, column: usize, title: String },
    Malformed(String),
}

/// What a line is. A link (`- [text](url)`) and a word in brackets are no boxes.
fn item(line: &str) -> Item {
    let text = line.trim_start_matches([' ', '\t']);
    let before = &line[..line.len() - text.len()];
    let indent = before.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
    let bullet = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - bullet.len();
    let known = if digits == 0 { bullet.starts_with(['-', '*', '+']) } else { bullet.starts_with(['.', ')']) };
    if !known || digits > 9 {
        return Item::None;
    }
    let rest = &bullet[1..];
    let inner = rest.trim_start_matches([' ', '\t']);
    let Some((content, after)) = inner.strip_prefix('[').and_then(|t| t.split_once(']')) else { return Item::None };
    if content.trim().chars().count() > 1 || after.starts_with(['(', '[', ':']) {
        return Item::None;
    }
    let malformed = |what: &str| Item::Malformed(format!("'{}' {what}", &inner[..content.len() + 2]));
    if !rest.starts_with([' ', '\t']) {
        return malformed("needs a space before it");
    }
    let Some((mark, ..)) = Mark::ALL.iter().find(|(_, byte, _)| content.as_bytes() == [*byte]) else {
        return malformed("is no marker: [ ] todo, [w] claimed, [x] done, [B] blocked");
    };
    if after.trim().is_empty() {
        return malformed("has no text behind it");
    }
    if !after.starts_with([' ', '\t']) {
        return malformed("needs a space behind it");
    }
    let column = line.len() - inner.len() + 1;
    Item::Task { indent, mark: *mark, column, title: after.trim().to_owned() }
}

/// A step with its box opened: ticking one off does not make it another task.
fn with_open_box(line: &str) -> String {
    match item(line) {
        Item::Task { column, .. } => format!("{} {}", &line[..column], &line[column + 1..]),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marks(text: &str) -> Vec<(usize, &'static str, String)> {
        Queue::parse(text.as_bytes()).tasks.into_iter().map(|t| (t.line, t.mark.word(), t.title)).collect()
    }

    #[test]
    fn reads_what_people_write() {
        let text = "# Queue\r\n\r\n- [ ] one\r\n  more\r\n  - [x] a step\r\n* [w] two\r\n\r\n## Later\r\n1. [B] three\r\n\
            - a [link](x), - [text](url), - [WIP] no box\r\n```\n- [ ] code\n```\n<!--\n- [ ] hidden\n-->\n# End\n  - [x] four";
        let queue = Queue::parse(text.as_bytes());
        assert_eq!(queue.problems, []);
        let titles: Vec<&str> = queue.tasks.iter().map(|t| t.title.as_str()).collect();
        assert_eq!(titles, ["one", "two", "three", "four"]);
        assert_eq!(queue.tasks[0].body, "more\n- [ ] a step");
        assert!(queue.tasks.iter().all(|t| text.as_bytes()[t.offset] == t.mark.byte()));
        assert_eq!(&text[queue.tasks[0].span.clone()], "- [ ] one\r\n  more\r\n  - [x] a step\r\n");
    }

    #[test]
    fn malformed_markers_are_named_by_line() {
        let text = "- [] a\n- [X] b\n- [ ]\n-[ ] c\n- [y] d\n- [ ]e\n- [x ] f\n  - [?] g\n- [ ] good\n";
        let queue = Queue::parse(text.as_bytes());
        assert_eq!(queue.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(marks(text), [(9, "todo", "good".to_owned())]);
    }

    #[test]
    fn an_id_is_of_the_text_alone() {
        let id = |text: &str| Queue::parse(text.as_bytes()).tasks.iter().map(|t| t.id.clone()).collect::<Vec<_>>();
        let plain = id("- [ ] one\n  body\n- [ ] two\n");
        assert_eq!(id("# x\n\n    - [x] two\r\n  - [B]  one\r\n      body\r\n"), [plain[1].clone(), plain[0].clone()]);
        let twice = id("- [ ] a\n- [ ] a\n");
        assert!(twice[0] != twice[1]);
        assert_eq!(id("- [ ] a\n  - [x] s\n"), id("- [ ] a\n  - [ ] s\n"));
        assert_ne!(id("- [ ] a\n"), id("- [ ] a\n  b\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let queue = Queue::parse(&bytes);
            for task in queue.tasks {
                prop_assert_eq!(bytes[task.offset], task.mark.byte());
                prop_assert_eq!((bytes[task.offset - 1], bytes[task.offset + 1]), (b'[', b']'));
            }
        }
        #[test]
        fn any_lines_are_read(lines in proptest::collection::vec("[ \t]{0,3}([-*+]|1\\.)?[ é]?(\\[[ wxBXé]?\\]| )[ ]?[a\u{fffd}]{0,2}\r?", 0..12)) {
            let text = lines.join("\n");
            for task in Queue::parse(text.as_bytes()).tasks {
                prop_assert_eq!(text.as_bytes()[task.offset], task.mark.byte());
            }
        }
    }
}
