//! Words of the text format, and where statements end.
//!
//! [`tokens`] returns a balanced stream: brackets that do not match are reported and mended here,
//! so that the parser sees one mistake where the user made one. A [`Token::End`] closes each
//! statement: at a newline at bracket depth 0 inside braces, unless the line ends with, or the next
//! begins with, a binary operator, `where` or `@`.

use crate::diag::{Code, Diagnostic};
use crate::span::{SourceId, Span};
use logos::Logos;
use std::fmt;

/// A word of the text format.
#[derive(Clone, Copy, Debug, PartialEq, Logos)]
#[logos(skip r"[ \t\r\u{feff}]+")]
#[expect(missing_docs, reason = "each variant is described by its spelling")]
pub enum Token<'s> {
    #[token("fn")]
    Fn,
    #[token("kernel")]
    Kernel,
    #[token("program")]
    Program,
    #[token("schedule")]
    Schedule,
    #[token("intrin")]
    Intrin,
    #[token("rule")]
    Rule,
    #[token("semiring")]
    Semiring,
    #[token("let")]
    Let,
    #[token("fix")]
    Fix,
    #[token("where")]
    Where,
    #[token("in")]
    In,
    #[token("param")]
    Param,
    #[token("inout")]
    Inout,
    #[token("einsum")]
    Einsum,
    #[token("for")]
    For,
    #[token("block")]
    Block,
    #[token("init")]
    Init,
    #[token("if")]
    If,
    #[token("else")]
    Else,
    #[token("alloc")]
    Alloc,
    #[token("repeat")]
    Repeat,
    #[token("until")]
    Until,
    #[token("buffer")]
    Buffer,
    #[token("call")]
    Call,
    #[token("unsafe")]
    Unsafe,
    #[regex(r"[\p{XID_Start}_]\p{XID_Continue}*")]
    Name(&'s str),
    #[regex(r"(workgroup|invocation)\.[xyz]")]
    Axis(&'s str),
    #[regex(r"[0-9][0-9_]*|0x[0-9a-fA-F_]+")]
    Int(&'s str),
    #[regex(r"[0-9][0-9_]*\.[0-9]+([eE][+-]?[0-9]+)?|[0-9][0-9_]*[eE][+-]?[0-9]+|0x[0-9a-fA-F]+(\.[0-9a-fA-F]+)?p[+-]?[0-9]+")]
    Float(&'s str),
    #[regex(r#""[^"\n]*""#)]
    Str(&'s str),
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("^")]
    Caret,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<=")]
    LessEq,
    #[token(">=")]
    GreaterEq,
    #[token("<")]
    Less,
    #[token(">")]
    Greater,
    #[token("&&")]
    AndAnd,
    #[token("||")]
    OrOr,
    #[token("!")]
    Bang,
    #[token("=")]
    Eq,
    #[token("+=")]
    PlusEq,
    #[token("(")]
    OpenParen,
    #[token(")")]
    CloseParen,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("?")]
    Question,
    #[token("|")]
    Bar,
    #[token("...")]
    Ellipsis,
    #[token("..")]
    DotDot,
    #[token("->")]
    Arrow,
    #[token("=>")]
    FatArrow,
    #[token("@")]
    At,
    #[regex(r"//[^\n]*", allow_greedy = true)]
    Comment(&'s str),
    #[token("\n")]
    Newline,
    /// The end of a statement; never lexed, inserted by [`tokens`].
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Name(s) | Token::Axis(s) | Token::Int(s) | Token::Float(s) | Token::Str(s) => {
                write!(f, "`{s}`")
            }
            Token::End | Token::Newline => f.write_str("end of line"),
            Token::Comment(_) => f.write_str("a comment"),
            other => write!(f, "`{}`", other.spelling()),
        }
    }
}

impl Token<'_> {
    /// The fixed spelling of a keyword or symbol, read off the lexer by spelling it back.
    fn spelling(&self) -> &'static str {
        const FIXED: &[&str] = &[
            "fn", "kernel", "program", "schedule", "intrin", "rule", "semiring", "let", "fix",
            "where", "in", "param", "inout", "einsum", "for", "block", "init", "if", "else",
            "alloc", "repeat", "until", "buffer", "call", "unsafe", "+", "-", "*", "/", "%", "^",
            "==", "!=", "<=", ">=", "<", ">", "&&", "||", "!", "=", "+=", "(", ")", "[", "]", "{",
            "}", ",", ":", "?", "|", "...", "..", "->", "=>", "@",
        ];
        let same = |text: &&&str| Token::lexer(text).next() == Some(Ok(*self));
        FIXED.iter().find(same).copied().unwrap_or("?")
    }

    /// True for operators that need an operand on both sides: a line that ends or begins with one
    /// goes on.
    fn is_binary_operator(&self) -> bool {
        matches!(
            self,
            Token::Plus
                | Token::Minus
                | Token::Star
                | Token::Slash
                | Token::Percent
                | Token::Caret
                | Token::EqEq
                | Token::NotEq
                | Token::LessEq
                | Token::GreaterEq
                | Token::Less
                | Token::Greater
                | Token::AndAnd
                | Token::OrOr
        )
    }

    /// True for words that end a line without ending the statement.
    fn leaves_open(&self) -> bool {
        self.is_binary_operator()
            || matches!(
                self,
                Token::Eq
                    | Token::PlusEq
                    | Token::Comma
                    | Token::Arrow
                    | Token::Where
                    | Token::Else
            )
    }

    /// True for words that continue the previous line's statement.
    fn continues(&self) -> bool {
        self.is_binary_operator() || matches!(self, Token::Where | Token::At)
    }
}

/// A word with its place.
pub type Spanned<'s> = (u32, Token<'s>, u32);

/// A comment with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands.
    pub span: Span,
    /// Its text, `//` included.
    pub text: String,
    /// True if code precedes it on its line.
    pub trailing: bool,
}

/// The words of a text, its comments, and what is wrong with its characters and brackets.
#[derive(Default)]
pub struct Lexed<'s> {
    /// Balanced words with statement ends.
    pub words: Vec<Spanned<'s>>,
    /// Comments in order.
    pub comments: Vec<Comment>,
    /// Mistakes.
    pub errors: Vec<Diagnostic>,
    /// What stands inside of parentheses and square brackets that are not closed.
    pub mended: Vec<std::ops::Range<u32>>,
}

/// Nesting deeper than this is refused: later stages recurse over the tree.
pub const MAX_DEPTH: usize = 256;

/// Splits a text into words; see the module's documentation.
pub fn tokens(text: &str, source: SourceId) -> Lexed<'_> {
    let mut layout = Layout::default();
    let mut line_start = true;
    for (word, range) in Token::lexer(text).spanned() {
        let (start, end) = (range.start as u32, range.end as u32);
        let span = Span { source, start, end };
        match word {
            Ok(Token::Comment(text)) => {
                let text = text.trim_end().to_owned();
                layout.out.comments.push(Comment { span, text, trailing: !line_start });
            }
            Ok(Token::Newline) => {
                layout.newline = true;
                line_start = true;
            }
            Ok(token) => {
                layout.push(token, span, line_start);
                line_start = false;
            }
            Err(()) => {
                layout.out.errors.push(unexpected_character(text.get(range).unwrap_or(""), span));
                layout.broken = true;
                line_start = false;
            }
        }
    }
    layout.finish(text.len() as u32);
    layout.out
}

/// The diagnostic for what begins no word, with what may have been meant.
fn unexpected_character(found: &str, span: Span) -> Diagnostic {
    if found.starts_with('"') {
        return Diagnostic::new(Code::Parse, span, "the string is not closed")
            .help("a string ends with `\"` on the line where it begins");
    }
    let what = format!("unexpected character `{}`", found.escape_debug());
    let d = Diagnostic::new(Code::Parse, span, what);
    let meant = match found {
        ";" => return d.help("a statement ends with its line"),
        "#" => return d.help("a comment begins with `//`"),
        "." => return d.help("a number has digits on both sides of one point"),
        "\u{d7}" | "\u{b7}" | "\u{22c5}" => "*",
        "\u{f7}" => "/",
        "\u{2212}" | "\u{2013}" | "\u{2014}" => "-",
        "\u{2264}" => "<=",
        "\u{2265}" => ">=",
        "\u{2260}" => "!=",
        "\u{2192}" => "->",
        "&" | "\u{2227}" => "&&",
        "\u{2228}" => "||",
        "~" | "\u{ac}" => "!",
        "'" | "`" | "\u{2018}" | "\u{2019}" | "\u{201c}" | "\u{201d}" => "\"",
        _ => return d,
    };
    d.help(format!("write `{meant}`"))
}

#[derive(Default)]
struct Layout<'s> {
    out: Lexed<'s>,
    open: Vec<(Token<'s>, Span)>,
    newline: bool,
    /// The line has characters that belong to no word: the statement ends with it.
    broken: bool,
    too_deep: bool,
}

impl<'s> Layout<'s> {
    fn push(&mut self, token: Token<'s>, span: Span, line_start: bool) {
        if line_start && token == Token::Fn {
            self.close_all(span.start);
        }
        let newline = std::mem::take(&mut self.newline);
        let broken = newline && std::mem::take(&mut self.broken);
        if newline && self.in_braces() {
            if broken {
                self.force_end(span.start);
            } else if !token.continues() {
                self.end_statement(span.start);
            }
        }
        match token {
            Token::OpenParen | Token::OpenBracket | Token::OpenBrace => {
                self.open.push((token, span));
                if self.open.len() == MAX_DEPTH + 1 && !self.too_deep {
                    self.too_deep = true;
                    self.out.errors.push(super::too_deep(span));
                }
            }
            Token::CloseParen | Token::CloseBracket | Token::CloseBrace
                if !self.close(token, span) =>
            {
                return;
            }
            _ => {}
        }
        self.out.words.push((span.start, token, span.end));
    }

    fn in_braces(&self) -> bool {
        self.open.last().is_some_and(|(t, _)| *t == Token::OpenBrace)
    }

    /// Ends the current statement unless nothing was begun or the last word asks for more.
    fn end_statement(&mut self, at: u32) {
        let begun = self.out.words.last().is_some_and(|(_, last, _)| {
            !matches!(last, Token::OpenBrace | Token::End) && !last.leaves_open()
        });
        if begun {
            self.push_end(at);
        }
    }

    /// Handles a closing bracket; false if it matches nothing and is dropped.
    fn close(&mut self, token: Token<'s>, span: Span) -> bool {
        let wanted = opener(token);
        let Some(at) = self.open.iter().rposition(|(t, _)| *t == wanted) else {
            let what = format!("{token} closes nothing");
            self.out.errors.push(Diagnostic::new(Code::Parse, span, what));
            return false;
        };
        // A closing parenthesis does not reach out of a brace.
        let crosses_brace = self.open.iter().skip(at + 1).any(|(t, _)| *t == Token::OpenBrace);
        if crosses_brace && token != Token::CloseBrace {
            let what = format!("{token} closes nothing");
            self.out.errors.push(Diagnostic::new(Code::Parse, span, what));
            return false;
        }
        while self.open.len() > at + 1 {
            self.mend_unclosed(span.start);
        }
        if token == Token::CloseBrace {
            self.force_end(span.start);
        }
        self.open.pop();
        true
    }

    /// Reports the innermost open bracket and inserts its partner.
    fn mend_unclosed(&mut self, at: u32) {
        let Some((token, span)) = self.open.pop() else { return };
        let what = format!("{token} is not closed");
        let d = Diagnostic::new(Code::Parse, span, what);
        self.out.errors.push(d.help(format!("add {}", closer(token))));
        if token == Token::OpenBrace {
            self.force_end(at);
        } else {
            self.out.mended.push(span.start..at + 1);
        }
        self.out.words.push((at, closer(token), at));
    }

    /// Ends a statement even if its last word asks for more.
    fn force_end(&mut self, at: u32) {
        let last = self.out.words.last().map(|(_, t, _)| *t);
        if !matches!(last, Some(Token::OpenBrace | Token::End)) {
            self.push_end(at);
        }
    }

    /// An end right behind the last word.
    fn push_end(&mut self, at: u32) {
        let at = self.out.words.last().map_or(at, |(_, _, end)| *end);
        self.out.words.push((at, Token::End, at));
    }

    fn close_all(&mut self, at: u32) {
        while !self.open.is_empty() {
            self.mend_unclosed(at);
        }
    }

    fn finish(&mut self, at: u32) {
        self.close_all(at);
    }
}

fn opener(token: Token<'_>) -> Token<'static> {
    match token {
        Token::CloseParen => Token::OpenParen,
        Token::CloseBracket => Token::OpenBracket,
        _ => Token::OpenBrace,
    }
}

fn closer(token: Token<'_>) -> Token<'static> {
    match token {
        Token::OpenParen => Token::CloseParen,
        Token::OpenBracket => Token::CloseBracket,
        _ => Token::CloseBrace,
    }
}
