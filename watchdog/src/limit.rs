//! How many invocations are under way, and the most there may be (`max_inflight`).

use std::cell::Cell;
use std::rc::Rc;

/// Counts invocations. Cloning gives another handle to the same count.
#[derive(Clone)]
pub(crate) struct Limiter {
    under_way: Rc<Cell<usize>>,
    /// 0 is no limit.
    most: usize,
}

impl Limiter {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            under_way: Rc::default(),
            most,
        }
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Whether one more invocation would be too many.
    pub(crate) fn is_met(&self) -> bool {
        self.most > 0 && self.under_way.get() >= self.most
    }

    /// Counts one more invocation until the permit is dropped; `None` when that would be too many.
    pub(crate) fn admit(&self) -> Option<Permit> {
        (!self.is_met()).then(|| self.count())
    }

    /// Counts one more without asking: readiness checks are not limited.
    pub(crate) fn count(&self) -> Permit {
        self.under_way.set(self.under_way.get() + 1);
        Permit {
            under_way: self.under_way.clone(),
        }
    }
}

/// One invocation under way.
pub(crate) struct Permit {
    under_way: Rc<Cell<usize>>,
}

impl Permit {
    /// A second permit for the same invocation, which goes on after its answer's head (a tunnel).
    pub(crate) fn share(&self) -> Self {
        self.under_way.set(self.under_way.get() + 1);
        Self {
            under_way: self.under_way.clone(),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.under_way.set(self.under_way.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_counts_until_it_is_dropped() {
        let limiter = Limiter::new(1);
        let permit = limiter.admit().unwrap();
        assert!(limiter.admit().is_none());

        drop(permit);

        assert!(limiter.admit().is_some());
        assert_eq!(limiter.under_way(), 0);
    }

    #[test]
    fn without_a_limit_everyone_is_admitted_and_counted() {
        let limiter = Limiter::new(0);
        let permits: Vec<_> = (0..100).map(|_| limiter.admit().unwrap()).collect();

        assert_eq!(limiter.under_way(), permits.len());
        assert!(!limiter.is_met());
    }
}
