//! Places in source text.

use cranelift_entity::entity_impl;

/// One source text: the user's file or a file of the standard library.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SourceId(u32);
entity_impl!(SourceId, "source");

/// A byte range of a source text. Two spans always compare equal: where a construct was written is
/// not part of what it is, so IR nodes compare without their positions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Which text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

impl Span {
    /// The range from the start of `self` to the end of `other`; `self` if that is in another text.
    pub fn to(self, other: Span) -> Span {
        if self.source != other.source {
            return self;
        }
        Span { source: self.source, start: self.start, end: other.end.max(self.start) }
    }

    /// The range as `usize` bounds.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The texts that spans refer to.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<(String, String)>,
}

impl Sources {
    /// Adds a text under a name (a path, `<command line>`, `std/nn.tir`).
    pub fn add(&mut self, name: &str, text: &str) -> SourceId {
        self.texts.push((name.to_owned(), text.to_owned()));
        SourceId(self.texts.len() as u32 - 1)
    }

    /// Name and text of a source; a foreign id gives empty strings.
    pub fn get(&self, id: SourceId) -> (&str, &str) {
        self.texts.get(id.0 as usize).map_or(("", ""), |(n, t)| (n.as_str(), t.as_str()))
    }

    /// Line and column (both from 1, columns in characters) of a byte offset.
    pub fn line_column(&self, id: SourceId, offset: u32) -> (usize, usize) {
        let text = self.get(id).1;
        let before = text.get(..offset as usize).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}
