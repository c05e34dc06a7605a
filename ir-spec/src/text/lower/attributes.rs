//! `@` attributes of equations.

use super::{ModuleCx, Reported, unknown_name};
use crate::diag::{Code, Diagnostic};
use crate::graph::Attributes;
use crate::text::ast::{Attr, AttrArg, ExprKind};
use tcc_abi::DType;

const NAMES: [&str; 11] = [
    "acc",
    "tol",
    "csr",
    "coo",
    "budget",
    "slice",
    "path",
    "bcast",
    "exact",
    "drop",
    "reassociate",
];

/// Reads the attributes of an equation.
pub(super) fn read(module: &mut ModuleCx, attrs: &[Attr]) -> Result<Attributes, Reported> {
    let mut out = Attributes::default();
    for a in attrs {
        let flag = match a.name.text.as_str() {
            "bcast" => Some(&mut out.bcast),
            "exact" => Some(&mut out.exact),
            "drop" => Some(&mut out.drop),
            "reassociate" => Some(&mut out.reassociate),
            _ => None,
        };
        match flag {
            Some(flag) if a.args.is_empty() => *flag = true,
            Some(_) => return Err(misused(module, a, "takes no argument")),
            None => valued(module, a, &mut out)?,
        }
    }
    Ok(out)
}

fn valued(module: &mut ModuleCx, a: &Attr, out: &mut Attributes) -> Result<(), Reported> {
    let name_of = |arg: &AttrArg| match arg {
        AttrArg::Expr(e) => match &e.kind {
            ExprKind::Name(n) => Some(n.clone()),
            _ => None,
        },
        AttrArg::Str(..) | AttrArg::Amount(..) => None,
    };
    match (a.name.text.as_str(), a.args.as_slice()) {
        ("acc", [arg]) => match name_of(arg).and_then(|n| DType::parse(&n)) {
            Some(d) if !d.is_storage_float() && d != DType::Bool => out.acc = Some(d),
            _ => return Err(misused(module, a, "takes a type to accumulate in, such as `f32`")),
        },
        ("tol", [AttrArg::Expr(e)]) => match &e.kind {
            ExprKind::Int(t) | ExprKind::Float(t) => out.tol = Some(t.clone()),
            _ => return Err(misused(module, a, "takes a number, such as `1e-3`")),
        },
        ("budget", [arg]) => match bytes(arg) {
            Some(b) => out.budget = Some(b),
            None => return Err(misused(module, a, "takes an amount, such as `4GiB` or `512MiB`")),
        },
        ("slice", [_, ..]) => {
            let names: Option<Vec<String>> = a.args.iter().map(name_of).collect();
            match names {
                Some(names) => out.slice = names,
                None => return Err(misused(module, a, "takes indices, such as `@slice(i,j)`")),
            }
        }
        ("path", [AttrArg::Str(s, _)]) => out.path = Some(s.clone()),
        ("csr" | "coo", _) => {
            let d = Diagnostic::new(
                Code::Unsupported,
                a.span,
                format!("sparse storage `@{}` is not compiled yet", a.name.text),
            )
            .help("pass the non-zero values and their positions as dense tensors and gather");
            return Err(module.error(d));
        }
        (name, _) if NAMES.contains(&name) => {
            return Err(misused(module, a, "has a wrong number of arguments"));
        }
        (name, _) => {
            let d = unknown_name("attribute", name, a.name.span, NAMES.into_iter());
            return Err(module.error(d));
        }
    }
    Ok(())
}

fn bytes(arg: &AttrArg) -> Option<u64> {
    let AttrArg::Amount(number, unit) = arg else { return None };
    let shift = match unit.text.as_str() {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.text.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn misused(module: &mut ModuleCx, a: &Attr, what: &str) -> Reported {
    module.error(Diagnostic::new(Code::Parse, a.span, format!("`@{}` {what}", a.name.text)))
}
