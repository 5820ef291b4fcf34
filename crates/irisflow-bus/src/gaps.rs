//! Detects lost messages. Every node numbers the messages that it publishes; a hole in the numbers of a node means
//! that some were lost: by a slow subscriber, a broken connection, or an overflow at the sender.

use std::collections::HashMap;

/// Nodes come and go; beyond this many the numbers of all are forgotten.
const MAX_NODES: usize = 4096;

/// The last message of each node.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    last: HashMap<u64, u64>,
}

impl Gaps {
    /// Takes note of a message. Whether messages before it are missing.
    pub(crate) fn is_after_gap(&mut self, node: u64, number: u64) -> bool {
        if self.last.len() >= MAX_NODES && !self.last.contains_key(&node) {
            self.last.clear();
        }
        let last = self.last.insert(node, number).unwrap_or(0);
        number > last + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_in_the_numbers_of_a_node_is_a_gap() {
        let mut gaps = Gaps::default();
        assert!(!gaps.is_after_gap(1, 1));
        assert!(!gaps.is_after_gap(2, 1));
        assert!(!gaps.is_after_gap(1, 2));
        assert!(gaps.is_after_gap(1, 4));
        assert!(!gaps.is_after_gap(1, 5));
        assert!(!gaps.is_after_gap(2, 2));
    }

    #[test]
    fn the_messages_before_the_first_one_of_a_node_may_have_been_lost() {
        assert!(Gaps::default().is_after_gap(1, 7));
    }

    #[test]
    fn nodes_do_not_accumulate() {
        let mut gaps = Gaps::default();
        for node in 0..3 * MAX_NODES as u64 {
            gaps.is_after_gap(node, 1);
        }
        assert!(gaps.last.len() <= MAX_NODES);
    }
}
