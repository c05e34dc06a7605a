//! Signatures: sizes, types, parameters, results and facts.

use super::constant::Constant;
use super::{ModuleCx, Reported, unknown_name};
use crate::SizeId;
use crate::diag::{Code, Diagnostic};
use crate::graph::{Fact, Function, Role, Size, Tensor};
use crate::int::IntExpr;
use crate::scalar::Comparison;
use crate::text::ast::{self, ExprKind, Modifier, ProductOp, TypeExpr};
use indexmap::IndexMap;
use tcc_abi::DType;

/// What a generic function is instantiated with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instance {
    /// Element types by parameter name.
    pub(super) dtypes: IndexMap<String, DType>,
    /// Number of axes that `...` stands for.
    pub(super) leading: usize,
}

/// A function whose signature is being read.
pub(super) struct SignatureCx<'a> {
    pub(super) module: &'a mut ModuleCx,
    pub(super) function: Function,
    pub(super) instance: &'a Instance,
    /// Sizes of the axes that `...` stands for.
    pub(super) leading: Vec<SizeId>,
    /// True while new size names may appear.
    pub(super) open: bool,
}

/// Extents beyond this are refused.
const MAX_EXTENT: i64 = 1 << 40;
/// Tensors of higher rank are refused.
pub(super) const MAX_RANK: usize = 64;

impl<'a> SignatureCx<'a> {
    pub(super) fn new(
        module: &'a mut ModuleCx,
        name: &str,
        instance: &'a Instance,
    ) -> SignatureCx<'a> {
        let function = Function { name: name.to_owned(), ..Function::default() };
        SignatureCx { module, function, instance, leading: Vec::new(), open: true }
    }

    /// Reads parameters, results and facts of a function.
    pub(super) fn read(&mut self, f: &ast::Function) -> Result<(), Reported> {
        self.function.span = f.span;
        let mut outcome = self.parameters(&f.params);
        if let Some(g) = f.params.iter().chain(&f.results).find(|g| g.strides.is_some()) {
            let message = "`strides(...)` belongs to the parameters of kernels";
            let d = Diagnostic::new(Code::Parse, g.ty.span, message)
                .help("drop it: inputs of functions may have any strides");
            outcome = Err(self.module.error(d));
        }
        outcome = outcome.and(self.results(&f.results));
        for fact in &f.facts {
            outcome = outcome.and(self.fact(fact));
        }
        outcome = outcome.and(self.names_mean_one_thing());
        self.open = false;
        outcome
    }

    /// No tensor bears the name of a size.
    fn names_mean_one_thing(&mut self) -> Result<(), Reported> {
        let mut outcome = Ok(());
        let tensors: Vec<_> =
            self.function.tensors.values().map(|t| (t.name.clone(), t.span)).collect();
        for (name, span) in tensors {
            let Some(size) = self.function.size_by_name(&name) else { continue };
            let message = format!("`{name}` is the name of a tensor and of a size");
            let mut d = Diagnostic::new(Code::Name, span, message).help("rename one of them");
            if let Some(size) = self.function.sizes.get(size) {
                d = d.label(size.span, "a size here");
            }
            outcome = Err(self.module.error(d));
        }
        outcome
    }

    /// `<M, N>`: the sizes of a kernel or program in order.
    pub(super) fn size_list(&mut self, names: &[ast::Name]) -> Result<(), Reported> {
        let mut outcome = Ok(());
        for name in names {
            if self.function.size_by_name(&name.text).is_some() {
                let message = format!("size `{}` is listed twice", name.text);
                outcome = Err(self.module.error(Diagnostic::new(Code::Name, name.span, message)));
            }
            self.function.sizes.push(Size { name: name.text.clone(), span: name.span });
        }
        outcome
    }

    pub(super) fn parameters(&mut self, groups: &[ast::Group]) -> Result<(), Reported> {
        let mut outcome = Ok(());
        for group in groups {
            let role = match group.modifier {
                Modifier::None => Role::Input,
                Modifier::Param => Role::Param,
                Modifier::Inout => Role::Inout,
            };
            outcome = outcome.and(self.group(group, role));
        }
        outcome
    }

    pub(super) fn results(&mut self, groups: &[ast::Group]) -> Result<(), Reported> {
        let mut outcome = Ok(());
        for group in groups {
            if group.modifier != Modifier::None {
                let d = Diagnostic::new(
                    Code::Parse,
                    group.ty.span,
                    "`param` and `inout` belong to parameters, not to results",
                );
                outcome = Err(self.module.error(d));
            }
            outcome = outcome.and(self.group(group, Role::Result(None)));
        }
        outcome
    }

    fn group(&mut self, group: &ast::Group, role: Role) -> Result<(), Reported> {
        let (dtype, shape) = self.type_expr(&group.ty)?;
        if let Some(a) = group.attrs.first() {
            let d = match a.name.text.as_str() {
                "csr" | "coo" => Diagnostic::new(
                    Code::Unsupported,
                    a.span,
                    format!("sparse storage `@{}` is not compiled yet", a.name.text),
                )
                .help("pass the non-zero values and their positions as dense tensors and gather"),
                other => Diagnostic::new(
                    Code::Name,
                    a.span,
                    format!("unknown attribute `@{other}` of a parameter"),
                ),
            };
            return Err(self.module.error(d));
        }
        for name in &group.names {
            if let Some(first) = self.function.tensor_by_name(&name.text) {
                let d = Diagnostic::new(
                    Code::Name,
                    name.span,
                    format!("`{}` is declared twice", name.text),
                );
                let d = match self.function.tensors.get(first) {
                    Some(t) => d.label(t.span, "first declared here"),
                    None => d,
                };
                return Err(self.module.error(d));
            }
            let id = self.function.tensors.push(Tensor {
                name: name.text.clone(),
                dtype,
                shape: shape.clone(),
                role,
                span: name.span,
            });
            if role.is_parameter() {
                self.function.params.push(id);
            } else {
                self.function.results.push(id);
            }
        }
        Ok(())
    }

    /// Element type and extents of a type as written.
    pub(super) fn type_expr(&mut self, ty: &TypeExpr) -> Result<(DType, Vec<IntExpr>), Reported> {
        let dtype = self.dtype(&ty.dtype)?;
        let mut shape = Vec::new();
        if ty.ellipsis {
            let leading = self.leading_sizes(ty)?;
            shape.extend(leading.into_iter().map(IntExpr::from));
        }
        for dim in &ty.dims {
            shape.push(self.extent(dim)?);
        }
        if shape.len() > MAX_RANK {
            let d = Diagnostic::new(
                Code::Limit,
                ty.span,
                format!("rank {} exceeds the limit of {MAX_RANK}", shape.len()),
            );
            return Err(self.module.error(d));
        }
        Ok((dtype, shape))
    }

    pub(super) fn dtype(&mut self, name: &ast::Name) -> Result<DType, Reported> {
        let known = self.instance.dtypes.get(&name.text).copied();
        let Some(dtype) = known.or_else(|| DType::parse(&name.text)) else {
            let mut names: Vec<String> = self.instance.dtypes.keys().cloned().collect();
            names.extend(DType::all().map(|d| d.to_string()));
            let names = names.iter().map(String::as_str);
            let d = unknown_name("element type", &name.text, name.span, names).note(
                "element types are f64 f32 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64 bool c64 c128",
            );
            return Err(self.module.error(d));
        };
        if dtype.is_f8() {
            let d = Diagnostic::new(
                Code::Unsupported,
                name.span,
                format!("element type `{dtype}` is not compiled yet"),
            )
            .help("store the values as `f16` or `bf16`");
            return Err(self.module.error(d));
        }
        Ok(dtype)
    }

    fn leading_sizes(&mut self, ty: &TypeExpr) -> Result<Vec<SizeId>, Reported> {
        if self.leading.is_empty() && self.open {
            for k in 0..self.instance.leading {
                let mut name = format!("L{k}");
                while self.function.size_by_name(&name).is_some() {
                    name.insert(0, '_');
                }
                self.leading.push(self.function.sizes.push(Size { name, span: ty.span }));
            }
        }
        Ok(self.leading.clone())
    }

    /// An extent: an integer expression over sizes that is not negative if it is a number.
    fn extent(&mut self, e: &ast::Expr) -> Result<IntExpr, Reported> {
        let extent = self.size_expr(e)?;
        let problem = match extent.as_constant() {
            Some(c) if c < 0 => Some((Code::Size, format!("extent {c} is negative"))),
            Some(c) if c > MAX_EXTENT => {
                Some((Code::Limit, format!("extent {c} exceeds the limit of 2^40")))
            }
            _ if extent.is_poisoned() => {
                Some((Code::Limit, "the extent does not fit in 64 bits".to_owned()))
            }
            _ => None,
        };
        match problem {
            Some((code, message)) => Err(self.module.error(Diagnostic::new(code, e.span, message))),
            None => Ok(extent),
        }
    }

    /// An integer expression over sizes; new names become sizes while the signature is open.
    pub(super) fn size_expr(&mut self, e: &ast::Expr) -> Result<IntExpr, Reported> {
        match &e.kind {
            ExprKind::Int(text) => match Constant::parse(text).and_then(|c| c.as_int()) {
                Some(i) => Ok(i),
                None => Err(self.module.error(Diagnostic::new(
                    Code::Limit,
                    e.span,
                    "the number does not fit in 64 bits",
                ))),
            },
            ExprKind::Name(name) => self.size_name(name, e),
            ExprKind::Paren(inner) => self.size_expr(inner),
            ExprKind::Neg(inner) => Ok(-self.size_expr(inner)?),
            ExprKind::Sum(terms) => {
                let mut sum = IntExpr::default();
                for (negative, term) in terms {
                    let t = self.size_expr(term)?;
                    sum = if *negative { sum - t } else { sum + t };
                }
                Ok(sum)
            }
            ExprKind::Product(factors) => {
                let mut product = IntExpr::constant(1);
                for (op, factor) in factors {
                    let f = self.size_expr(factor)?;
                    product = match op {
                        ProductOp::Mul => product * f,
                        ProductOp::Div | ProductOp::Rem if f.as_constant() == Some(0) => {
                            let d = Diagnostic::new(Code::Size, factor.span, "division by zero");
                            return Err(self.module.error(d));
                        }
                        ProductOp::Div => product.div(&f),
                        ProductOp::Rem => product.modulo(&f),
                    };
                }
                Ok(product)
            }
            ExprKind::Call { name, args, sizes } if sizes.is_empty() => {
                match (name.text.as_str(), args.as_slice()) {
                    ("min", [a, b]) => Ok(self.size_expr(a)?.minimum(&self.size_expr(b)?)),
                    ("max", [a, b]) => Ok(self.size_expr(a)?.maximum(&self.size_expr(b)?)),
                    _ => Err(self.not_a_size(e)),
                }
            }
            _ => Err(self.not_a_size(e)),
        }
    }

    fn not_a_size(&mut self, e: &ast::Expr) -> Reported {
        let d = Diagnostic::new(Code::Type, e.span, "this is not an integer expression over sizes")
            .note("sizes are built from names, integers, `+`, `-`, `*`, `/`, `%`, `min` and `max`")
            .note("shapes that depend on data are not part of the language");
        self.module.error(d)
    }

    fn size_name(&mut self, name: &str, e: &ast::Expr) -> Result<IntExpr, Reported> {
        if let Some(s) = self.function.size_by_name(name) {
            return Ok(IntExpr::from(s));
        }
        if DType::parse(name).is_some() || !self.open {
            let known = self.function.sizes.values().map(|s| s.name.as_str());
            let d = unknown_name("size", name, e.span, known)
                .note("a size stands in the type of a parameter or result, or in a fact");
            return Err(self.module.error(d));
        }
        let size = Size { name: name.to_owned(), span: e.span };
        Ok(IntExpr::from(self.function.sizes.push(size)))
    }

    pub(super) fn fact(&mut self, fact: &ast::Fact) -> Result<(), Reported> {
        match fact {
            ast::Fact::Range(name, lo, hi) => {
                let size = self.size_name(
                    &name.text,
                    &ast::Expr {
                        kind: ExprKind::Name(name.text.clone()),
                        span: name.span,
                        depth: 1,
                    },
                )?;
                let (lo, hi) = (self.size_expr(lo)?, self.size_expr(hi)?);
                self.push_fact(size.clone(), Comparison::Ge, lo, name.span);
                self.push_fact(size, Comparison::Lt, hi, name.span);
                Ok(())
            }
            ast::Fact::Expr(e) => match &e.unparen().kind {
                ExprKind::Compare(op, a, b) => {
                    let (lhs, rhs) = (self.size_expr(a)?, self.size_expr(b)?);
                    if let (Some(a), Some(b)) = (lhs.as_constant(), rhs.as_constant())
                        && !op.holds(a.cmp(&b))
                    {
                        let message = "no sizes satisfy this fact";
                        return Err(self.module.error(Diagnostic::new(
                            Code::Fact,
                            e.span,
                            message,
                        )));
                    }
                    self.push_fact(lhs, *op, rhs, e.span);
                    Ok(())
                }
                ExprKind::And(parts) => {
                    parts.iter().try_for_each(|p| self.fact(&ast::Fact::Expr(p.clone())))
                }
                _ => {
                    let d = Diagnostic::new(
                        Code::Type,
                        e.span,
                        "a fact is a comparison of sizes, such as `D % 16 == 0` or `T <= 8192`",
                    );
                    Err(self.module.error(d))
                }
            },
        }
    }

    fn push_fact(
        &mut self,
        lhs: IntExpr,
        comparison: Comparison,
        rhs: IntExpr,
        span: crate::span::Span,
    ) {
        self.function.facts.push(Fact { lhs, comparison, rhs, span });
    }
}
