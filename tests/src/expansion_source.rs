//! The expansions of scalar functions as Rust: what `runtime/src/intrinsics/expansion` holds.
//!
//! Each operation of an expansion becomes the operation of Rust that rounds in the same way, in the
//! same order, so that both give the same bits.

use std::fmt::Write;
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::eval::Expansions;
use tcc_ir::graph::{Function, Node};
use tcc_ir::scalar::{Expr, Func};

/// A file of the runtime, and the functions in it.
pub struct Theme {
    /// The name of the module.
    pub name: &'static str,
    /// What it holds, as a sentence begins.
    pub title: &'static str,
    /// Functions on `f32` and `f64`; a function comes after those that it calls.
    pub functions: &'static [Func],
}

/// All themes.
pub const THEMES: [Theme; 4] = [
    Theme {
        name: "exponential",
        title: "Roots, exponentials and hyperbolic functions",
        functions: &[
            Func::Rsqrt,
            Func::Cbrt,
            Func::Exp,
            Func::Exp2,
            Func::Expm1,
            Func::Sinh,
            Func::Cosh,
            Func::Tanh,
        ],
    },
    Theme {
        name: "logarithm",
        title: "Logarithms, powers and inverse hyperbolic functions",
        functions: &[
            Func::Log,
            Func::Log2,
            Func::Log10,
            Func::Log1p,
            Func::Pow,
            Func::Asinh,
            Func::Acosh,
            Func::Atanh,
        ],
    },
    Theme {
        name: "trigonometric",
        title: "Trigonometric functions and their inverses",
        functions: &[
            Func::Sin,
            Func::Cos,
            Func::Tan,
            Func::Asin,
            Func::Acos,
            Func::Atan,
            Func::Atan2,
        ],
    },
    Theme {
        name: "error",
        title: "The error function and its complement",
        functions: &[Func::Erf, Func::Erfc],
    },
];

impl Theme {
    /// The source of the module; `cargo fmt` breaks its lines.
    pub fn source(&self, expansions: &mut Expansions) -> String {
        let mut body = String::new();
        let instances = || self.functions.iter().flat_map(|f| [(*f, DType::F32), (*f, DType::F64)]);
        for (func, dtype) in instances() {
            function(&mut body, func, dtype, expansions);
        }
        for (func, dtype) in instances() {
            let whole = expansions.get(func, dtype).rare.is_some();
            let called = [' ', '('].map(|before| format!("{before}{func}_{dtype}("));
            if whole && called.iter().any(|c| body.contains(c)) {
                total(&mut body, &format!("{func}_{dtype}"), dtype);
            }
        }
        let helpers: Vec<&str> = ["mulhi", "select", "to_i32"]
            .into_iter()
            .filter(|h| body.contains(&format!("{h}(")))
            .collect();
        let helpers = match helpers.as_slice() {
            [] => String::new(),
            [one] => format!("use super::{one};\n\n"),
            several => format!("use super::{{{}}};\n\n", several.join(", ")),
        };
        format!(
            "//! {}.\n//!\n\
             //! Made from `ir-spec/std/scalar_*.tir` by `TCC_BLESS=1 cargo test --test intrinsics`.\n\n\
             {helpers}{}",
            self.title,
            body.trim_start()
        )
    }
}

/// One function, or the parts of one whose rare arguments have a definition of their own.
fn function(out: &mut String, func: Func, dtype: DType, expansions: &mut Expansions) {
    let name = format!("{func}_{dtype}");
    let expansion = expansions.get(func, dtype).clone();
    let Some((common, rare)) = expansion.rare else {
        return define(out, "#[inline(always)]", &name, &expansion.body);
    };
    define(out, "#[inline(always)]", &format!("{name}_body"), &expansion.body);
    define(out, "#[inline(always)]", &format!("{name}_common"), &common);
    define(out, "#[cold]", &format!("{name}_rare"), &rare);
}

/// The whole of a function of several parts, for other functions.
fn total(out: &mut String, name: &str, dtype: DType) {
    let _ = write!(
        out,
        "\nfn {name}(x: {dtype}) -> {dtype} {{\n    \
         if {name}_common(x) {{ {name}_body(x) }} else {{ {name}_rare(x) }}\n}}\n"
    );
}

fn define(out: &mut String, attribute: &str, name: &str, f: &Function) {
    let tensor = |t: &TensorId| &f.tensors[*t];
    let params: Vec<String> =
        f.params.iter().map(|t| format!("{}: {}", tensor(t).name, tensor(t).dtype)).collect();
    let [result] = f.results.as_slice() else { panic!("`{name}` has one result") };
    let _ = write!(
        out,
        "\n{attribute}\npub(in crate::intrinsics) fn {name}({}) -> {} {{\n",
        params.join(", "),
        tensor(result).dtype
    );
    for d in f.nodes.iter().flat_map(Node::definitions) {
        let [e] = d.equations.as_slice() else { panic!("`{name}` has plain equations") };
        let value = Source { f }.expr(&e.body);
        if d.tensor == *result {
            let _ = writeln!(out, "    {}", unwrapped(&value));
        } else {
            let _ = writeln!(out, "    let {} = {};", tensor(&d.tensor).name, unwrapped(&value));
        }
    }
    out.push_str("}\n");
}

/// Without the parentheses around the whole.
fn unwrapped(value: &str) -> &str {
    let Some(inner) = value.strip_prefix('(').and_then(|v| v.strip_suffix(')')) else {
        return value;
    };
    let mut depth = 0;
    for c in inner.chars() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return value;
        }
    }
    inner
}

struct Source<'f> {
    f: &'f Function,
}

impl Source<'_> {
    fn expr(&self, e: &Expr) -> String {
        match e {
            Expr::Read(r) => self.f.tensors[r.tensor].name.clone(),
            Expr::Literal(s) if s.dtype().is_float() => float(s.dtype(), s.to_f64()),
            Expr::Literal(s) => s.to_i128().to_string(),
            Expr::Cast(DType::I32, inner) if inner.dtype() == DType::F32 => {
                format!("to_i32({})", unwrapped(&self.expr(inner)))
            }
            Expr::Cast(to, inner) => format!("({} as {to})", self.expr(inner)),
            Expr::Bitcast(to, inner) => {
                let (from, x) = (inner.dtype(), unwrapped(&self.expr(inner)).to_owned());
                match (from.is_float(), to.is_float()) {
                    (true, false) if to.is_signed_int() => {
                        format!("({from}::to_bits({x}) as {to})")
                    }
                    (true, false) => format!("{from}::to_bits({x})"),
                    (false, true) if from.is_signed_int() => {
                        let bits = if from == DType::I32 { "u32" } else { "u64" };
                        format!("{to}::from_bits(({x}) as {bits})")
                    }
                    (false, true) => format!("{to}::from_bits({x})"),
                    _ => format!("(({x}) as {to})"),
                }
            }
            Expr::Index { num, den, dtype } if den.as_constant() == Some(1) => {
                let n = num.as_constant().unwrap_or_else(|| panic!("an expansion has no sizes"));
                if dtype.is_float() { float(*dtype, n as f64) } else { n.to_string() }
            }
            Expr::Apply(func, args) => self.apply(*func, args),
            other => panic!("an expansion has no {other:?}"),
        }
    }

    fn apply(&self, func: Func, args: &[Expr]) -> String {
        let dtype = args.last().map_or(DType::Bool, Expr::dtype);
        let values: Vec<String> = args.iter().map(|a| self.expr(a)).collect();
        let list = values.iter().map(|v| unwrapped(v).to_owned()).collect::<Vec<_>>().join(", ");
        if func.is_expanded() {
            return format!("{func}_{dtype}({list})");
        }
        if let Some(operator) = operator(func, dtype) {
            return format!("({})", values.join(&format!(" {operator} ")));
        }
        match (func, args) {
            (Func::Neg, _) => format!("(-{})", values.join("")),
            (Func::Not, _) => format!("(!{})", values.join("")),
            (Func::Select, _) => format!("select({list})"),
            (Func::MulHi, _) => format!("mulhi({list})"),
            (Func::Shl | Func::Shr, [_, Expr::Literal(_)]) => {
                format!("{dtype}::{}({list})", method(func))
            }
            // A count of steps is a `u32` in Rust.
            (Func::Shl | Func::Shr, _) => format!("{dtype}::{}({list} as u32)", method(func)),
            _ => format!("{dtype}::{}({list})", method(func)),
        }
    }
}

/// The operator of Rust for a function of two arguments; those on integers wrap by methods.
fn operator(func: Func, dtype: DType) -> Option<&'static str> {
    Some(match func {
        Func::Add if dtype.is_float() => "+",
        Func::Sub if dtype.is_float() => "-",
        Func::Mul if dtype.is_float() => "*",
        Func::Div if dtype.is_float() => "/",
        Func::Eq => "==",
        Func::Ne => "!=",
        Func::Lt => "<",
        Func::Le => "<=",
        Func::Gt => ">",
        Func::Ge => ">=",
        Func::And | Func::BitAnd => "&",
        Func::Or | Func::BitOr => "|",
        Func::Xor | Func::BitXor => "^",
        _ => return None,
    })
}

/// The method of Rust's numbers.
fn method(func: Func) -> &'static str {
    match func {
        Func::Add => "wrapping_add",
        Func::Sub => "wrapping_sub",
        Func::Mul => "wrapping_mul",
        Func::Shl => "wrapping_shl",
        Func::Shr => "wrapping_shr",
        Func::Fma => "mul_add",
        Func::IsNan => "is_nan",
        Func::IsFinite => "is_finite",
        Func::Abs | Func::Sqrt | Func::Trunc | Func::Copysign => func.name(),
        other => panic!("an expansion has no `{other}`"),
    }
}

/// The shortest literal that reads as this number.
fn float(dtype: DType, x: f64) -> String {
    let text = if dtype == DType::F32 { format!("{:?}", x as f32) } else { format!("{x:?}") };
    match text.as_str() {
        "NaN" => format!("{dtype}::NAN"),
        "inf" => format!("{dtype}::INFINITY"),
        "-inf" => format!("{dtype}::NEG_INFINITY"),
        _ => text,
    }
}

/// What remains of a source when it is laid out in another way.
pub fn without_layout(source: &str) -> String {
    let dense: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    dense.replace(",)", ")").replace(",}", "}")
}
