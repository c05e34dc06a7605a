//! Keys and bytes of entries.

use std::fmt;

/// First bytes of an entry: a name and the number of the format.
const MAGIC: &[u8; 8] = b"TCCE\x01\0\0\0";
/// Bytes of a key, and of a checksum.
const HASH: usize = 32;
/// Bytes before the content.
const HEADER: usize = MAGIC.len() + 2 * HASH + 8;

/// What an entry was made from, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; HASH]);

impl Key {
    /// The key of these parts, in order.
    pub(crate) fn of(parts: &[&str]) -> Key {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            // With its length, so that no two lists of parts are hashed alike.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Key(*hasher.finalize().as_bytes())
    }

    /// The key of a text of the program of this key.
    pub(crate) fn of_text(&self, text: &str) -> Key {
        Key::of(&[&self.to_string(), text])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An entry: magic, key, length of the content, checksum of all of these and the content.
pub(super) fn encode(key: &Key, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let sum = checksum(key, &length, content);
    [MAGIC, &key.0[..], &length, &sum, content].concat()
}

/// The content of an entry; `None` unless every byte is as it was written under this key.
pub(super) fn decode<'b>(bytes: &'b [u8], key: &Key) -> Option<&'b [u8]> {
    let (header, content) = bytes.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (found, rest) = rest.split_at(HASH);
    let (length, sum) = rest.split_at(size_of::<u64>());
    let whole = magic == MAGIC
        && found == key.0
        && length == (content.len() as u64).to_le_bytes()
        && sum == checksum(key, length, content);
    whole.then_some(content)
}

fn checksum(key: &Key, length: &[u8], content: &[u8]) -> [u8; HASH] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(MAGIC).update(&key.0).update(length).update(content);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_parts_apart() {
        assert_eq!(Key::of(&["a", "b"]), Key::of(&["a", "b"]));
        assert_ne!(Key::of(&["a", "b"]), Key::of(&["ab", ""]));
        assert_ne!(Key::of(&["a"]), Key::of(&["a", ""]));
        assert_eq!(Key::of(&[]).to_string().len(), 64);
    }
}
