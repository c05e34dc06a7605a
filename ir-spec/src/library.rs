//! The standard library: `.tir` functions that programs may call by name.

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
    let head = format!("\nfn {name}(");
    SCALAR.into_iter().find_map(|text| {
        let rest = text.get(text.find(&head)? + 1..)?;
        let end = rest.find("\n}").map_or(rest.len(), |at| at + 2);
        rest.get(..end)
    })
}

/// Names that stand after `fn` at the start of a line.
fn declared(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter_map(|line| {
        let rest = line.strip_prefix("fn ")?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
}
