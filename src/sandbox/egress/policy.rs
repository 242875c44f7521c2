//! Which targets a box may reach, while it runs: the list can grow under its connections.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::without::without;

use super::rule::{Allowed, Rule};
use super::target::Target;

/// How often the list is read again at most, however often a box asks for what is not on it.
const INTERVAL: Duration = Duration::from_millis(400);

/// Reads the list anew; `None` where it cannot be read, and then the old one stays.
pub type Reread = Arc<dyn Fn() -> Option<Vec<Rule>> + Send + Sync>;

/// What a box may reach.
#[derive(Clone)]
pub struct Policy {
    /// Every public host, besides the rules.
    public: bool,
    rules: Arc<RwLock<Arc<Vec<Rule>>>>,
    reread: Option<Reread>,
    last: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("public", &self.public).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Policy {
    /// The hosts of `rules`; with `public` every public one. `reread` is asked before anything is denied.
    pub fn new(public: bool, rules: Vec<Rule>, reread: Option<Reread>) -> Self {
        Policy { public, rules: Arc::new(RwLock::new(Arc::new(rules))), reread, last: Arc::default() }
    }

    /// Whether only listed hosts are allowed.
    pub fn strict(&self) -> bool {
        !self.public
    }

    fn find(&self, target: &Target) -> Option<Allowed> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let listed = rules.iter().filter_map(|rule| rule.allows(target));
        // the widest of all rules that fit: a port that was named lets any protocol through
        let listed =
            listed.reduce(|a, b| Allowed { at: a.at.or(b.at), any_protocol: a.any_protocol || b.any_protocol });
        listed.or((self.public || without("proxy-list")).then_some(Allowed { at: None, any_protocol: true }))
    }

    /// Whether `target` may be reached now. Before it says no, the list is read again.
    pub async fn decide(&self, target: &Target) -> Option<Allowed> {
        let asked = Instant::now();
        if let Some(allowed) = self.find(target) {
            return Some(allowed);
        }
        let reread = self.reread.clone()?;
        let mut last = self.last.lock().await;
        if last.is_none_or(|last| last < asked) {
            if let Some(last) = *last {
                tokio::time::sleep_until(last + INTERVAL).await;
            }
            *last = Some(Instant::now());
            if let Ok(Some(rules)) = tokio::task::spawn_blocking(move || reread()).await {
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
            }
        }
        drop(last);
        self.find(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn target(text: &str) -> Target {
        Target::parse(text, None).expect("a target")
    }

    #[tokio::test]
    async fn a_list_that_grew_is_seen_and_not_read_for_everyone() {
        let reads = Arc::new(AtomicUsize::new(0));
        let count = reads.clone();
        let reread: Reread = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Some(Rule::list("late.example").expect("a list"))
        });
        let policy = Policy::new(false, Vec::new(), Some(reread));
        assert!(policy.decide(&target("late.example:443")).await.is_some());
        let denied: Vec<_> = (0..50)
            .map(|_| {
                let policy = policy.clone();
                tokio::spawn(async move { policy.decide(&target("no.example:443")).await })
            })
            .collect();
        for one in denied {
            assert!(one.await.expect("joins").is_none());
        }
        assert!(reads.load(Ordering::SeqCst) <= 3, "{reads:?}");
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_read_again_stays() {
        let policy = Policy::new(false, Rule::list("a.example").expect("a list"), Some(Arc::new(|| None)));
        assert!(policy.decide(&target("b.example:443")).await.is_none());
        assert!(policy.decide(&target("a.example:443")).await.is_some());
        assert!(Policy::new(true, Vec::new(), None).decide(&target("b.example:25")).await.is_some());
    }
}
