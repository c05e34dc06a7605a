//! Damaged texts: seeds from the repository's own programs, changed by bytes, by words and by the
//! pieces of their syntax trees.
//!
//! [`Corpus::mutant`] is a function of its number alone, so that every text can be made again.

mod fragments;

use fastrand::Rng;
use fragments::{Fragment, Kind, fragments};
use std::path::{Path, PathBuf};
use tcc_ir::span::SourceId;
use tcc_ir::text::token::{Token, tokens};

/// A text to be changed.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Where it comes from: a path and the line at which it begins.
    pub name: String,
    /// The text.
    pub text: String,
    /// True for a text that is meant to have mistakes.
    pub has_mistakes: bool,
    fragments: Vec<Fragment>,
    words: Vec<std::ops::Range<usize>>,
}

/// All seeds.
#[derive(Clone, Debug)]
pub struct Corpus {
    seeds: Vec<Seed>,
    /// Positions of the seeds without and with mistakes.
    sound: Vec<usize>,
    unsound: Vec<usize>,
}

/// A changed text.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number.
    pub number: u64,
    /// The name of its seed.
    pub seed: String,
    /// The text.
    pub text: String,
}

/// Words that stand in for others, beside those of the seeds.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "1e400",
    "1.5",
    "inf",
    "nan",
    "99999999999999999999",
    "i",
    "j",
    "k",
    "N",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "<",
    "&&",
    "||",
    "!",
    "=",
    "+=",
    "max=",
    "mean=",
    "=<maxplus>",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "?0",
    "|",
    "...",
    "..",
    "->",
    "@",
    "@drop",
    "@bcast",
    "fn",
    "let",
    "fix",
    "where",
    "in",
    "param",
    "inout",
    "einsum",
    "for",
    "if",
    "kernel",
    "sum[k]",
    "softmax[k]",
    "cumsum[k]",
    "argmax[k]",
    "f16",
    "i8",
    "u64",
    "bool",
    "c64",
    "cast",
    "select",
    "\n",
    "\"ij->i\"",
    "9223372036854775807",
    "1099511627776",
    "4096",
];

impl Corpus {
    /// Reads the seeds of this repository.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read() -> std::io::Result<Corpus> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for folder in ["tests/data/tir", "tests/cases", "examples/models", "ir-spec/std"] {
            collect(&root.join(folder), &mut files)?;
        }
        let mut seeds = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            let has_mistakes = name.contains("errors");
            for (line, part) in sections(&text) {
                seeds.push(Seed::new(format!("{name}:{line}"), part, has_mistakes));
            }
        }
        let pick = |bad: bool| {
            let picked = seeds.iter().enumerate().filter(move |(_, s)| s.has_mistakes == bad);
            picked.map(|(k, _)| k).collect()
        };
        let (sound, unsound) = (pick(false), pick(true));
        Ok(Corpus { seeds, sound, unsound })
    }

    /// The seeds.
    pub fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// The changed text of a number.
    pub fn mutant(&self, number: u64) -> Mutant {
        let mut rng = Rng::with_seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let seed = self.seed(&mut rng);
        let mut text = seed.text.clone();
        let mut words = seed.words.clone();
        let mut pieces = seed.fragments.clone();
        let changes = 1 + (0..2).filter(|_| rng.u8(..) < 64).count();
        for step in 0..changes {
            if step > 0 {
                words = word_ranges(&text);
                pieces = fragments(&text);
            }
            let changed = match rng.u8(..100) {
                0..12 => self.change_bytes(&text, &mut rng),
                12..45 => self.change_words(&text, &words, &mut rng),
                _ => self.change_tree(&text, &pieces, &mut rng),
            };
            text = changed.unwrap_or(text);
        }
        Mutant { number, seed: seed.name.clone(), text }
    }

    fn seed(&self, rng: &mut Rng) -> &Seed {
        let group = if rng.u8(..8) == 0 { &self.unsound } else { &self.sound };
        let place = rng.choice(group).copied().unwrap_or(0);
        &self.seeds[place]
    }

    fn change_bytes(&self, text: &str, rng: &mut Rng) -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        let at = rng.usize(..bytes.len().max(1));
        let byte = bytes.get_mut(at)?;
        match rng.u8(..6) {
            0 => *byte ^= 1 << rng.u8(..7),
            1 => *byte = rng.u8(..),
            2 => bytes.insert(at, rng.u8(32..127)),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => {
                let end = (at + rng.usize(1..40)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn change_words(
        &self,
        text: &str,
        words: &[std::ops::Range<usize>],
        rng: &mut Rng,
    ) -> Option<String> {
        let at = rng.choice(words)?.clone();
        let word = text.get(at.clone())?;
        Some(match rng.u8(..8) {
            0 => replace(text, &at, ""),
            1 => replace(text, &at, &format!("{word} {word}")),
            2 => {
                let other = rng.choice(words)?.clone();
                swap(text, &at, &other)?
            }
            3 => replace(text, &at, rng.choice(WORDS)?),
            4 => {
                let seed = self.seed(rng);
                let other = rng.choice(&seed.words)?.clone();
                replace(text, &at, seed.text.get(other)?)
            }
            5 => replace(text, &at, &format!("{word} {}", rng.choice(WORDS)?)),
            // Another word of the same text and the same kind.
            _ => {
                let class = |w: &str| w.chars().next().map(char::is_alphanumeric);
                let alike: Vec<&str> = words
                    .iter()
                    .filter_map(|r| text.get(r.clone()))
                    .filter(|w| class(w) == class(word) && *w != word)
                    .collect();
                replace(text, &at, rng.choice(alike)?)
            }
        })
    }

    fn change_tree(&self, text: &str, pieces: &[Fragment], rng: &mut Rng) -> Option<String> {
        let piece = rng.choice(pieces)?.clone();
        let old = text.get(piece.range.clone())?;
        let foreign = |rng: &mut Rng| -> Option<String> {
            let seed = self.seed(rng);
            let alike: Vec<_> = seed.fragments.iter().filter(|f| f.kind == piece.kind).collect();
            let other = rng.choice(alike)?;
            Some(seed.text.get(other.range.clone())?.to_owned())
        };
        let sibling = |rng: &mut Rng| -> Option<Fragment> {
            let alike: Vec<_> = pieces.iter().filter(|f| f.kind == piece.kind).collect();
            rng.choice(alike).cloned()
        };
        let new = match (piece.kind, rng.u8(..10)) {
            (_, 0) => foreign(rng)?,
            (_, 1) => {
                let other = sibling(rng)?;
                return swap(text, &piece.range, &other.range);
            }
            (_, 2..=4) => text.get(sibling(rng)?.range)?.to_owned(),
            (Kind::Statement, 5) => format!("{old}\n    {old}"),
            (Kind::Statement | Kind::Attribute, 6) => String::new(),
            (Kind::Statement, _) => return rename(text, &piece, pieces, rng),
            (Kind::Expression, _) => wrapped(old, rng),
            (Kind::Subscript, _) => subscript(old, rng),
            (Kind::Literal, _) => {
                rng.choice(["0", "1", "7", "1e30", "18446744073709551616"])?.into()
            }
            (Kind::Extent, _) => {
                rng.choice(["0", "1", "N", "2*N", "N/2", "1099511627776", "N%3"])?.into()
            }
            (Kind::ElementType, _) => {
                rng.choice(["f64", "f32", "f16", "i8", "i64", "u32", "bool", "c64"])?.into()
            }
            (Kind::Attribute, _) => rng.choice(["@bcast", "@acc(f64)", "@drop", "@exact"])?.into(),
        };
        Some(replace(text, &piece.range, &new))
    }
}

impl Seed {
    fn new(name: String, text: String, has_mistakes: bool) -> Seed {
        let (fragments, words) = (fragments(&text), word_ranges(&text));
        Seed { name, text, has_mistakes, fragments, words }
    }
}

fn wrapped(e: &str, rng: &mut Rng) -> String {
    match rng.u8(..10) {
        0 => format!("-{e}"),
        1 => format!("({e})"),
        2 => format!("exp({e})"),
        3 => format!("({e} + {e})"),
        4 => format!("{e} * {e}"),
        5 => format!("sum[k]({e})"),
        6 => format!("({e}) / ({e})"),
        7 => format!("[{e} > 0]"),
        8 => format!("({e})^2"),
        _ => format!("select({e} > 0, {e}, 1)"),
    }
}

fn subscript(e: &str, rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => format!("{e}+1"),
        1 => format!("{e}-1"),
        2 => format!("2*({e})"),
        3 => format!("({e})/2"),
        4 => format!("{e} in 4"),
        5 => format!("({e})%3"),
        6 => "0".to_owned(),
        _ => "...".to_owned(),
    }
}

/// The statement with one of its names spelled like another one of it.
fn rename(text: &str, piece: &Fragment, pieces: &[Fragment], rng: &mut Rng) -> Option<String> {
    let old = text.get(piece.range.clone())?;
    let inside = |f: &&Fragment| {
        f.kind == Kind::Subscript
            && piece.range.start <= f.range.start
            && f.range.end <= piece.range.end
    };
    let is_name = |s: &&str| s.chars().all(|c| c.is_alphanumeric() || c == '_');
    let names: Vec<&str> = pieces
        .iter()
        .filter(inside)
        .filter_map(|f| text.get(f.range.clone()))
        .filter(is_name)
        .collect();
    let (from, to) = (*rng.choice(&names)?, *rng.choice(&names)?);
    let mut renamed = String::new();
    let mut at = 0;
    for word in word_ranges(old) {
        renamed.push_str(old.get(at..word.start)?);
        let spelled = old.get(word.clone())?;
        renamed.push_str(if spelled == from { to } else { spelled });
        at = word.end;
    }
    renamed.push_str(old.get(at..)?);
    Some(replace(text, &piece.range, &renamed))
}

fn replace(text: &str, at: &std::ops::Range<usize>, with: &str) -> String {
    let mut out = text.to_owned();
    out.replace_range(at.clone(), with);
    out
}

/// The text with two pieces exchanged; `None` if they overlap.
fn swap(text: &str, a: &std::ops::Range<usize>, b: &std::ops::Range<usize>) -> Option<String> {
    let (a, b) = if a.start <= b.start { (a, b) } else { (b, a) };
    if b.start < a.end {
        return None;
    }
    let parts = [text.get(..a.start), text.get(b.clone()), text.get(a.end..b.start)];
    let rest = [text.get(a.clone()), text.get(b.end..)];
    parts.into_iter().chain(rest).collect()
}

fn word_ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    let lexed = tokens(text, SourceId::default());
    let words = lexed.words.into_iter().filter(|(l, t, r)| *t != Token::End && l < r);
    words.map(|(l, _, r)| l as usize..r as usize).collect()
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder)?.collect();
    let mut paths: Vec<PathBuf> = entries?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "tir") {
            out.push(path);
        }
    }
    Ok(())
}

/// The texts of a case file with the lines they begin at, without the expected output between them.
fn sections(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut fresh = true;
    for (k, line) in text.lines().enumerate() {
        if line.starts_with("//~") {
            fresh = true;
            continue;
        }
        if std::mem::take(&mut fresh) {
            out.push((k + 1, String::new()));
        }
        if let Some((_, part)) = out.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    out.retain(|(_, part)| !part.trim().is_empty());
    out
}
