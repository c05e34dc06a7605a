//! The syntax tree. It keeps what the source says, parentheses included, so that `tcc fmt` can
//! print it; meaning is given by `lower`.

use super::token::{Comment, MAX_DEPTH};
use crate::diag::Diagnostic;
use crate::span::{SourceId, Span};

/// A parsed text.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Items in order; `None` where recovery dropped one.
    pub items: Vec<Item>,
    /// Comments in order.
    pub comments: Vec<Comment>,
}

/// What the parser carries along: the source's id and the mistakes found so far.
#[derive(Debug, Default)]
pub struct Parse {
    /// The text being parsed.
    pub source: SourceId,
    /// Mistakes.
    pub errors: Vec<Diagnostic>,
    /// True once an expression was refused for its depth.
    pub too_deep: bool,
}

impl Parse {
    /// A span in the text being parsed.
    pub fn span(&self, start: u32, end: u32) -> Span {
        Span { source: self.source, start, end }
    }

    /// A name.
    pub fn name(&self, start: u32, text: &str, end: u32) -> Name {
        Name { text: text.to_owned(), span: self.span(start, end) }
    }

    /// An expression node; refuses to nest deeper than [`MAX_DEPTH`].
    pub fn expr(&mut self, start: u32, kind: ExprKind, end: u32) -> Expr {
        let span = self.span(start, end);
        let depth = 1 + kind.children().map(|e| e.depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            if !self.too_deep {
                self.too_deep = true;
                self.errors.push(super::too_deep(span));
            }
            return Expr { kind: ExprKind::Error, span, depth: 1 };
        }
        Expr { kind, span, depth }
    }

    /// Appends to a sum, keeping `a + b + c` flat.
    pub fn sum(&mut self, left: Expr, negative: bool, right: Expr) -> Expr {
        let (start, end) = (left.span.start, right.span.end);
        let mut terms = match left.kind {
            ExprKind::Sum(terms) => terms,
            kind => vec![(false, Expr { kind, ..left })],
        };
        terms.push((negative, right));
        self.expr(start, ExprKind::Sum(terms), end)
    }

    /// Appends to a product, keeping `a * b / c` flat.
    pub fn product(&mut self, left: Expr, op: ProductOp, right: Expr) -> Expr {
        let (start, end) = (left.span.start, right.span.end);
        let mut factors = match left.kind {
            ExprKind::Product(factors) => factors,
            kind => vec![(ProductOp::Mul, Expr { kind, ..left })],
        };
        factors.push((op, right));
        self.expr(start, ExprKind::Product(factors), end)
    }

    /// Appends to a conjunction or disjunction, keeping it flat.
    pub fn logic(&mut self, left: Expr, and: bool, right: Expr) -> Expr {
        let (start, end) = (left.span.start, right.span.end);
        let mut parts = match (left.kind, and) {
            (ExprKind::And(parts), true) | (ExprKind::Or(parts), false) => parts,
            (kind, _) => vec![Expr { kind, ..left }],
        };
        parts.push(right);
        let kind = if and { ExprKind::And(parts) } else { ExprKind::Or(parts) };
        self.expr(start, kind, end)
    }
}

/// A name with its place.
#[derive(Clone, Debug)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A top-level construct.
#[derive(Clone, Debug)]
pub enum Item {
    /// `fn`
    Function(Function),
    /// `kernel`
    Kernel(Kernel),
    /// `program`
    Program(Program),
    /// `schedule`
    Schedule(Schedule),
    /// `semiring name = (add, mul, zero, one)`
    Semiring(Name, Vec<Expr>, Span),
    /// `intrin name ... { kernel }`
    Intrin(Intrin),
    /// `rule name: lhs => rhs`
    Rule(Rule),
    /// Dropped by recovery.
    Error,
}

/// A graph function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// `<E: float>`
    pub generics: Vec<(Name, Name)>,
    /// Parameters.
    pub params: Vec<Group>,
    /// Results.
    pub results: Vec<Group>,
    /// `where` facts.
    pub facts: Vec<Fact>,
    /// Statements.
    pub body: Vec<Stmt>,
    /// From `fn` to `}`.
    pub span: Span,
}

/// `param A, B: f32[M,N] @attr`
#[derive(Clone, Debug)]
pub struct Group {
    /// `param`, `inout` or nothing.
    pub modifier: Modifier,
    /// Names.
    pub names: Vec<Name>,
    /// Their type.
    pub ty: TypeExpr,
    /// `strides(?, 1)` of a kernel parameter.
    pub strides: Option<Vec<Stride>>,
    /// Attributes.
    pub attrs: Vec<Attr>,
}

/// What stands before a group of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// Nothing.
    None,
    /// `param`
    Param,
    /// `inout`
    Inout,
}

/// One entry of `strides(..)`.
#[derive(Clone, Debug)]
pub enum Stride {
    /// `?`: known at the call.
    Any,
    /// An expression.
    Expr(Expr),
}

/// `f32[M,N]`
#[derive(Clone, Debug)]
pub struct TypeExpr {
    /// Element type or element-type parameter.
    pub dtype: Name,
    /// True if the shape begins with `...`.
    pub ellipsis: bool,
    /// Extents.
    pub dims: Vec<Expr>,
    /// The whole type.
    pub span: Span,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A comparison.
    Expr(Expr),
    /// `T in 1..8192`: at least the first, below the second.
    Range(Name, Expr, Expr),
}

/// A statement of a function or kernel body.
#[derive(Clone, Debug)]
pub enum Stmt {
    /// `let a, b: f32[N]`
    Let(Vec<Name>, TypeExpr, Span),
    /// An equation or call.
    Equation(Equation),
    /// `fix { ... }`
    Fix(Fix),
    /// Dropped by recovery.
    Error,
}

/// `targets op value where guard @attrs`
#[derive(Clone, Debug)]
pub struct Equation {
    /// What is written.
    pub targets: Vec<Target>,
    /// The assignment.
    pub op: AssignOp,
    /// The right side.
    pub value: Expr,
    /// `where`
    pub guard: Option<Expr>,
    /// Attributes.
    pub attrs: Vec<Attr>,
    /// The whole statement.
    pub span: Span,
}

/// A written tensor, or a tensor that receives the result of a call.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: Name,
    /// Subscripts; `None` if there are no brackets.
    pub subs: Option<Vec<Sub>>,
    /// Name and brackets.
    pub span: Span,
}

/// An assignment operator.
#[derive(Clone, Debug)]
pub enum AssignOp {
    /// `=`
    Plain,
    /// `+=`
    Plus,
    /// `max=` and the like.
    Named(Name),
    /// `=<semiring>`
    Tagged(Name),
}

/// One subscript or reduction variable.
#[derive(Clone, Debug)]
pub enum Sub {
    /// An expression.
    Expr(Expr),
    /// `i in 8`
    Domain(Name, Expr),
    /// `...`
    Ellipsis(Span),
}

/// `fix(limit=10) { ... }`
#[derive(Clone, Debug)]
pub struct Fix {
    /// Named arguments.
    pub args: Vec<(Name, Expr)>,
    /// Statements.
    pub body: Vec<Stmt>,
    /// From `fix` to `}`.
    pub span: Span,
}

/// `@name(args)`
#[derive(Clone, Debug)]
pub struct Attr {
    /// Its name.
    pub name: Name,
    /// Its arguments.
    pub args: Vec<AttrArg>,
    /// The whole attribute.
    pub span: Span,
}

/// An argument of an attribute.
#[derive(Clone, Debug)]
pub enum AttrArg {
    /// An expression.
    Expr(Expr),
    /// A quoted string, without its quotes.
    Str(String, Span),
    /// `4GiB`
    Amount(Name, Name),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
    /// Height of the tree, at most [`MAX_DEPTH`].
    pub depth: usize,
}

/// What follows a factor of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductOp {
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// Kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer literal as written.
    Int(String),
    /// A floating literal as written.
    Float(String),
    /// A name.
    Name(String),
    /// `A[i,j]?0`
    Access {
        /// The tensor.
        name: Name,
        /// Subscripts.
        subs: Vec<Sub>,
        /// What follows `?`.
        default: Option<Box<Expr>>,
    },
    /// `sum[k | pred](body)`
    Reduce {
        /// The reduction.
        name: Name,
        /// Its variables.
        vars: Vec<Sub>,
        /// What follows `|`.
        pred: Option<Box<Expr>>,
        /// What is reduced.
        body: Box<Expr>,
    },
    /// `f(a, b, N=4)`
    Call {
        /// The function.
        name: Name,
        /// Positional arguments.
        args: Vec<Expr>,
        /// Named sizes.
        sizes: Vec<(Name, Expr)>,
    },
    /// `einsum("ij,jk->ik", A, B)`
    Einsum {
        /// The equation.
        equation: Einsum,
        /// The operands.
        args: Vec<Expr>,
    },
    /// `-a`
    Neg(Box<Expr>),
    /// `!a`
    Not(Box<Expr>),
    /// `a + b - c`; true for a subtracted term.
    Sum(Vec<(bool, Expr)>),
    /// `a * b / c`
    Product(Vec<(ProductOp, Expr)>),
    /// `a ^ b`
    Power(Box<Expr>, Box<Expr>),
    /// `a < b`
    Compare(crate::scalar::Comparison, Box<Expr>, Box<Expr>),
    /// `a && b`
    And(Vec<Expr>),
    /// `a || b`
    Or(Vec<Expr>),
    /// `[pred]`
    Indicator(Box<Expr>),
    /// `(a)`
    Paren(Box<Expr>),
    /// `?a` in a rule.
    Pattern(Name),
    /// Dropped by recovery.
    Error,
}

/// The two spellings of an einsum equation.
#[derive(Clone, Debug)]
pub enum Einsum {
    /// `"ij,jk->ik"`, without quotes.
    Text(String, Span),
    /// `[i j],[j k] -> [i k]`
    Labels {
        /// Labels of each operand.
        inputs: Vec<Vec<Name>>,
        /// Labels of the result.
        output: Vec<Name>,
    },
}

impl ExprKind {
    /// Direct subexpressions.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Expr> + '_> {
        fn in_sub(sub: &Sub) -> Option<&Expr> {
            match sub {
                Sub::Expr(e) | Sub::Domain(_, e) => Some(e),
                Sub::Ellipsis(_) => None,
            }
        }
        match self {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Name(_)
            | ExprKind::Pattern(_)
            | ExprKind::Error => Box::new(std::iter::empty()),
            ExprKind::Access { subs, default, .. } => {
                Box::new(subs.iter().filter_map(in_sub).chain(default.as_deref()))
            }
            ExprKind::Reduce { vars, pred, body, .. } => Box::new(
                vars.iter().filter_map(in_sub).chain(pred.as_deref()).chain([body.as_ref()]),
            ),
            ExprKind::Call { args, sizes, .. } => {
                Box::new(args.iter().chain(sizes.iter().map(|(_, e)| e)))
            }
            ExprKind::Einsum { args, .. } | ExprKind::And(args) | ExprKind::Or(args) => {
                Box::new(args.iter())
            }
            ExprKind::Neg(e) | ExprKind::Not(e) | ExprKind::Indicator(e) | ExprKind::Paren(e) => {
                Box::new([e.as_ref()].into_iter())
            }
            ExprKind::Sum(terms) => Box::new(terms.iter().map(|(_, e)| e)),
            ExprKind::Product(factors) => Box::new(factors.iter().map(|(_, e)| e)),
            ExprKind::Power(a, b) | ExprKind::Compare(_, a, b) => {
                Box::new([a.as_ref(), b.as_ref()].into_iter())
            }
        }
    }
}

impl Expr {
    /// The expression inside any parentheses.
    pub fn unparen(&self) -> &Expr {
        match &self.kind {
            ExprKind::Paren(e) => e.unparen(),
            _ => self,
        }
    }
}

/// A statement with its place.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The statement.
    pub node: T,
    /// From its first word to its last.
    pub span: Span,
}

/// A loop-nest kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name; `None` inside an `intrin`.
    pub name: Option<Name>,
    /// `<M, N>`: sizes in order; empty if the types show them.
    pub sizes: Vec<Name>,
    /// Parameters.
    pub params: Vec<Group>,
    /// Results.
    pub results: Vec<Group>,
    /// Facts.
    pub facts: Vec<Fact>,
    /// Statements.
    pub body: Vec<Spanned<KernelStmt>>,
    /// The whole item.
    pub span: Span,
}

/// A statement of a kernel.
#[derive(Clone, Debug)]
pub enum KernelStmt {
    /// `for i in lo..hi kind { ... }`
    For {
        /// The variable.
        var: Name,
        /// First value; 0 if absent.
        lo: Option<Expr>,
        /// One past the last value.
        hi: Expr,
        /// `parallel` and the like.
        kind: Option<Name>,
        /// Body.
        body: Vec<Spanned<KernelStmt>>,
    },
    /// `block name(v = e) where p { ... }`
    Block {
        /// Its name; empty if it has none.
        name: Name,
        /// Bindings.
        bindings: Vec<(Name, Expr)>,
        /// `where`
        guard: Option<Expr>,
        /// Body.
        body: Vec<Spanned<BlockStmt>>,
        /// The header.
        span: Span,
    },
    /// `if p { ... } else { ... }`; the place of the part before `else`.
    If(Expr, Vec<Spanned<KernelStmt>>, Vec<Spanned<KernelStmt>>, Span),
    /// `let n = e`
    Let(Name, Expr),
    /// `alloc A: f32[4] @register`
    Alloc(Vec<Name>, TypeExpr, Vec<Attr>),
    /// `repeat r in limit until p { ... }`
    Repeat {
        /// The round.
        var: Name,
        /// `0..`, where reaching the limit is no failure.
        lo: Option<Expr>,
        /// The most rounds.
        limit: Expr,
        /// Ends the loop.
        until: Expr,
        /// Body.
        body: Vec<Spanned<KernelStmt>>,
    },
    /// `intrin name(A[i | i in N]) -> C[i | i in N]`
    Intrin {
        /// What is called.
        name: Name,
        /// What is read.
        params: Vec<View>,
        /// What is written.
        results: Vec<View>,
    },
    /// Dropped by recovery.
    Error,
}

/// `C[4*io + m, n | m in 4, n in N]`
#[derive(Clone, Debug)]
pub struct View {
    /// The buffer.
    pub name: Name,
    /// Subscripts.
    pub subs: Vec<Expr>,
    /// Names and extents of the axes.
    pub axes: Vec<(Name, Expr)>,
    /// Name and brackets.
    pub span: Span,
}

/// A statement of a block.
#[derive(Clone, Debug)]
pub enum BlockStmt {
    /// `init C[m,n] = 0`
    Init(Target, Expr),
    /// `let x: f32 = e`
    Let(Name, TypeExpr, Expr),
    /// The equation.
    Equation(Equation),
    /// Dropped by recovery.
    Error,
}

/// What an executable runs.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub name: Name,
    /// `<M, N>`: sizes in order; empty if the types show them.
    pub sizes: Vec<Name>,
    /// Parameters.
    pub params: Vec<Group>,
    /// Results.
    pub results: Vec<Group>,
    /// Facts.
    pub facts: Vec<Fact>,
    /// Statements.
    pub body: Vec<Spanned<ProgramStmt>>,
    /// The whole item.
    pub span: Span,
}

/// A statement of a program.
#[derive(Clone, Debug)]
pub enum ProgramStmt {
    /// `buffer T: f32[N]`
    Buffer(Vec<Name>, TypeExpr, Vec<Attr>),
    /// `call k(A, B) -> C`
    Call(Name, Vec<Name>, Vec<Name>),
    /// `require T >= 1 || S == 0 @origin("...")`
    Require(Expr, Vec<Attr>),
    /// Dropped by recovery.
    Error,
}

/// A list of directives for a kernel.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The kernel.
    pub kernel: Name,
    /// Directives.
    pub directives: Vec<Directive>,
    /// The whole item.
    pub span: Span,
}

/// `io, ii = split(i, 14, tail=guard)`
#[derive(Clone, Debug)]
pub struct Directive {
    /// The word before it: `unsafe` or `reassociate`.
    pub permission: Option<Name>,
    /// Names for what it makes.
    pub outputs: Vec<Name>,
    /// The primitive.
    pub name: Name,
    /// Positional arguments.
    pub args: Vec<Expr>,
    /// Named arguments.
    pub options: Vec<(Name, Expr)>,
    /// The whole directive.
    pub span: Span,
}

/// An intrinsic declaration.
#[derive(Clone, Debug)]
pub struct Intrin {
    /// Its name.
    pub name: Name,
    /// Target features.
    pub requires: Vec<Name>,
    /// Its symbol, without quotes.
    pub symbol: Option<Name>,
    /// `cost(...)`
    pub cost: Vec<(Name, Expr)>,
    /// Its meaning.
    pub kernel: Kernel,
    /// The whole item.
    pub span: Span,
}

/// What stands between the name of an intrinsic and its meaning, after its first word.
pub(super) enum IntrinClause {
    /// `requires avx2, fma`
    Requires(Name, Vec<Name>),
    /// `symbol "name"`
    Symbol(Name, Name),
    /// `cost(flops=0.97)`
    Cost(Name, Vec<(Name, Expr)>),
}

impl IntrinClause {
    /// Adds the clause to a declaration; notes a word that begins no such clause.
    pub(super) fn add_to(self, intrin: &mut Intrin, cx: &mut Parse) {
        let (word, expected) = match self {
            IntrinClause::Requires(word, features) => {
                intrin.requires.extend(features);
                (word, "requires")
            }
            IntrinClause::Symbol(word, symbol) => {
                intrin.symbol = Some(symbol);
                (word, "symbol")
            }
            IntrinClause::Cost(word, cost) => {
                intrin.cost = cost;
                (word, "cost")
            }
        };
        if word.text != expected {
            let (found, expected) = (format!("`{}`", word.text), format!("`{expected}`"));
            cx.errors.push(super::unexpected(word.span, &found, &[&expected]));
        }
    }
}

/// A rewrite rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// Condition.
    pub condition: Option<Expr>,
    /// `class E`, `phase lower`
    pub tags: Vec<(Name, Name)>,
    /// The whole item.
    pub span: Span,
}
