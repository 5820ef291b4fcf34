//! The check that [`text!`](crate::text) makes while its caller is compiled: the English texts have the
//! key, and the caller gives every parameter that they use.
//!
//! Reads just enough of Project Fluent's syntax: a message begins with its key at the start of a line, the
//! indented lines below belong to it, and an indented `.name =` begins an attribute.

use crate::language::ENGLISH;

/// # Panics
/// Of a constant, which is a compile error: when there is no such key, or a parameter is missing.
pub const fn require(key: &str, given: &[&str]) {
    require_in(ENGLISH.as_bytes(), key.as_bytes(), given);
}

const fn require_in(texts: &[u8], key: &[u8], given: &[&str]) {
    let dot = find(key, 0, b'.');
    let id = key.split_at(dot).0;
    let mut start = 0;
    while start < texts.len() && !begins_entry(texts, start, id) {
        start = find(texts, start, b'\n') + 1;
    }
    assert!(start < texts.len(), "texts/en.ftl has no such key");
    if dot < key.len() {
        let attribute = key.split_at(dot).1;
        start = find(texts, start, b'\n') + 1;
        while is_indented(texts, start) && !begins_entry(texts, start + INDENT, attribute) {
            start = find(texts, start, b'\n') + 1;
        }
        assert!(is_indented(texts, start), "the text has no such attribute");
    }
    require_parameters(texts, start, given);
}

const INDENT: usize = 4;

/// Each parameter of the entry at `start`, which ends before the next attribute or message.
const fn require_parameters(texts: &[u8], start: usize, given: &[&str]) {
    let mut at = start;
    loop {
        let end = find(texts, at, b'\n');
        while at < end {
            if texts[at] == b'$' {
                let name = at + 1;
                assert!(
                    is_given(texts, name, given),
                    "the text has a parameter that is not given"
                );
            }
            at += 1;
        }
        at = end + 1;
        if !is_indented(texts, at) || texts[at + INDENT] == b'.' {
            return;
        }
    }
}

const fn is_given(texts: &[u8], name: usize, given: &[&str]) -> bool {
    let mut index = 0;
    while index < given.len() {
        let candidate = given[index].as_bytes();
        let end = name + candidate.len();
        if begins_with(texts, name, candidate) && !is_name_byte(texts[end]) {
            return true;
        }
        index += 1;
    }
    false
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether `name =` stands here.
const fn begins_entry(texts: &[u8], at: usize, name: &[u8]) -> bool {
    begins_with(texts, at, name) && begins_with(texts, at + name.len(), b" =")
}

const fn is_indented(texts: &[u8], at: usize) -> bool {
    begins_with(texts, at, b"    ")
}

const fn begins_with(texts: &[u8], at: usize, prefix: &[u8]) -> bool {
    if at + prefix.len() > texts.len() {
        return false;
    }
    let mut index = 0;
    while index < prefix.len() {
        if texts[at + index] != prefix[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Where `byte` is next; the end when it is nowhere.
const fn find(bytes: &[u8], mut at: usize, byte: u8) -> usize {
    while at < bytes.len() && bytes[at] != byte {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[u8] = b"# A comment.
plain = Done.
plain-more = More of { $count }.
    .suggestion = Look at { $side ->
        [left] the left
       *[right] { $other }
    }.
last = { $count_of_all } and so on.
";

    fn is_accepted(key: &str, given: &[&str]) -> bool {
        std::panic::catch_unwind(|| require_in(TEXTS, key.as_bytes(), given)).is_ok()
    }

    #[test]
    fn keys_and_attributes_must_be_there() {
        assert!(is_accepted("plain", &[]));
        assert!(!is_accepted("plai", &[]));
        assert!(!is_accepted("missing", &[]));
        assert!(!is_accepted("plain.suggestion", &[]));
        assert!(!is_accepted(
            "plain-more.title",
            &["count", "side", "other"]
        ));
    }

    #[test]
    fn each_parameter_must_be_given() {
        assert!(is_accepted("plain-more", &["count"]));
        assert!(!is_accepted("plain-more", &["side"]));
        assert!(is_accepted("plain-more.suggestion", &["side", "other"]));
        assert!(!is_accepted("plain-more.suggestion", &["side"]));
        assert!(!is_accepted("last", &["count"]));
        assert!(is_accepted("last", &["count_of_all"]));
    }
}
