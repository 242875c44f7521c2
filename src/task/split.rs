//! Splitting a queue into several, task by task.

use super::file::{Mark, Queue};

/// The todo tasks of `bytes` dealt out to `n` files in turn, each task byte for byte as it was written.
pub fn split(bytes: &[u8], n: usize) -> Vec<Vec<u8>> {
    let queue = Queue::parse(bytes);
    let mut out: Vec<Vec<u8>> = vec![Vec::new(); n];
    for (at, task) in queue.tasks.iter().filter(|task| task.mark == Mark::Todo).enumerate() {
        let Some(part) = out.get_mut(at % n.max(1)) else { break };
        part.extend_from_slice(&bytes[task.span.clone()]);
        if !part.ends_with(b"\n") {
            part.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_once_with_its_id() {
        let text = b"# h\n- [ ] a\n  body\n\n- [x] b\n- [ ] c\r\n  - [ ] step\n- [ ] d";
        let parts = split(text, 2);
        assert_eq!(parts, [b"- [ ] a\n  body\n- [ ] d\n".to_vec(), b"- [ ] c\r\n  - [ ] step\n".to_vec()]);
        let ids = |bytes: &[u8]| Queue::parse(bytes).tasks.into_iter().map(|t| t.id).collect::<Vec<_>>();
        assert_eq!(ids(&parts[0])[0], ids(text)[0]);
        assert_eq!(split(text, 0).len(), 0);
    }
}
