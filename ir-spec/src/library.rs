//! The standard library: `.tir` functions that programs may call by name, and the declarations of
//! the runtime's intrinsics.

use crate::intrinsic::Intrinsic;
use crate::text::read_intrinsics;

/// File name and text of each theme.
const FILES: [(&str, &str); 9] = [
    ("std/scalar_nn.tir", include_str!("../std/scalar_nn.tir")),
    ("std/softmax.tir", include_str!("../std/softmax.tir")),
    ("std/reduce.tir", include_str!("../std/reduce.tir")),
    ("std/norm.tir", include_str!("../std/norm.tir")),
    ("std/linear.tir", include_str!("../std/linear.tir")),
    ("std/attention.tir", include_str!("../std/attention.tir")),
    ("std/conv.tir", include_str!("../std/conv.tir")),
    ("std/pool.tir", include_str!("../std/pool.tir")),
    ("std/loss.tir", include_str!("../std/loss.tir")),
];

/// The file that declares a function of this name, and its text.
pub fn find(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.into_iter().find(|(_, text)| declared(text).any(|n| n == name))
}

/// Names of all functions of the library.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().flat_map(|(_, text)| declared(text))
}

/// Expansions of scalar functions, one function after the other, by theme.
const SCALAR: [&str; 4] = [
    include_str!("../std/scalar_exp.tir"),
    include_str!("../std/scalar_log.tir"),
    include_str!("../std/scalar_trig.tir"),
    include_str!("../std/scalar_erf.tir"),
];

/// The text of one function of `std/scalar_*.tir`, for example `exp_f32`.
pub fn scalar_text(name: &str) -> Option<&'static str> {
    item(&SCALAR, "fn ", name)
}

/// Declarations of the runtime's intrinsics, one after the other, by theme.
const INTRINSICS: [&str; 8] = [
    include_str!("../intrinsics/arithmetic.tir"),
    include_str!("../intrinsics/cast.tir"),
    include_str!("../intrinsics/math.tir"),
    include_str!("../intrinsics/reduction.tir"),
    include_str!("../intrinsics/packing.tir"),
    include_str!("../intrinsics/contraction.tir"),
    include_str!("../intrinsics/semiring.tir"),
    include_str!("../intrinsics/dot.tir"),
];

/// All intrinsics of the runtime.
pub fn intrinsics() -> impl Iterator<Item = Intrinsic> {
    INTRINSICS.into_iter().flat_map(read_intrinsics)
}

/// Their names.
pub fn intrinsic_names() -> impl Iterator<Item = &'static str> {
    INTRINSICS.into_iter().flat_map(|text| items(text, "intrin "))
}

/// The intrinsic of this name.
pub fn intrinsic(name: &str) -> Option<Intrinsic> {
    let text = item(&INTRINSICS, "intrin ", name)?;
    read_intrinsics(text).pop()
}

/// The text of the item of this name, from its keyword to the `}` at the start of a line.
fn item(files: &[&'static str], keyword: &str, name: &str) -> Option<&'static str> {
    let head = format!("\n{keyword}{name}");
    files.iter().find_map(|text| {
        let (at, _) = text.match_indices(&head).find(|(at, _)| {
            let next = text.get(at + head.len()..).and_then(|rest| rest.chars().next());
            next.is_some_and(|c| !is_name(c))
        })?;
        let rest = text.get(at + 1..)?;
        let end = rest.find("\n}").map_or(rest.len(), |at| at + 2);
        rest.get(..end)
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Names of functions.
fn declared(text: &'static str) -> impl Iterator<Item = &'static str> {
    items(text, "fn ")
}

/// Names that stand after a keyword at the start of a line.
fn items(text: &'static str, keyword: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(keyword)?;
        rest.split(|c: char| !is_name(c)).next()
    })
}
