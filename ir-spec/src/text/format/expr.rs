//! Expressions as text.

use crate::text::ast::{Einsum, Expr, ExprKind, Name, ProductOp, Sub};

/// An expression; `tight` leaves out the spaces around operators, as inside subscripts.
pub(super) fn expr(e: &Expr, tight: bool) -> String {
    let join = |op: &str, parts: &[Expr]| {
        parts.iter().map(|p| expr(p, tight)).collect::<Vec<_>>().join(&spaced(op, tight))
    };
    match &e.kind {
        ExprKind::Int(s) | ExprKind::Float(s) | ExprKind::Name(s) => s.clone(),
        ExprKind::Access { name, subs: list, default } => {
            let default =
                default.as_ref().map_or(String::new(), |d| format!("?{}", expr(d, tight)));
            format!("{}[{}]{default}", name.text, subs(list, ","))
        }
        ExprKind::Reduce { name, vars, pred, body } => {
            let pred = pred.as_ref().map_or(String::new(), |p| format!(" | {}", expr(p, false)));
            let separator = if pred.is_empty() { "," } else { ", " };
            format!("{}[{}{pred}]({})", name.text, subs(vars, separator), expr(body, false))
        }
        ExprKind::Call { name, args, sizes } => {
            let named = sizes.iter().map(|(n, e)| format!("{}={}", n.text, expr(e, false)));
            let args: Vec<String> = args.iter().map(|a| expr(a, false)).chain(named).collect();
            format!("{}({})", name.text, args.join(", "))
        }
        ExprKind::Einsum { equation, args } => {
            let args: String = args.iter().map(|a| format!(", {}", expr(a, false))).collect();
            format!("einsum({}{args})", einsum(equation))
        }
        ExprKind::Neg(a) => format!("-{}", expr(a, tight)),
        ExprKind::Not(a) => format!("!{}", expr(a, tight)),
        ExprKind::Sum(_) => terms_of(e, tight).concat(),
        ExprKind::Product(factors) => product(factors, tight),
        ExprKind::Power(a, b) => format!("{}^{}", expr(a, tight), expr(b, tight)),
        ExprKind::Compare(op, a, b) => {
            format!("{}{}{}", expr(a, tight), spaced(op.text(), tight), expr(b, tight))
        }
        ExprKind::And(parts) => join("&&", parts),
        ExprKind::Or(parts) => join("||", parts),
        ExprKind::Indicator(p) => format!("[{}]", expr(p, false)),
        ExprKind::Paren(a) => format!("({})", expr(a, tight)),
        ExprKind::Pattern(n) => format!("?{}", n.text),
        ExprKind::Error => String::new(),
    }
}

/// Subscripts or reduction variables.
pub(super) fn subs(list: &[Sub], separator: &str) -> String {
    let one = |s: &Sub| match s {
        Sub::Expr(e) => expr(e, true),
        Sub::Domain(n, e) => format!("{} in {}", n.text, expr(e, true)),
        Sub::Ellipsis(_) => "...".to_owned(),
    };
    list.iter().map(one).collect::<Vec<_>>().join(separator)
}

/// The pieces between which a long right side may be broken: the terms of its outermost sum or
/// disjunction, each but the first led by its operator.
pub(super) fn terms(e: &Expr) -> Vec<String> {
    match &e.kind {
        ExprKind::Sum(_) => {
            terms_of(e, false).into_iter().map(|t| t.trim_start().to_owned()).collect()
        }
        ExprKind::Or(parts) => parts
            .iter()
            .enumerate()
            .map(|(k, p)| format!("{}{}", if k == 0 { "" } else { "|| " }, expr(p, false)))
            .collect(),
        _ => vec![expr(e, false)],
    }
}

fn terms_of(e: &Expr, tight: bool) -> Vec<String> {
    let ExprKind::Sum(terms) = &e.kind else { return vec![expr(e, tight)] };
    terms
        .iter()
        .enumerate()
        .map(|(k, (negative, term))| match (k, negative) {
            (0, _) => expr(term, tight),
            (_, true) => format!("{}{}", spaced("-", tight), expr(term, tight)),
            (_, false) => format!("{}{}", spaced("+", tight), expr(term, tight)),
        })
        .collect()
}

fn product(factors: &[(ProductOp, Expr)], tight: bool) -> String {
    let mut out = String::new();
    for (k, (op, factor)) in factors.iter().enumerate() {
        if k > 0 {
            let op = match op {
                ProductOp::Mul => "*",
                ProductOp::Div => "/",
                ProductOp::Rem => "%",
            };
            out.push_str(&spaced(op, tight));
        }
        out.push_str(&expr(factor, tight));
    }
    out
}

fn spaced(op: &str, tight: bool) -> String {
    if tight { op.to_owned() } else { format!(" {op} ") }
}

fn einsum(equation: &Einsum) -> String {
    match equation {
        Einsum::Text(s, _) => format!("\"{s}\""),
        Einsum::Labels { inputs, output } => {
            let inputs: Vec<String> = inputs.iter().map(|l| labels(l)).collect();
            format!("{} -> {}", inputs.join(","), labels(output))
        }
    }
}

fn labels(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
    format!("[{}]", names.join(" "))
}
